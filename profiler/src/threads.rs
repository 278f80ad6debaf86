//! Small numbers for threads.

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

/// Hands out thread numbers from 1; each thread asks once, at its first span.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<Registered>);

#[derive(Debug, Default)]
struct Registered {
    /// By number less one. Kept for as long as the recording, some 100 bytes a thread: a new file
    /// (see `Writer::replace_file`) wants them all again.
    list: Vec<ThreadInfo>,
}

impl Threads {
    /// Registers the calling thread. Beyond 16,777,214 threads all share the last number.
    pub(crate) fn register_current(&self) -> u32 {
        let (os_id, name) = (os_thread_id(), current_name());
        let mut registered = self.0.lock();
        let number = u32::try_from(registered.list.len() + 1).unwrap_or(THREAD_MAX);
        if number > THREAD_MAX {
            return THREAD_MAX;
        }
        let info = if number == THREAD_MAX {
            ThreadInfo { number, os_id: 0, name: Some("(further threads)".into()) }
        } else {
            ThreadInfo { number, os_id, name }
        };
        registered.list.push(info);
        number
    }

    /// The threads with numbers from `first` (at least 1).
    pub(crate) fn since(&self, first: usize) -> Vec<ThreadInfo> {
        self.0.lock().list.get(first.max(1) - 1..).unwrap_or_default().to_vec()
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
