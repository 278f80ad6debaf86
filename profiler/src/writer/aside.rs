//! A file that cannot be got right because somebody reads it is left to him, under another name; and the
//! end of a recording waits for none that cannot.

use std::time::{Duration, Instant};

use spandrel_storage::{Error, ErrorKind, after};

use super::Writer;

/// How long a reader is waited for who keeps a file from being got right. Queries are shorter; who stays
/// longer has forgotten to end a transaction. Meanwhile the ring has to hold what comes.
const READER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the end of a recording waits for a file that is in the way and cannot be put aside.
const STUCK_TIMEOUT: Duration = Duration::from_secs(2);

impl Writer {
    /// Whether something is in hand for the file.
    fn has_records(&self) -> bool {
        self.pending.is_some() || !self.raw.is_empty() || !self.next.is_empty()
    }

    /// The file is not right, for this error of a try that began then.
    pub(super) fn not_recovered(&mut self, error: &Error, what: &'static str, began: Instant) {
        let (since, _) = *self.recovery_since.get_or_insert((began, what));
        let is_read = error.kind() == ErrorKind::Busy && since.elapsed() >= READER_TIMEOUT;
        self.refused_by(error, began);
        // At the end it is better left where it is, if nothing else is to be stored.
        if is_read && (!self.closing || self.has_records()) {
            self.step_aside(what);
        }
    }

    /// Somebody reads a file that cannot be got right beside him: it is left to him under another name.
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

    /// At the end: waits for the file to be got right, if it has to be; until the deadline, or for as long
    /// as a reader is waited for. A file that is still read then is left only for what is in hand.
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

    /// The deadline, but earlier if a file is in the way that cannot be put aside.
    pub(super) fn unless_stuck(&self, deadline: Instant) -> Instant {
        self.stuck_since.map_or(deadline, |since| deadline.min(after(since, STUCK_TIMEOUT)))
    }
}
