//! The part of a thread's state that every callback uses.

use std::cell::Cell;

use spandrel_ring::{Borrowed, Table};

use super::cells::{CELLS, get_cell, set};
use super::state::{BUSY, IN_USER_CODE, in_this_order};
use crate::recorder::open_spans::{OpenSpans, SlotPosition, SpanSlot};
use crate::recorder::record::Slot;

/// The part of a thread's state that every callback uses. Whoever has this has found it set up for
/// the profiler in question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadToken(pub(super) ());

/// Why a thread's state cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Another callback of ours is running on this thread.
    Reentrant,
    /// The thread is a writer.
    Muted,
}

impl ThreadToken {
    #[inline(always)]
    pub(crate) fn thread(self) -> u32 {
        get_cell(|cells| &cells.thread)
    }

    /// `head` of a new span of this thread.
    #[inline(always)]
    pub(crate) fn head(self) -> u64 {
        u64::from(self.thread())
    }

    /// The same for a thread to which the fast paths are open. What stands beside it is needed at the end
    /// of a change anyway.
    #[inline(always)]
    pub(crate) fn fast_head(self) -> u64 {
        u64::from(get_cell(|cells| &cells.idle) as u32)
    }

    /// Borrows the thread's partition, if it has one, for the moment of one publication.
    #[inline(always)]
    pub(crate) fn borrow_lease(self) -> Option<Borrowed<Slot>> {
        CELLS.with(|cells| cells.lease.borrow())
    }

    #[inline(always)]
    pub(crate) fn give_lease_back(self, lease: Borrowed<Slot>) {
        CELLS.with(|cells| cells.lease.give_back(lease));
    }

    /// What [`is_old`](super::is_old) goes by.
    pub(crate) fn set_long_age(self, age: u64) {
        set(|cells| &cells.long_age, age);
    }

    /// The header of the record of a scope in which nothing was out of the ordinary.
    #[inline(always)]
    pub(crate) fn scope_header(self) -> u64 {
        get_cell(|cells| &cells.scope_header)
    }

    #[inline(always)]
    pub(crate) fn set_last_position(self, position: SlotPosition) {
        set(|cells| &cells.last_position, position);
    }

    /// Runs `f`, in which code of the user's may run.
    #[inline(always)]
    pub(crate) fn in_user_code<R>(self, f: impl FnOnce() -> R) -> R {
        /// Ends the state also when `f` panics.
        struct Guard(u64);
        impl Drop for Guard {
            fn drop(&mut self) {
                in_this_order();
                set(|cells| &cells.state, self.0);
            }
        }
        let _guard = Guard(CELLS.with(|cells| cells.state.replace(IN_USER_CODE)));
        in_this_order();
        f()
    }

    /// A free slot that the thread has kept.
    pub(crate) fn take_slot(self, open: &OpenSpans) -> Option<SlotPosition> {
        self.in_change(|| Some(self.take_slot_in_change(open)?.0)).flatten()
    }

    /// The same for whoever has [begun a change](Self::begin_change).
    #[inline(always)]
    pub(crate) fn take_slot_in_change(self, open: &OpenSpans) -> Option<(SlotPosition, &SpanSlot)> {
        self.take_slot_of(open.slots())
    }

    /// The same of this table, which is the recorder's.
    #[inline(always)]
    pub(crate) fn take_slot_of(self, open: &Table<SpanSlot>) -> Option<(SlotPosition, &SpanSlot)> {
        let last = get_cell(|cells| &cells.free_len).wrapping_sub(1);
        let position = CELLS.with(|cells| cells.free.get(last as usize).map(Cell::get))?;
        let span = open.get(position as usize)?;
        set(|cells| &cells.free_len, last);
        Some((position, span))
    }

    /// Gives back the slot that [`take_slot_in_change`](Self::take_slot_in_change) has given last, in the same change.
    #[inline(always)]
    pub(crate) fn put_slot_back(self) {
        set(|cells| &cells.free_len, get_cell(|cells| &cells.free_len) + 1);
    }

    /// Keeps a slot that is free again for the thread's next span, if it has not enough of them. For a
    /// thread that has just taken the fast path for a span of its own, and so is in no change.
    #[inline(always)]
    pub(crate) fn keep_slot(self, position: SlotPosition) -> bool {
        self.begin_change();
        let len = get_cell(|cells| &cells.free_len);
        let kept = CELLS.with(|cells| cells.free.get(len as usize).map(|free| free.set(position)));
        if kept.is_some() {
            set(|cells| &cells.free_len, len + 1);
        }
        self.end_change();
        kept.is_some()
    }

    /// The slot of an open span.
    pub(crate) fn find(
        self,
        open: &OpenSpans,
        layer: u16,
        key: u64,
    ) -> Option<(SlotPosition, &SpanSlot)> {
        let last = get_cell(|cells| &cells.last_position);
        // The slot may be another profiler's, and lie beyond this table.
        if let Some(span) = open.get(last)
            && span.is(layer, key)
        {
            return Some((last, span));
        }
        let found = open.find(layer, key)?;
        set(|cells| &cells.last_position, found.0);
        Some(found)
    }

    /// From now on, until [`end_change`](Self::end_change), the ids and slots in the cells are the
    /// caller's alone. The thread must not be in this state already.
    #[inline(always)]
    pub(crate) fn begin_change(self) {
        set(|cells| &cells.state, BUSY);
        in_this_order();
    }

    #[inline(always)]
    pub(crate) fn end_change(self) {
        in_this_order();
        set(|cells| &cells.state, get_cell(|cells| &cells.idle));
    }

    /// Runs `f` where the ids and slots in the cells are its own; `None` if the thread was
    /// interrupted where they are somebody else's.
    #[inline]
    pub(super) fn in_change<R>(self, f: impl FnOnce() -> R) -> Option<R> {
        if get_cell(|cells| &cells.state) == BUSY {
            return None;
        }
        self.begin_change();
        let result = f();
        self.end_change();
        Some(result)
    }
}
