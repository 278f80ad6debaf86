//! A bound on the steps of SQLite's virtual machine, so that a call ends whatever is in a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::compat::Settled;

/// Steps between two checks, some ten microseconds.
const STRIDE: u32 = 500;
/// How long a call may take: a single step can be a function over long texts.
const TIME_MAX: Duration = Duration::from_secs(2);

/// How many steps a connection may still take, and until when. If there are none left, a statement ends
/// with `SQLITE_INTERRUPT`.
#[derive(Debug, Clone)]
pub struct Steps {
    strides_left: Arc<AtomicU32>,
    strides_max: u32,
    /// What `ends_ms` counts from.
    origin: Instant,
    ends_ms: Arc<AtomicU64>,
}

impl Steps {
    /// Limits a connection.
    pub fn limit(conn: &mut Connection, most: u32) -> rusqlite::Result<Self> {
        let steps = Self {
            strides_left: Arc::default(),
            strides_max: most / STRIDE,
            origin: Instant::now(),
            ends_ms: Arc::default(),
        };
        steps.begin();
        let own = steps.clone();
        conn.progress_handler(STRIDE as i32, Some(move || own.take_stride())).settled()?;
        Ok(steps)
    }

    /// Takes some steps. Returns whether there are not so many left.
    fn take_stride(&self) -> bool {
        // Relaxed, here and below: one thread has the connection.
        let rest = self.strides_left.load(Ordering::Relaxed);
        let is_late = self.now_ms() > self.ends_ms.load(Ordering::Relaxed);
        let left = if is_late { 0 } else { rest.saturating_sub(1) };
        self.strides_left.store(left, Ordering::Relaxed);
        rest == 0 || is_late
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Removes the limit of a connection.
    pub fn unlimited(conn: &mut Connection) -> rusqlite::Result<()> {
        conn.progress_handler(0, None::<fn() -> bool>).settled()
    }

    /// Starts counting again.
    pub fn begin(&self) {
        self.strides_left.store(self.strides_max, Ordering::Relaxed);
        let most = TIME_MAX.as_millis() as u64;
        self.ends_ms.store(self.now_ms().saturating_add(most), Ordering::Relaxed);
    }

    /// Whether no steps are left.
    pub fn are_over(&self) -> bool {
        self.strides_left.load(Ordering::Relaxed) == 0
    }
}
