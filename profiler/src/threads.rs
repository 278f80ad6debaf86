//! Small numbers for threads.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mutex::Mutex;
use crate::record::THREAD_MAX;

/// What is known of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadInfo {
    pub(crate) number: u32,
    /// The system's id of the thread, 0 where it is not known.
    pub(crate) os_id: u64,
    pub(crate) name: Option<String>,
}

/// The next number of a thread.
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// Hands out thread numbers from 1; each thread asks once, at its first span. No two threads of a
/// process have the same number, nor has one thread in two recordings: so the number of a span's owner
/// also tells whose span it is.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<Registered>);

/// What is remembered of threads: nothing of those that have ended and that the writer has heard of.
#[derive(Debug, Default)]
struct Registered {
    /// Those that the writer has not heard of.
    new: Vec<ThreadInfo>,
    /// Those that live, for a new file: that wants them all again.
    live: HashMap<u32, ThreadInfo>,
}

impl Threads {
    /// Registers the calling thread. Beyond 16,777,214 threads all share the last number.
    pub(crate) fn register_current(&self) -> u32 {
        // Relaxed: only has to differ. It stops short of the end, and does not wrap.
        let next = |number| (number < THREAD_MAX).then_some(number + 1);
        let number = NUMBERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let info = match number {
            Ok(number) => ThreadInfo { number, os_id: os_thread_id(), name: current_name() },
            Err(_) => {
                ThreadInfo { number: THREAD_MAX, os_id: 0, name: Some("(further threads)".into()) }
            }
        };
        let number = info.number;
        // A forked child goes without: its spans are stored nowhere.
        if let Some(mut registered) = self.0.lock()
            && registered.live.insert(number, info.clone()).is_none()
        {
            registered.new.push(info);
        }
        number
    }

    /// No thread has had a larger number when this was called.
    pub(crate) fn last_number() -> u32 {
        // Relaxed: of threads that register meanwhile, the writer will hear.
        NUMBERS.load(Ordering::Relaxed)
    }

    /// The thread with this number has ended.
    pub(crate) fn ended(&self, number: u32) {
        if number == THREAD_MAX {
            return;
        }
        let Some(mut registered) = self.0.lock() else { return };
        let live = &mut registered.live;
        live.remove(&number);
        if live.len() < live.capacity() / 8 {
            live.shrink_to(live.len() * 2);
        }
    }

    /// The threads that were registered since the last call.
    pub(crate) fn take_new(&self) -> Vec<ThreadInfo> {
        self.0.lock().map_or_else(Vec::new, |mut registered| std::mem::take(&mut registered.new))
    }

    /// All that live, and the new ones, as if none had been taken.
    pub(crate) fn take_all(&self) -> Vec<ThreadInfo> {
        let Some(mut registered) = self.0.lock() else { return Vec::new() };
        let mut all = std::mem::take(&mut registered.new);
        // A few may be in both.
        let new: HashSet<_> = all.iter().map(|info| info.number).collect();
        all.extend(registered.live.values().filter(|info| !new.contains(&info.number)).cloned());
        all
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_have_ended_leave_nothing_behind() {
        let threads = Threads::default();
        let mut last = 0;
        for _ in 0..2_000 {
            let number = threads.register_current();
            assert!(number > last, "numbers never repeat");
            last = number;
            threads.ended(number);
            if number.is_multiple_of(100) {
                threads.take_new();
            }
        }
        let lives = threads.register_current();
        assert!(threads.take_new().len() <= 101);
        let numbers = |all: Vec<ThreadInfo>| all.iter().map(|info| info.number).collect::<Vec<_>>();
        assert_eq!(numbers(threads.take_all()), [lives], "for a new file");
        let registered = threads.0.lock().unwrap();
        assert!(registered.live.capacity() < 64, "{}", registered.live.capacity());
    }
}
