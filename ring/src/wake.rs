//! How a consumer sleeps and is woken.

use std::time::Duration;

use crate::sync::{Arc, AtomicBool, Ordering, Thread, current_thread};

/// Wakes the consumer of a ring from any thread.
///
/// A wake-up is never lost: if the consumer is not asleep, its next [`Consumer::park`] returns at
/// once. Waking is a system call at most; producers do it only when a partition passes half full.
///
/// [`Consumer::park`]: crate::Consumer::park
#[derive(Debug, Clone)]
pub struct Waker(Arc<Sleeper>);

#[derive(Debug)]
struct Sleeper {
    /// The thread that consumes, once it has parked for the first time.
    thread: std::sync::OnceLock<Thread>,
    /// Whether a wake-up came that no `park` has taken.
    token: AtomicBool,
}

impl Waker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Sleeper {
            thread: std::sync::OnceLock::new(),
            token: AtomicBool::new(false),
        }))
    }

    /// Wakes the consumer, or makes its next sleep end at once.
    pub fn wake(&self) {
        // AcqRel: pairs with the swap in `park`; what was done before the wake-up is visible to
        // the consumer that it wakes. A token that is already there spares the system call.
        if !self.0.token.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.0.thread.get()
        {
            thread.unpark();
        }
    }

    /// Makes the calling thread the one that `wake` wakes.
    pub(crate) fn register(&self) {
        // A second registration would be a second consumer thread; the first stays. The consumer
        // is `&mut` when it parks, so this happens only if it moved to another thread before.
        let _first_wins = self.0.thread.set(current_thread());
    }

    /// Sleeps until woken or until `timeout` has passed. Says whether it was woken.
    pub(crate) fn park(&self, timeout: Duration) -> bool {
        // AcqRel: pairs with the swap in `wake`.
        if self.0.token.swap(false, Ordering::AcqRel) {
            return true;
        }
        park_timeout(timeout);
        // AcqRel: as above.
        self.0.token.swap(false, Ordering::AcqRel)
    }
}

#[cfg(not(spandrel_loom))]
fn park_timeout(timeout: Duration) {
    std::thread::park_timeout(timeout);
}

/// Loom has no time: a sleep ends when somebody wakes the sleeper.
#[cfg(spandrel_loom)]
fn park_timeout(_timeout: Duration) {
    loom::thread::park();
}
