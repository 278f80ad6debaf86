//! What a thread is doing with its cells, in one word.
//!
//! ```text
//!   63                32 31                 0
//!  +--------------------+--------------------+
//!  | id of the recorder | the thread's number |   nothing: the cells are set up for this recorder
//!  | 0                  | a code             |   something else
//!  +--------------------+--------------------+
//! ```
//!
//! In the lower half stands a number if the fast paths for the thread's own spans are open to it, else a
//! code, which is no thread's number.
//!
//! # Signals
//!
//! The handler of a signal may interrupt its thread between any two instructions of a callback, and open
//! spans itself. It runs from its beginning to its end meanwhile, so whatever it changes *and
//! changes back* needs no care: the innermost span, the lease that is borrowed. What it does not change
//! back, the block of ids and the list of free slots for spans, is changed in one state only, `BUSY`. A callback
//! that finds the thread `BUSY` has interrupted it there: it is nobody's fast path, because neither half of the
//! word fits, and the general one takes ids and slots from where all threads do.
//!
//! The fast path of a [scope](super::scope_slots) is in that state while it takes an id, and not longer: its slots are of scopes
//! alone, and those are opened and ended in a fast way only by whoever has the thread's table of open spans, which a handler
//! that has interrupted him does not find.
//!
//! The thread and its handlers are one thread, so this is no matter of atomics, but of what the
//! compiler may reorder; hence its fences, which are no instructions.

use std::sync::atomic::{Ordering, compiler_fence};

/// What no thread's number is, nor what becomes of one in the `head` of a span, nor that less
/// `INSIDE`.
pub(super) const NO_THREAD: u32 = 1 << 30;

/// The thread has not recorded yet.
pub(super) const NOBODY: u64 = NO_THREAD as u64;
/// Ids or slots are being taken from the cells, or put there.
pub(super) const BUSY: u64 = NOBODY + 1;
/// Code of the user's runs inside one of our callbacks, or the cells are being set up: a callback
/// that finds this was called by a field's `Debug`, say.
pub(super) const IN_USER_CODE: u64 = NOBODY + 2;
/// Nothing of the thread is recorded or counted: a writer.
pub(super) const MUTED: u64 = NOBODY + 3;

/// Set in the id of the recorder if a thread is to take no fast path, because it shares its number.
const SLOW: u32 = 1 << 31;
/// Most different ids of recorders.
pub(crate) const OWNERS: u32 = SLOW - 2;
/// What no recorder's id is.
pub(crate) const NO_OWNER: u32 = SLOW - 1;

/// `state` of a thread that is set up for this recorder.
pub(super) fn idle(recorder: u32, thread: u32, is_fast: bool, has_number: bool) -> u64 {
    let owner = if has_number { recorder } else { recorder | SLOW };
    u64::from(owner) << 32 | u64::from(if is_fast { thread } else { NO_THREAD })
}

/// Whether the cells are not set up, or something else goes on: a code.
#[inline(always)]
pub(super) fn is_code(state: u64) -> bool {
    fast_owner(state) == 0
}

/// The recorder that may take its fast paths for new spans in this state.
#[inline(always)]
pub(super) fn fast_owner(state: u64) -> u32 {
    (state >> 32) as u32
}

/// The recorder that the cells are set up for in this state.
#[inline(always)]
pub(super) fn owner(state: u64) -> u32 {
    fast_owner(state) & !SLOW
}

/// Keeps the compiler from moving memory accesses from one side to the other. Orders nothing between
/// threads, and is no instruction.
#[inline(always)]
pub(super) fn in_this_order() {
    compiler_fence(Ordering::AcqRel);
}
