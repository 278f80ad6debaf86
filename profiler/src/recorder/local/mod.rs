//! What each thread keeps for itself: its ids, the spans it is in, and its partition of the ring.
//!
//! Most of it is plain cells without a destructor, which still answer while the thread's other
//! locals are being destroyed; they are reached through [`ThreadToken`]. What owns memory lives in [`ThreadState`](owned::ThreadState)
//! and is used where a field has to be formatted, or a stack is very deep.

mod cells;
mod chain;
mod ids;
mod link;
mod owned;
mod scope_slots;
pub(crate) mod state;
mod token;

use std::sync::Arc;

use spandrel_ring::{Lease, Owner, Table};

pub(crate) use self::chain::{Entered, Within};
#[cfg(feature = "crash-proof")]
use self::link::OUTSIDE;
pub(crate) use self::link::{Detailed, link_of};
pub(crate) use self::owned::{NoThreadState, with_thread_state, with_thread_state_in_user_code};
pub(crate) use self::token::{ThreadToken, Unavailable};

use self::cells::{CELLS, get_cell, set};
use self::owned::set_up;
use self::state::MUTED;
use crate::recorder::open_spans::{Link, SlotPosition, SpanSlot};
use crate::recorder::record::Slot;
use crate::recorder::recording::Recorder;

/// The calling thread's state for this profiler.
#[inline(always)]
pub(crate) fn get(recorder: &Arc<Recorder>) -> Result<ThreadToken, Unavailable> {
    let owner = state::owner(get_cell(|cells| &cells.state));
    if owner == recorder.id { Ok(ThreadToken(())) } else { set_up(recorder) }
}

/// The same, if nothing has to be done for it, with what [`Recorder::fast_owner`] says.
#[inline(always)]
pub(crate) fn get_if_owner(owner: u32) -> Option<ThreadToken> {
    (state::fast_owner(get_cell(|cells| &cells.state)) == owner).then_some(ThreadToken(()))
}

/// The same for a look at what the thread is in; also in code of the user's that runs in one of our
/// callbacks.
pub(crate) fn look(recorder: &Recorder) -> Option<ThreadToken> {
    (state::owner(get_cell(|cells| &cells.idle)) == recorder.id).then_some(ThreadToken(()))
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    set(|cells| &cells.idle, MUTED);
    set(|cells| &cells.state, MUTED);
}

/// In a forked child, where a table that lies in a file is empty: the thread is in no span, and keeps no slots. Only what is
/// safe in the handler of a signal is done.
#[cfg(feature = "crash-proof")]
pub(crate) fn forget_in_child() {
    CELLS.with(|cells| {
        cells.innermost.set(OUTSIDE);
        cells.unrecorded.set(0);
        cells.details_len.set(0);
        cells.details.iter().for_each(|detailed| detailed.set(Detailed::NONE));
        cells.free_len.set(0);
        cells.scope_free.set(cells::NO_SLOT);
        cells.scope_slots.set(0);
    });
}

/// Runs `f` with the thread's lease of this recorder's ring, if there is one. Whoever records meanwhile, from a signal
/// handler say, finds none and goes to the shared partition; and where a handler has turned the thread to another
/// profiler since its token was had, so does the caller.
pub(crate) fn with_lease_of<R>(owner: u32, f: impl FnOnce(&mut Lease<Slot>) -> R) -> Option<R> {
    // Asked when the lease is borrowed: the thread is not turned while that is so.
    let of_owner = |lease: &mut Lease<Slot>| {
        (state::owner(get_cell(|cells| &cells.idle)) == owner).then(|| f(lease))
    };
    CELLS.with(|cells| cells.lease.with(of_owner)).flatten()
}

/// The number of the calling thread, if the fast paths for its own spans are open to it; else what
/// is no thread's number.
#[inline(always)]
pub(crate) fn fast_thread() -> u32 {
    get_cell(|cells| &cells.state) as u32
}

/// The position of the slot that was used last.
#[inline(always)]
pub(crate) fn last_position() -> SlotPosition {
    get_cell(|cells| &cells.last_position)
}

/// The position of the innermost span, if that is of the first layer and the thread's own; else more
/// than any table has.
#[inline(always)]
pub(crate) fn innermost_own() -> SlotPosition {
    link::position_in(get_cell(|cells| &cells.innermost))
}

/// The link to the innermost span.
#[inline(always)]
pub(crate) fn innermost() -> Link {
    get_cell(|cells| &cells.innermost)
}

/// Whether a span that began at `start` was entered at an age from which on the end of the entry is left to the general
/// path.
#[inline(always)]
pub(crate) fn is_old(start: impl FnOnce() -> u64, entered: u64) -> bool {
    // Added, not subtracted: that needs no copy of either.
    entered >= start().wrapping_add(get_cell(|cells| &cells.long_age))
}

/// Runs `f` with the table of open spans of this recorder, if the cells are set up for it, its fast paths are open to the
/// thread, and none of our callbacks is at work.
#[inline(always)]
pub(crate) fn with_idle_table_of<R>(
    owner: Owner,
    f: impl FnOnce(ThreadToken, &Table<SpanSlot>) -> Option<R>,
) -> Option<R> {
    if state::is_code(get_cell(|cells| &cells.state)) {
        return None;
    }
    with_table_of(owner, f)
}

/// The same whatever is at work: for the end of what has begun before.
#[inline(always)]
pub(crate) fn with_table_of<R>(
    owner: Owner,
    f: impl FnOnce(ThreadToken, &Table<SpanSlot>) -> Option<R>,
) -> Option<R> {
    CELLS.with(|cells| cells.table.with_owned_by(owner, |table| f(ThreadToken(()), table)))
}

/// Whether the cells are set up for this recorder and this thread, to which the fast paths are open.
#[inline(always)]
pub(crate) fn is_fast(owner: u32, thread: u32) -> bool {
    get_cell(|cells| &cells.state) == u64::from(owner) << 32 | u64::from(thread)
}

/// The recorder that the thread's cells are or were set up for with this id, unless it is gone.
pub(crate) fn recorder_of(owner: u32) -> Option<Arc<Recorder>> {
    owned::recorder_of(owner)
}

/// For a thread that has been found to be the owner of a span, by [`fast_thread`].
#[inline(always)]
pub(crate) fn of_owner() -> ThreadToken {
    ThreadToken(())
}
