//! Small numbers for threads.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::record::THREAD_MAX;

/// What is known of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadInfo {
    pub(crate) number: u32,
    /// The system's id of the thread, 0 where it is not known.
    pub(crate) os_id: u64,
    pub(crate) name: Option<String>,
}

/// Hands out thread numbers from 1; each thread asks once, at its first span. No two threads of a
/// process have the same number, nor has one thread in two recordings: so the number of a span's owner
/// also tells whose span it is.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<Vec<ThreadInfo>>);

impl Threads {
    /// Registers the calling thread. Beyond 16,777,214 threads all share the last number.
    pub(crate) fn register_current(&self) -> u32 {
        static NUMBERS: AtomicU32 = AtomicU32::new(1);
        let info = ThreadInfo { number: 0, os_id: os_thread_id(), name: current_name() };
        // Relaxed: only has to differ. It stops short of the end, and does not wrap.
        let next = |number| (number < THREAD_MAX).then_some(number + 1);
        let number = NUMBERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        // Kept for as long as the recording, some 100 bytes a thread: a new file (see
        // `Writer::replace_file`) wants them all again.
        let mut registered = self.0.lock();
        match number {
            Ok(number) => registered.push(ThreadInfo { number, ..info }),
            Err(_) if registered.last().is_some_and(|last| last.number == THREAD_MAX) => {}
            Err(_) => registered.push(ThreadInfo {
                number: THREAD_MAX,
                os_id: 0,
                name: Some("(further threads)".into()),
            }),
        }
        number.unwrap_or(THREAD_MAX)
    }

    /// The threads that were registered after the first `n`.
    pub(crate) fn since(&self, n: usize) -> Vec<ThreadInfo> {
        self.0.lock().get(n..).unwrap_or_default().to_vec()
    }
}

/// The name of the calling thread. While a thread's locals are being destroyed the standard
/// library may have forgotten it.
fn current_name() -> Option<String> {
    // `thread::current` panics on some versions once the thread's own handle is destroyed.
    std::panic::catch_unwind(|| std::thread::current().name().map(str::to_owned)).ok().flatten()
}

/// The system's id of the calling thread, as `top -H` and debuggers show it.
fn os_thread_id() -> u64 {
    // The link reads `<pid>/task/<tid>`. There is no safe call for it in the standard library.
    std::fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|link| link.file_name()?.to_str()?.parse().ok())
        .unwrap_or(0)
}
