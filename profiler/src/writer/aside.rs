//! A file that cannot be repaired because another process reads it is moved aside, under another name.
//! And at the end of a recording, such files are waited for only so long.

use std::time::{Duration, Instant};

use spandrel_storage::{Error, ErrorKind, after};

use super::Writer;

/// How long to wait for a reader that keeps a file from being repaired. Queries are shorter; a reader
/// that takes longer has forgotten to end a transaction. Meanwhile the ring has to hold what comes.
const READER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of a recording waits for a file that is in the way and cannot be moved aside.
const STUCK_TIMEOUT: Duration = Duration::from_secs(2);

impl Writer {
    /// Whether there are records or rows that still have to be stored.
    fn has_records(&self) -> bool {
        self.pending.is_some() || !self.raw.is_empty() || !self.next.is_empty()
    }

    /// The try to repair the file that began then has failed with this error.
    pub(super) fn not_recovered(&mut self, error: &Error, what: &'static str, began: Instant) {
        let (since, _) = *self.recovery_since.get_or_insert((began, what));
        let is_read = error.kind() == ErrorKind::Busy && since.elapsed() >= READER_TIMEOUT;
        self.refused_by(error, began);
        // At the end of the recording the file better stays where it is, if nothing more has to be
        // stored.
        if is_read && (!self.closing || self.has_records()) {
            self.step_aside(what);
        }
    }

    /// A reader keeps the file from being repaired: moves it aside, under another name.
    fn step_aside(&mut self, what: &str) {
        let began = Instant::now();
        let Some(store) = &mut self.store else { return };
        match store.step_aside() {
            Ok(()) => self.leave_renamed_file(&format!("{what}, and somebody still reads it")),
            Err(error) => {
                self.stuck_since.get_or_insert(began);
                self.refused_by(&error, began);
            }
        }
    }

    /// At the end: waits until the file is repaired, if it has to be; at most until the deadline, and no
    /// longer than for any reader. A file that is still read then is moved aside only if there is
    /// something more to be stored.
    pub(super) fn await_file(&mut self, deadline: Instant, in_hand: bool) {
        while self.store.is_some() && !self.is_in_place && Instant::now() < deadline {
            if let Some((since, what)) = self.recovery_since
                && since.elapsed() >= READER_TIMEOUT
            {
                if in_hand {
                    self.step_aside(what);
                }
                return;
            }
            let until = self.backoff.until().min(deadline);
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            self.look_after_file();
        }
    }

    /// The deadline; an earlier one if there is a file in the way that cannot be moved aside.
    pub(super) fn unless_stuck(&self, deadline: Instant) -> Instant {
        self.stuck_since.map_or(deadline, |since| deadline.min(after(since, STUCK_TIMEOUT)))
    }
}
