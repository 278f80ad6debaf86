//! For whom scopes are recorded without asking `tracing`.
//!
//! `tracing` says each time who records on a thread: it may have a subscriber of its own. As long as it is the
//! program's one, and there is one recorder, what a site was answered is still right. So a site keeps its answer, with the
//! number of changes that there had been; and looks whether the subscriber is the one that is there for all.
//!
//! There is no model of this in loom: each word is written whole and read by itself, and orders nothing. A number that was
//! read too late finds nothing but what the calling thread has itself under that number.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tracing_core::dispatcher::{self, Dispatch};

use crate::mutex::Mutex;

/// The recorder's id in the upper half, in the lower one how often anything has changed that the answers of sites
/// depend on, which is no 0.
static CURRENT: AtomicU64 = AtomicU64::new(1);
const CHANGE: u64 = u32::MAX as u64;

/// There is no recorder.
pub(crate) const NOBODY: u32 = 0;
/// There are several, who may be told of one span by one subscriber. No recorder's id.
pub(crate) const SEVERAL: u32 = u32::MAX;

/// Where the subscriber of all threads lies that have none of their own, once it has been seen to have one of our front
/// ends. It stays there.
static GLOBAL: AtomicUsize = AtomicUsize::new(0);

/// The ids of the recorders that have a front end, closed ones too: they count what comes too late.
static ALL: LazyLock<Mutex<Vec<u32>>> = LazyLock::new(Mutex::default);

/// Whom to record for, and since which change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) owner: u32,
    pub(crate) change: u32,
}

#[inline(always)]
pub(crate) fn get() -> Current {
    // Relaxed: an answer of a moment ago is as good, and whatever the recorder's threads need they have found by the
    // id that they keep themselves.
    let word = CURRENT.load(Ordering::Relaxed);
    Current { owner: (word >> 32) as u32, change: word as u32 }
}

/// Whether the calling thread has the subscriber that [`find_global`] has found.
///
/// By itself, for it saves registers where threads have subscribers of their own, and not where they have none.
#[inline(never)]
pub(crate) fn is_global() -> bool {
    dispatcher::get_default(is_found)
}

/// The same in line, for one place: a closure of its own, or the compiler would make one function of both.
#[inline(always)]
pub(crate) fn is_global_here() -> bool {
    // Relaxed: as in `is_found`.
    dispatcher::get_default(|dispatch| address(dispatch) == GLOBAL.load(Ordering::Relaxed))
}

#[inline]
fn is_found(dispatch: &Dispatch) -> bool {
    // Relaxed: an address to compare with.
    address(dispatch) == GLOBAL.load(Ordering::Relaxed)
}

fn address(dispatch: &Dispatch) -> usize {
    std::ptr::from_ref(dispatch).addr()
}

/// Whether this subscriber, which `get_default` has given, is the one of all threads that have none of their own. For one
/// that has a front end of ours. Not seen to be so while any thread has one of its own: the next time will do.
pub(crate) fn find_global(dispatch: &Dispatch) -> bool {
    let at = address(dispatch);
    if GLOBAL.load(Ordering::Relaxed) == at {
        return true;
    }
    // Inside of `get_default` it gives a thread's own subscriber no second time, but none, which is ours as little.
    let is_global = dispatcher::get_default(address) == at;
    if is_global {
        GLOBAL.store(at, Ordering::Relaxed);
    }
    is_global
}

/// A recorder has its first front end.
pub(crate) fn joined(id: u32) {
    set(|ids| ids.push(id));
}

/// A recorder is gone.
pub(crate) fn left(id: u32) {
    set(|ids| ids.retain(|known| *known != id));
}

/// Other spans are wanted than before, or in another way.
pub(crate) fn changed() {
    replace(|owner| owner);
}

fn set(what: impl FnOnce(&mut Vec<u32>)) {
    // None in a forked child that cannot have it: it records nothing.
    let Some(mut all) = ALL.lock() else { return };
    what(&mut all);
    let owner = match all[..] {
        [] => NOBODY,
        [id] => id,
        _ => SEVERAL,
    };
    replace(|_| owner);
}

fn replace(owner: impl Fn(u32) -> u32) {
    let next = |word: u64| {
        let owner = u64::from(owner((word >> 32) as u32));
        Some(owner << 32 | (word.wrapping_add(1) & CHANGE).max(1))
    };
    // Relaxed: as in `get`.
    _ = CURRENT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
}
