//! How far the workers of a stage have come, and whether there are any: in one word, so that who joins, who takes and who
//! leaves agree without a lock.
//!
//! The word has a sequence, below which everything is taken and which never sinks, and a state:
//!
//! * *vacant*: there is no worker, and the sequence says nothing. Who joins sets it, and makes it live;
//! * *live*: there are workers;
//! * *left by a place*: the worker of that place is leaving, and looks whether it is the last.
//!
//! # Leaving
//!
//! A worker that leaves marks its place, which is no worker's from then on; then it marks the word as left by that
//! place, then looks at all places, and if there is no worker, makes the word vacant; by a compare-and-swap, which
//! fails if anybody has changed the word since. Whoever has changed it has seen that this one has gone, and the
//! decision is theirs:
//!
//! * a newcomer, or a worker that took something, is there now, and will leave itself;
//! * another one that leaves marked the word for its own place, and looks at all places afterwards.
//!
//! Before it becomes a worker, a newcomer has a place that says so, and then changes the word, also one that is live
//! already. If that comes before the mark of one that leaves, that one's look finds the place; if it comes after
//! it, it takes the mark away. So the word of a stage that has workers is never vacant; and when all have left it is.
//!
//! The mark names the place, which is given to nobody else meanwhile: so a mark is not taken for a later one of somebody
//! else. Nobody waits, and each step of leaving can be done again by somebody else, were a worker to die in it.

use crate::sync::{AtomicU64, Ordering};

/// No sequence is so large, so that there is room for a state beside it: a ring closes itself before. In 10 years, at 100
/// million slots a second.
pub(crate) const LAST: u64 = 1 << 55;

/// Bits of the state.
const STATE: u32 = 8;
const VACANT: u64 = 0;
const LIVE: u64 = 1;
/// Left by the first place, and so on.
const LEFT: u64 = 2;

/// As many places can have workers.
pub(crate) const PLACES: usize = (1 << STATE) - LEFT as usize;

const _: () = assert!(LAST <= u64::MAX >> STATE);

#[derive(Debug)]
pub(crate) struct Work(AtomicU64);

/// What the word says at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken(u64);

impl Taken {
    fn new(until: u64, state: u64) -> Self {
        Self(until << STATE | state)
    }

    /// Everything below is taken.
    pub(crate) fn until(self) -> u64 {
        self.0 >> STATE
    }

    fn state(self) -> u64 {
        self.0 & ((1 << STATE) - 1)
    }

    pub(crate) fn is_vacant(self) -> bool {
        self.state() == VACANT
    }
}

impl Work {
    pub(crate) fn new(until: u64) -> Self {
        Self(AtomicU64::new(Taken::new(until, VACANT).0))
    }

    /// With all that whoever moved it has seen and done before.
    #[inline]
    pub(crate) fn now(&self) -> Taken {
        // Acquire: pairs with the Release of the compare-and-swaps below.
        Taken(self.0.load(Ordering::Acquire))
    }

    /// For figures.
    pub(crate) fn figure(&self) -> Taken {
        // Relaxed: a figure.
        Taken(self.0.load(Ordering::Relaxed))
    }

    fn change(&self, from: Taken, to: Taken) -> bool {
        // AcqRel: each change comes after the one before it, and hands over what was done before; see the module.
        // Relaxed when it fails: what is there then is loaded again.
        self.0.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes what lies between; by a worker.
    #[inline]
    pub(crate) fn take(&self, from: Taken, until: u64) -> bool {
        self.change(from, Taken::new(until, LIVE))
    }

    /// A newcomer, whose place says so already. The first one begins at `start`, or behind what was taken before.
    pub(crate) fn join(&self, start: u64) {
        loop {
            let now = self.now();
            let until = if now.is_vacant() { now.until().max(start) } else { now.until() };
            // Also if nothing changes, so that it comes before or after the mark of one that leaves.
            if self.change(now, Taken::new(until, LIVE)) {
                return;
            }
        }
    }

    /// One whose place says already that it is leaving. `is_last` looks at all places; `before_vacant` is called, with how
    /// far the workers came, before that says nothing any more.
    pub(crate) fn leave(
        &self,
        place: usize,
        is_last: impl FnOnce() -> bool,
        before_vacant: impl FnOnce(u64),
    ) {
        let left = loop {
            let now = self.now();
            if now.is_vacant() {
                // Another one was the last to leave.
                return;
            }
            let left = Taken::new(now.until(), LEFT + place as u64);
            if self.change(now, left) {
                break left;
            }
        };
        if is_last() {
            before_vacant(left.until());
            // If not, it is for who has changed it.
            self.change(left, Taken::new(left.until(), VACANT));
        }
    }
}
