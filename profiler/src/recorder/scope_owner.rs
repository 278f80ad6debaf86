//! For whom scopes are recorded without asking `tracing`.
//!
//! `tracing` says each time who records on a thread: it may have a subscriber of its own. As long as it is the
//! program's one, and there is one recorder, what a site was answered is still right. So a site keeps its answer, until
//! something changes that it depends on: whoever changes that takes back what all sites keep (see [`answers`]).
//! And it looks whether the subscriber is the one that is there for all.
//!
//! What a site keeps is for which recorder its scopes are recorded, and a thread keeps beside its table whose that is. So the
//! fast path of a scope compares the two, and knows all that is to be known of both.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;

use spandrel_ring::Owner;
use tracing_core::dispatcher::{self, Dispatch};

use crate::mutex::Mutex;
use crate::recorder::answers::{self, KeptAnswer};
use crate::recorder::chunks::Chunks;
use crate::sync::{AtomicU64, Ordering};

/// The recorder's id in the upper half, in the lower one how often anything has changed that the answers of sites
/// depend on, which is no 0.
#[cfg(not(spandrel_loom))]
static CURRENT: AtomicU64 = AtomicU64::new(1);
#[cfg(spandrel_loom)]
static CURRENT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(1));
const CHANGE: u64 = u32::MAX as u64;
const OWNER_SHIFT: u32 = 32;

/// What sites keep.
static KEPT: LazyLock<Chunks<&'static KeptAnswer>> = LazyLock::new(Chunks::default);

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

impl Current {
    fn of(word: u64) -> Self {
        Self { owner: owner_in(word), change: word as u32 }
    }

    /// The recorder, if there is one.
    pub(crate) fn recorder(self) -> Option<Owner> {
        NonZeroU32::new(self.owner).filter(|_| self.owner != SEVERAL).map(Owner::new)
    }
}

#[inline(always)]
fn owner_in(word: u64) -> u32 {
    (word >> OWNER_SHIFT) as u32
}

/// A look at it.
#[inline(always)]
pub(crate) fn look() -> Current {
    // Relaxed: an answer of a moment ago is as good, and whatever the recorder's threads need they have found by the
    // id that they keep themselves.
    Current::of(CURRENT.load(Ordering::Relaxed))
}

/// The same for whoever asks, and may keep what he is answered.
pub(crate) fn ask() -> Current {
    Current::of(answers::ask(&CURRENT))
}

/// Whether the calling thread has the subscriber that [`find_global`] has found.
///
/// By itself, for it saves registers where threads have subscribers of their own, and not where they have none.
#[inline(never)]
pub(crate) fn is_global() -> bool {
    dispatcher::get_default(is_found)
}

/// Whether this is the one that [`find_global`] has found.
#[inline(always)]
pub(crate) fn is_found(dispatch: &Dispatch) -> bool {
    // Relaxed: an address to compare with.
    address(dispatch) == GLOBAL.load(Ordering::Relaxed)
}

#[inline(always)]
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
        let owner = u64::from(owner(owner_in(word)));
        owner << OWNER_SHIFT | (word.wrapping_add(1) & CHANGE).max(1)
    };
    answers::change(&CURRENT, &KEPT, next);
}

/// Remembers who keeps answers. `false` if nothing can be kept there, this time at least.
pub(crate) fn can_keep(answer: &'static KeptAnswer) -> bool {
    answer.is_listed(&KEPT)
}
