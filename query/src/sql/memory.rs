//! Measures the memory of a query without changing settings of the whole process.
//!
//! SQLite has one limit for the whole process, which a library must not set: [`limit_process_memory`] is for programs
//! that only query a profile. Otherwise the memory of the process is measured while the query runs; allocations of
//! other threads count as the query's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use spandrel_storage::Error;
use spandrel_storage::internals::Context;

/// Between two looks; each takes some microseconds.
const INTERVAL: Duration = Duration::from_millis(2);

/// Limits the memory of SQLite in the *whole process*, for all its users, from now on. For a program's own
/// `main`; no other function of this crate changes settings of the process.
///
/// # Errors
///
/// When SQLite refuses.
pub fn limit_process_memory(bytes: u64) -> Result<(), Error> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    Connection::open_in_memory()
        .and_then(|conn| conn.pragma_update_and_check(None, "hard_heap_limit", bytes, |_| Ok(())))
        .context(":memory:".as_ref(), "limit the memory of the process")
}

/// Watches the memory of one query.
pub(super) struct Watch {
    before: u64,
    most: u64,
    last: Instant,
    exceeded: Arc<AtomicBool>,
}

impl Watch {
    /// Begins; the query may take `most` bytes, and `exceeded` tells later whether it took more.
    pub(super) fn begin(most: u64, exceeded: &Arc<AtomicBool>) -> Self {
        // Relaxed, and below: read by the thread that runs the query.
        exceeded.store(false, Ordering::Relaxed);
        let before = resident().unwrap_or(u64::MAX);
        Self { before, most, last: Instant::now(), exceeded: Arc::clone(exceeded) }
    }

    /// Whether the query has taken too much by now.
    pub(super) fn is_exceeded(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.last) < INTERVAL {
            return false;
        }
        self.last = now;
        let grown = resident().map_or(0, |now| now.saturating_sub(self.before));
        let exceeded = grown > self.most;
        self.exceeded.store(exceeded, Ordering::Relaxed);
        exceeded
    }
}

/// The bytes of memory that the process has, where the system tells.
fn resident() -> Option<u64> {
    /// What nearly all systems have; where it is more, a query may take more.
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok()?.checked_mul(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_noticed() {
        let exceeded = Arc::new(AtomicBool::new(true));
        let mut watch = Watch::begin(64 << 20, &exceeded);
        assert!(!exceeded.load(Ordering::Relaxed));
        assert!(!watch.is_exceeded(Instant::now() + INTERVAL));
        if resident().is_none() {
            return; // a system that does not tell
        }
        let grown = std::hint::black_box(vec![1_u8; 160 << 20]);
        assert!(watch.is_exceeded(Instant::now() + 2 * INTERVAL));
        assert!(exceeded.load(Ordering::Relaxed));
        drop(grown);
    }
}
