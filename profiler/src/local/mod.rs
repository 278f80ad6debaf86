//! What each thread keeps for itself: its ids, the spans it is in, and its partition of the ring.
//!
//! Most of it is plain cells without a destructor, which still answer while the thread's other
//! locals are being destroyed; they are reached through [`Hot`]. What owns memory lives in [`Cold`]
//! and is used where a field has to be formatted, or a stack is very deep.

mod cells;
mod chain;
mod ids;
mod owned;
mod state;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use spandrel_ring::{Borrowed, Lease};

pub(crate) use self::chain::{Detailed, Entered, Within};
pub(crate) use self::owned::Cold;
pub(crate) use self::state::{NO_OWNER, OWNERS};

use self::cells::{CELLS, get_cell, set};
use self::owned::{COLD, set_up};
use self::state::{IN_USER_CODE, MUTED, in_this_order};
use crate::open_spans::{OpenSpan, OpenSpans, Place};
use crate::record::Slot;
use crate::recorder::Recorder;

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
    let owner = state::owner(get_cell(|cells| &cells.state));
    if owner == recorder.id { Ok(Hot(())) } else { set_up(recorder) }
}

/// The same, if nothing has to be done for it, with what [`Recorder::quick_owner`] says.
#[inline(always)]
pub(crate) fn get_if_owner(owner: u32) -> Option<Hot> {
    (state::quick_owner(get_cell(|cells| &cells.state)) == owner).then_some(Hot(()))
}

/// The same for a look at what the thread is in; also in code of the user's that runs in one of our
/// callbacks.
pub(crate) fn look(recorder: &Recorder) -> Option<Hot> {
    (state::owner(get_cell(|cells| &cells.idle)) == recorder.id).then_some(Hot(()))
}

/// Why there is nothing that the thread owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCold {
    /// It is destroyed: the thread is ending.
    Gone,
    /// It is in use: the handler of a signal has interrupted the thread there. Memory must not be
    /// allocated instead: the thread may have been interrupted in its allocator.
    InUse,
}

/// Runs `f` with what the thread owns for the profiler that the cells are set up for.
#[inline(always)]
pub(crate) fn with_cold<R>(f: impl FnOnce(&mut Cold) -> R) -> Result<R, NoCold> {
    let run = |cold: &RefCell<Vec<Cold>>| match cold.try_borrow_mut() {
        Ok(mut all) => all.first_mut().map(f).ok_or(NoCold::Gone),
        Err(_) => Err(NoCold::InUse),
    };
    COLD.try_with(run).unwrap_or(Err(NoCold::Gone))
}

/// The same if `f` may run code of the user's, where the cells are set up.
pub(crate) fn with_cold_in_user_code<R>(f: impl FnOnce(&mut Cold) -> R) -> Result<R, NoCold> {
    with_cold(|cold| Hot(()).in_user_code(|| f(cold)))
}

/// From now on nothing is recorded on this thread.
pub(crate) fn mute_current_thread() {
    set(|cells| &cells.idle, MUTED);
    set(|cells| &cells.state, MUTED);
}

/// Runs `f` with the thread's lease, if there is one. Whoever records meanwhile, from a signal
/// handler say, finds none and goes to the shared partition.
pub(crate) fn with_lease<R>(f: impl FnOnce(&mut Lease<Slot>) -> R) -> Option<R> {
    CELLS.with(|cells| cells.lease.with(f))
}

/// The number of the calling thread, if the quick paths for its own spans are open to it; else what
/// is no thread's number.
#[inline(always)]
pub(crate) fn quick_thread() -> u32 {
    get_cell(|cells| &cells.state) as u32
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

/// Whether the end of an entry of a span of this thread's, which it has entered before, is left to the general
/// path. It began at `start`, and was entered at `entered`.
#[inline(always)]
pub(crate) fn may_be_recorded(head: u64, start: impl FnOnce() -> u64, entered: u64) -> bool {
    // Added, not subtracted: that needs no copy of either.
    let is_old = |age: u64| entered >= start().wrapping_add(age);
    head >= get_cell(|cells| &cells.long_head) || is_old(get_cell(|cells| &cells.long_age))
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

    /// The same for a thread to which the quick paths are open. What stands beside it is needed at the end
    /// of a change anyway.
    #[inline(always)]
    pub(crate) fn quick_head(self) -> u64 {
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

    /// What [`may_be_recorded`] goes by.
    pub(crate) fn set_long_lived(self, (head, age): (u64, u64)) {
        set(|cells| &cells.long_head, head);
        set(|cells| &cells.long_age, age);
    }

    #[inline(always)]
    pub(crate) fn set_last_place(self, place: Place) {
        set(|cells| &cells.last_place, place);
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

    /// A free place that the thread has kept.
    pub(crate) fn take_place(self, open: &OpenSpans) -> Option<Place> {
        self.in_change(|| Some(self.take_place_in_change(open)?.0)).flatten()
    }

    /// The same for whoever has [begun a change](Self::begin_change).
    #[inline(always)]
    pub(crate) fn take_place_in_change(self, open: &OpenSpans) -> Option<(Place, &OpenSpan)> {
        let last = get_cell(|cells| &cells.free_len).wrapping_sub(1);
        let place = CELLS.with(|cells| cells.free.get(last as usize).map(Cell::get))?;
        let span = open.get(place)?;
        set(|cells| &cells.free_len, last);
        Some((place, span))
    }

    /// Keeps a place that is free again for the thread's next span, if it has not enough of them. For a
    /// thread that has just taken the quick path for a span of its own, and so is in no change.
    #[inline(always)]
    pub(crate) fn keep_place(self, place: Place) -> bool {
        self.begin_change();
        let len = get_cell(|cells| &cells.free_len);
        let kept = CELLS.with(|cells| cells.free.get(len as usize).map(|free| free.set(place)));
        if kept.is_some() {
            set(|cells| &cells.free_len, len + 1);
        }
        self.end_change();
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
