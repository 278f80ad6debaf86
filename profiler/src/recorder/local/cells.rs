//! What answers at any moment of a thread's life.

use std::cell::Cell;

use spandrel_ring::{ThreadLease, ThreadTable};

use super::link::{DETAILS, Detailed, OUTSIDE};
use super::state::NOBODY;
use crate::recorder::entry_rules::NO_AGE;
use crate::recorder::open_spans::{Link, SlotPosition, SpanSlot};
use crate::recorder::record::Slot;

thread_local! {
    pub(super) static CELLS: Cells = const { Cells::new() };
}

/// Plain memory without a destructor. Each use of it is a `CELLS.with` of its own, around as little
/// as can be: that is inlined, and the address is kept, while one around a whole callback is not.
pub(super) struct Cells {
    /// What the thread is doing, see [`state`](super::state).
    pub(super) state: Cell<u64>,
    /// What `state` is when none of our callbacks is at work.
    pub(super) idle: Cell<u64>,
    /// The thread's number.
    pub(super) thread: Cell<u32>,
    /// The position of the slot that was used last; usually the next callback is for the same span.
    pub(super) last_position: Cell<SlotPosition>,
    /// The next id of the thread's block of them, and where that ends.
    pub(super) next_id: Cell<u64>,
    pub(super) ids_end: Cell<u64>,
    /// Up to which moment the block of ids is used, in ticks.
    pub(super) ids_until: Cell<u64>,
    /// From which age on the end of an entry is left to the general path: it may have to be recorded. See
    /// [`Recorder::long_age`](crate::recorder::Recorder::long_age).
    pub(super) long_age: Cell<u64>,
    /// The partition that only this thread writes; none while there are not enough, and when the
    /// thread is ending.
    pub(super) lease: ThreadLease<Slot>,
    /// The table of open spans, for scopes, which have no front end to find it by; none when the thread is ending, or its
    /// recorder's fast paths are not open to it. Its owner is the recorder.
    pub(super) table: ThreadTable<SpanSlot>,
    /// Free slots for spans of a direct front end, see [`free_list`](crate::recorder::open_spans::free_list): the first `free_len`
    /// of these.
    pub(super) free: [Cell<SlotPosition>; FREE],
    pub(super) free_len: Cell<u32>,
    /// The first free slot for scopes, see [`scope_slots`](super::scope_slots), and how many there are, open ones included.
    pub(super) scope_free: Cell<SlotPosition>,
    pub(super) scope_slots: Cell<u32>,
    /// Somebody adds one or takes one out.
    pub(super) scope_list_changes: Cell<bool>,
    /// The first `scope_slots` of these.
    pub(super) scope_kept: [Cell<SlotPosition>; FREE],
    /// The header of the record of a scope in which nothing was out of the ordinary.
    pub(super) scope_header: Cell<u64>,
    /// The innermost span that the thread is in; see [`Link`].
    pub(super) innermost: Cell<Link>,
    /// How many of `details`, and of `ThreadState::details` behind them, may be in use.
    pub(super) details_len: Cell<usize>,
    pub(super) details: [Cell<Detailed>; DETAILS],
    /// How many were ever put there, in the upper half.
    pub(super) details_serial: Cell<Link>,
    /// How many spans of the first layer are in the chain that are not recorded.
    pub(super) unrecorded: Cell<u32>,
}

impl Cells {
    const fn new() -> Self {
        Self {
            state: Cell::new(NOBODY),
            idle: Cell::new(NOBODY),
            thread: Cell::new(0),
            last_position: Cell::new(0),
            next_id: Cell::new(0),
            ids_end: Cell::new(0),
            ids_until: Cell::new(0),
            long_age: Cell::new(NO_AGE),
            lease: ThreadLease::new(),
            table: ThreadTable::new(),
            free: [const { Cell::new(0) }; FREE],
            free_len: Cell::new(0),
            scope_free: Cell::new(NO_SLOT),
            scope_slots: Cell::new(0),
            scope_list_changes: Cell::new(false),
            scope_kept: [const { Cell::new(0) }; FREE],
            scope_header: Cell::new(0),
            innermost: Cell::new(OUTSIDE),
            details_len: Cell::new(0),
            details: [const { Cell::new(Detailed::NONE) }; DETAILS],
            details_serial: Cell::new(0),
            unrecorded: Cell::new(0),
        }
    }
}

/// Free slots that a thread keeps. Those of many threads are lost to others, so not too many; and
/// enough for the nests of spans in usual programs.
pub(super) const FREE: usize = 16;
/// The end of a list of slots: the position of none.
pub(super) const NO_SLOT: SlotPosition = SlotPosition::MAX;

/// Not `LocalKey::set`, which is a call of its own, because it could be the first access.
#[inline(always)]
pub(super) fn set<T: 'static>(cell: impl FnOnce(&Cells) -> &Cell<T>, value: T) {
    CELLS.with(|cells| cell(cells).set(value));
}

#[inline(always)]
pub(super) fn get_cell<T: Copy + 'static>(cell: impl FnOnce(&Cells) -> &Cell<T>) -> T {
    CELLS.with(|cells| cell(cells).get())
}
