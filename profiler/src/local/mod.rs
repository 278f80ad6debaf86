//! What each thread keeps for itself: its ids, the spans it is in, and its partition of the ring.
//!
//! Most of it is plain cells without a destructor, which still answer while the thread's other
//! locals are being destroyed; they are reached through [`Hot`]. What owns memory lives in [`Cold`]
//! and is used where a field has to be formatted, or a stack is very deep.

mod cells;
mod chain;
mod ids;
mod owned;

use std::cell::Cell;
use std::sync::Arc;

use spandrel_ring::{Borrowed, Lease};

pub(crate) use self::chain::{Detailed, Entered};
pub(crate) use self::owned::Cold;

use self::cells::{CELLS, get_cell, set};
use self::owned::{COLD, set_up};
use crate::open_spans::{OpenSpan, OpenSpans, Place};
use crate::record::Slot;
use crate::recorder::Recorder;

/// `OWNER` of a thread that has not recorded yet.
const NOBODY: u64 = 0;
/// `OWNER` of a thread of which nothing is recorded or counted: a writer.
const MUTED: u64 = u64::MAX;
/// Set in `OWNER` while code of the user's runs inside one of our callbacks: a callback that
/// finds it was called by a field's `Debug`.
const IN_USER_CODE: u64 = 1 << 63;

/// What no thread's number is, nor what becomes of one in the `head` of a span, nor that less
/// `INSIDE`.
const NO_THREAD: u32 = 1 << 30;
/// What `OWNER` never is.
pub(crate) const NO_OWNER: u64 = 1 << 62;

/// The part of a thread's state that every callback uses. Whoever has this has found it set up for
/// the profiler in question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot(());

/// Why a thread's state cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Another callback of ours is running on this thread.
    Reentrant,
    /// The thread is a writer.
    Muted,
}

/// The calling thread's state for this profiler.
#[inline(always)]
pub(crate) fn get(recorder: &Arc<Recorder>) -> Result<Hot, Unavailable> {
    if get_cell(|cells| &cells.owner) == recorder.id { Ok(Hot(())) } else { set_up(recorder) }
}

/// The same, if nothing has to be done for it, with what [`Recorder::quick_owner`] says.
#[inline(always)]
pub(crate) fn get_if_owner(owner: u64) -> Option<Hot> {
    (get_cell(|cells| &cells.owner) == owner).then_some(Hot(()))
}

/// The same for a look at what the thread is in; also in code of the user's that runs in one of our
/// callbacks.
pub(crate) fn look(recorder: &Recorder) -> Option<Hot> {
    (get_cell(|cells| &cells.owner) & !IN_USER_CODE == recorder.id).then_some(Hot(()))
}

/// Runs `f` with what the thread owns for the profiler that the cells are set up for. `None`, and
/// `f` does not run, when that is destroyed: the thread is ending.
#[inline(always)]
pub(crate) fn with_cold<R>(f: impl FnOnce(&mut Cold) -> R) -> Option<R> {
    COLD.try_with(|cold| cold.try_borrow_mut().ok()?.first_mut().map(f)).ok().flatten()
}

/// The same if `f` may run code of the user's, where the cells are set up.
pub(crate) fn with_cold_in_user_code<R>(f: impl FnOnce(&mut Cold) -> R) -> Option<R> {
    with_cold(|cold| Hot(()).in_user_code(|| f(cold)))
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    set(|cells| &cells.owner, MUTED);
    set(|cells| &cells.quick_thread, NO_THREAD);
}

/// Runs `f` with the thread's lease, if there is one. Whoever records meanwhile, from a signal
/// handler say, finds none and goes to the shared partition.
pub(crate) fn with_lease<R>(f: impl FnOnce(&mut Lease<Slot>) -> R) -> Option<R> {
    let mut lease = CELLS.with(|cells| cells.lease.take())?;
    let result = f(&mut lease);
    CELLS.with(|cells| cells.lease.put(Some(lease)));
    Some(result)
}

/// The number of the calling thread, if the quick paths for its own spans are open to it; else what
/// is no thread's number.
#[inline(always)]
pub(crate) fn quick_thread() -> u32 {
    get_cell(|cells| &cells.quick_thread)
}

/// The place that was used last.
#[inline(always)]
pub(crate) fn last_place() -> Place {
    get_cell(|cells| &cells.last_place)
}

/// The place of the innermost span, if that is of the first layer and the thread's own; else more
/// than any table has.
#[inline(always)]
pub(crate) fn innermost_own() -> Place {
    get_cell(|cells| &cells.innermost)
}

/// For a thread that has been found to be the owner of a span, by [`quick_thread`].
#[inline(always)]
pub(crate) fn of_owner() -> Hot {
    Hot(())
}

impl Hot {
    #[inline(always)]
    pub(crate) fn thread(self) -> u32 {
        get_cell(|cells| &cells.thread)
    }

    /// `head` of a new span of this thread.
    #[inline(always)]
    pub(crate) fn head(self) -> u64 {
        u64::from(self.thread())
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

    #[inline(always)]
    pub(crate) fn set_last_place(self, place: Place) {
        set(|cells| &cells.last_place, place);
    }

    /// Runs `f`, in which code of the user's may run.
    #[inline(always)]
    pub(crate) fn in_user_code<R>(self, f: impl FnOnce() -> R) -> R {
        /// Ends the state also when `f` panics.
        struct Guard(u32);
        impl Drop for Guard {
            fn drop(&mut self) {
                set(|cells| &cells.owner, get_cell(|cells| &cells.owner) & !IN_USER_CODE);
                set(|cells| &cells.quick_thread, self.0);
            }
        }
        set(|cells| &cells.owner, get_cell(|cells| &cells.owner) | IN_USER_CODE);
        let _guard = Guard(get_cell(|cells| &cells.quick_thread));
        set(|cells| &cells.quick_thread, NO_THREAD);
        f()
    }

    /// A free place that the thread has kept.
    #[inline(always)]
    pub(crate) fn take_place(self, open: &OpenSpans) -> Option<(Place, &OpenSpan)> {
        let last = get_cell(|cells| &cells.free_len).wrapping_sub(1);
        let place = CELLS.with(|cells| cells.free.get(last as usize).map(Cell::get))?;
        let span = open.get(place)?;
        set(|cells| &cells.free_len, last);
        Some((place, span))
    }

    /// Keeps a place that is free again for the thread's next span, if it has not enough of them.
    #[inline(always)]
    pub(crate) fn keep_place(self, place: Place) -> bool {
        let len = get_cell(|cells| &cells.free_len);
        let kept = CELLS.with(|cells| cells.free.get(len as usize).map(|free| free.set(place)));
        if kept.is_some() {
            set(|cells| &cells.free_len, len + 1);
        }
        kept.is_some()
    }

    /// The place of an open span.
    pub(crate) fn find(self, open: &OpenSpans, layer: u16, key: u64) -> Option<(Place, &OpenSpan)> {
        let last = get_cell(|cells| &cells.last_place);
        // The place may be another profiler's, and lie beyond this table.
        if let Some(span) = open.get(last)
            && span.is(layer, key)
        {
            return Some((last, span));
        }
        let found = open.find(layer, key)?;
        set(|cells| &cells.last_place, found.0);
        Some(found)
    }
}
