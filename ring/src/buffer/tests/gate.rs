//! What the tests have in common: a processor that goes on when the test says so, and a log of what it saw.

use std::convert::Infallible;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::buffer::batch::Batch;
use crate::buffer::metrics::Metrics;
use crate::buffer::options::Options;
use crate::buffer::queue::Queue;
use crate::buffer::sync::lock;

/// After so long a test has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
pub(super) const NEVER: Duration = Duration::MAX;
pub(super) const SOON: Duration = Duration::from_millis(1);

/// One partition, and nothing by time.
pub(super) fn still() -> Options {
    Options::new().partitions(1).interval(NEVER).time_out(NEVER).backoff(Duration::ZERO)
}

/// What a processor has seen, and how far it may go.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// In the processor: comes, and waits until it may go.
    pub(super) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let turn = state.0;
        self.changed.notify_all();
        let until = Instant::now() + PATIENCE;
        while state.1 < turn {
            assert!(Instant::now() < until, "the gate was never opened");
            state = self.changed.wait_timeout(state, PATIENCE).unwrap().0;
        }
    }

    /// Waits until so many have come.
    pub(super) fn wait_for(&self, comers: usize) {
        let mut state = self.state.lock().unwrap();
        let until = Instant::now() + PATIENCE;
        while state.0 < comers {
            assert!(Instant::now() < until, "{} of {comers} have come", state.0);
            state = self.changed.wait_timeout(state, PATIENCE).unwrap().0;
        }
    }

    /// Lets so many go, in all.
    pub(super) fn open(&self, comers: usize) {
        self.state.lock().unwrap().1 = comers;
        self.changed.notify_all();
    }
}

/// What was processed.
pub(super) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Log<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn extend(&self, items: &[T]) {
        self.0.lock().unwrap().extend_from_slice(items);
    }

    pub(super) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A queue that logs what it processes.
pub(super) fn logging(options: Options) -> (Queue<u64>, Log<u64>) {
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder()
        .options(options)
        .start(move |batch: &Batch<u64>| {
            seen.extend(batch);
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (queue, log)
}

/// Looks again and again until it is so.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::yield_now();
    }
}

/// The watch has seen what waits, and sleeps.
pub(super) fn until_it_is_still(queue: &Queue<u64>) {
    until("it is still", || {
        let control = lock(&queue.core().control);
        !control.look && control.asleep_until != 0
    });
}

/// Each item that was accepted is somewhere.
pub(super) fn assert_adds_up(metrics: &Metrics) {
    let Metrics { waiting, in_flight, updates, processed, dead, taken, deleted, .. } = metrics;
    let somewhere = (waiting + in_flight) as u64 + updates + processed + dead + taken + deleted;
    assert_eq!(metrics.accepted, somewhere, "{metrics:?}");
}
