//! A line that says how far something is: on the standard error, only on a terminal, and only for what
//! takes longer than a moment.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::{Output, text};

/// What takes less is not worth a line.
const PATIENCE: Duration = Duration::from_millis(300);
/// Nobody reads faster.
const PAUSE: Duration = Duration::from_millis(100);
const RETURN_AND_CLEAR: &str = "\r\x1b[K";

/// The line; it goes away with this.
#[derive(Debug)]
pub(crate) struct Progress {
    is_watched: bool,
    ascii: bool,
    due: Instant,
    is_shown: bool,
}

impl Output {
    /// Begins something that may take a while.
    pub(crate) fn progress(&self) -> Progress {
        let is_watched = !self.quiet && io::stderr().is_terminal();
        let due = Instant::now() + PATIENCE;
        Progress { is_watched, ascii: self.ascii || !super::is_utf8(), due, is_shown: false }
    }
}

impl Progress {
    /// Shows the line, if it is time to.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let now = Instant::now();
        if !self.is_watched || now < self.due {
            return;
        }
        self.due = now + PAUSE;
        self.is_shown = true;
        let columns =
            terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
        let mut line: String =
            line().chars().take(usize::from(columns).saturating_sub(1)).collect();
        if self.ascii {
            line = text::ascii(&line);
        }
        self.write(&format!("{RETURN_AND_CLEAR}{line}"));
    }

    fn write(&self, text: &str) {
        let mut out = io::stderr().lock();
        // Nobody is left to tell if that fails.
        let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            self.write(RETURN_AND_CLEAR);
        }
    }
}
