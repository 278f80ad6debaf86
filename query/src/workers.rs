//! How many threads read a profile, and a parallel for-each.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// More threads read no faster than memory and disk allow.
const WORKERS_MAX: usize = 8;

/// How rows are read ahead by other threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadAhead {
    /// Threads that read ahead, beside the calling one.
    pub(crate) threads: usize,
    /// Threads that each sum up what they read, likewise.
    pub(crate) folding: usize,
    /// Leaves in a part that a thread reads at a time.
    pub(crate) leaves: usize,
    /// The same for stacks, where most ancestors of a span should be in the same part.
    pub(crate) leaves_of_stacks: usize,
    /// Rows that are handed over at once, some 200 bytes each.
    pub(crate) rows: u32,
}

impl ReadAhead {
    /// By the number of processors. More than three threads read ahead faster than rows are taken.
    pub(crate) fn usual() -> Self {
        let folding = workers().saturating_sub(1);
        Self { threads: folding.min(3), folding, leaves: 128, leaves_of_stacks: 2_048, rows: 2_048 }
    }
}

/// The number of processors, up to a bound: each thread has a connection and sums of its own.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(WORKERS_MAX))
}

/// Calls `each` for each item on `workers` threads, or fewer if the system does not give more; in any order.
pub(crate) fn each_of<T: Send>(all: Vec<T>, workers: usize, each: impl Fn(T) + Sync) {
    let others = workers.min(all.len()).saturating_sub(1);
    let queue = Mutex::new(all.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(one) = next() {
            each(one);
        }
    };
    thread::scope(|scope| {
        for _ in 0..others {
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn each_is_called_once_however_many_threads_there_are() {
        for count in [0, 1, 2, 100] {
            for workers in [0, 1, 2, 3, 7] {
                let (calls, sum) = (AtomicU64::new(0), AtomicU64::new(0));
                each_of((0..count).collect(), workers, |one: u64| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    sum.fetch_add(one, Ordering::Relaxed);
                });
                assert_eq!(calls.into_inner(), count);
                assert_eq!(sum.into_inner(), (0..count).sum::<u64>());
            }
        }
    }
}
