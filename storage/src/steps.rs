//! A bound on the steps of SQLite's machine, so that a call ends whatever stands in a file.

use std::panic::RefUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use crate::compat::Settled;

/// Steps between two looks at what is left, some ten microseconds.
const STRIDE: u32 = 500;

/// How many steps a connection may still take. When there are none left a statement ends with
/// `SQLITE_INTERRUPT`.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    strides_left: Arc<AtomicU32>,
    strides_max: u32,
}

impl Steps {
    /// Limits a connection.
    pub(crate) fn limit(conn: &mut Connection, most: u32) -> rusqlite::Result<Self> {
        Self::limit_until(conn, most, || false)
    }

    /// Limits a connection also by something else, such as a deadline.
    pub(crate) fn limit_until(
        conn: &mut Connection,
        most: u32,
        mut is_over: impl FnMut() -> bool + Send + RefUnwindSafe + 'static,
    ) -> rusqlite::Result<Self> {
        let strides_max = most / STRIDE;
        // Relaxed, here and below: one thread has the connection.
        let strides_left = Arc::new(AtomicU32::new(strides_max));
        let left = Arc::clone(&strides_left);
        let handler = move || {
            let rest = left.load(Ordering::Relaxed);
            left.store(rest.saturating_sub(1), Ordering::Relaxed);
            rest == 0 || is_over()
        };
        conn.progress_handler(STRIDE as i32, Some(handler)).settled()?;
        Ok(Self { strides_left, strides_max })
    }

    /// Takes the limit of a connection away.
    pub(crate) fn unlimited(conn: &mut Connection) -> rusqlite::Result<()> {
        conn.progress_handler(0, None::<fn() -> bool>).settled()
    }

    /// Counts anew.
    pub(crate) fn begin(&self) {
        self.strides_left.store(self.strides_max, Ordering::Relaxed);
    }

    /// Whether all of them are taken.
    pub(crate) fn are_over(&self) -> bool {
        self.strides_left.load(Ordering::Relaxed) == 0
    }
}
