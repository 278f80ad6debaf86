//! A time limit, so that a hang is a failure.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ends the process with a message unless it is dropped in time.
#[derive(Debug)]
#[must_use = "the limit ends when it is dropped"]
pub struct TimeLimit {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Allows the rest of the test so many seconds of a quiet machine, times `SPANDREL_TEST_PATIENCE` (default
/// 4, since machines that build are not), for slow machines and sanitizers.
///
/// A hung thread cannot be ended, so the whole process goes; the message names the test.
pub fn time_limit(seconds: u64) -> TimeLimit {
    let patience = std::env::var("SPANDREL_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(seconds) * patience.unwrap_or(4);
    let test = std::thread::current().name().unwrap_or("the test").to_owned();
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{test} has not ended within {limit:?}: aborting");
            std::process::abort();
        }
    });
    TimeLimit { done: Some(done), thread: Some(thread) }
}

/// How often a test of chance is repeated: `default`, or `SPANDREL_TEST_ROUNDS` (scripts/soak.sh).
pub fn rounds(default: u64) -> u64 {
    std::env::var("SPANDREL_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// These cases, as often as [`rounds`] says, with so many seconds for each time: see [`time_limit`].
pub fn repeated<T: Copy>(cases: &[T], often: u64, seconds: u64) -> impl Iterator<Item = T> {
    let rounds = rounds(often);
    let limit = time_limit(seconds * rounds);
    cases.repeat(rounds as usize).into_iter().inspect(move |_| _ = &limit)
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // It only waits for the line above.
            let _ = thread.join();
        }
    }
}
