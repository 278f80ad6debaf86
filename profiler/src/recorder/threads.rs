//! Small numbers for threads.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::memory_use::MemoryUse;
use crate::mutex::Mutex;
use crate::panics;
use crate::recorder::names::Names;
use crate::recorder::record::THREAD_MAX;

/// What is known of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThreadInfo {
    pub(crate) number: u32,
    /// The system's id of the thread; 0 if it is not known.
    pub(crate) os_id: u64,
    pub(crate) name: Option<String>,
}

impl ThreadInfo {
    /// All for which there was no number.
    pub(crate) fn further() -> Self {
        Self { number: THREAD_MAX, os_id: 0, name: Some("(further threads)".into()) }
    }
}

/// The next number of a thread.
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// Gives out thread numbers from 1; each thread asks once, at its first span. Numbers are unique in a
/// process, over all recordings: so the number of a span's owner also tells whose span it is.
///
/// Nothing is allocated or freed under the lock: an allocator may open spans, on a thread that is new.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    registered: Mutex<Registered>,
    names: Names,
}

/// Most new threads that are kept for the writer, some 2 MB. It asks for them with every batch: there
/// can be more only while the store refuses.
const NEW_MAX: usize = 16_384;

/// What is remembered about threads: nothing about those that have ended and that the writer knows.
///
/// Invariant: no more than [`NEW_MAX`], and the living ones.
#[derive(Debug, Default)]
struct Registered {
    /// Threads that the writer does not know.
    new: Vec<Arc<ThreadInfo>>,
    /// Whether there were more than are kept.
    overflowed: bool,
    /// Living threads, by number, for a new file, which needs all of them again.
    live: Vec<Arc<ThreadInfo>>,
}

/// Moves the list into `spare` if it has no room for one more, and `spare` is large enough. If `spare`
/// is too small, returns how long it must be.
fn make_room<T>(list: &mut Vec<T>, spare: &mut Vec<T>) -> Result<(), usize> {
    if list.len() < list.capacity() {
        return Ok(());
    }
    if spare.capacity() <= list.len() {
        return Err(2 * list.len() + 16);
    }
    spare.append(list);
    std::mem::swap(list, spare);
    Ok(())
}

impl Threads {
    /// Those of a process that is gone, which nobody has been told of.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn of_dead(all: impl IntoIterator<Item = ThreadInfo>) -> Self {
        let new = all.into_iter().map(Arc::new).collect();
        let registered = Registered { new, ..Registered::default() };
        Self { registered: Mutex::new(registered), names: Names::default() }
    }

    /// One more of another process.
    #[cfg(feature = "collected")]
    pub(crate) fn learn(&self, info: ThreadInfo) {
        self.register(Arc::new(info));
    }

    /// Whose names are appended there.
    pub(crate) fn new(names: Names) -> Self {
        Self { registered: Mutex::default(), names }
    }

    /// Registers the calling thread. Beyond 16,777,214 threads all share the last number; so do those whose names a ring
    /// file has no room for.
    pub(crate) fn register_current(&self) -> u32 {
        // Relaxed: numbers only have to differ. They stop at the last one, and do not wrap.
        let next = |number| (number < THREAD_MAX).then_some(number + 1);
        let number = NUMBERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let info = |number| ThreadInfo { number, os_id: os_thread_id(), name: current_name() };
        // Its name before anybody has the number.
        let info = number
            .ok()
            .map(info)
            .filter(|info| self.names.add_thread(info.number, info.os_id, info.name.as_deref()));
        let info = info.unwrap_or_else(ThreadInfo::further);
        let number = info.number;
        self.register(Arc::new(info));
        number
    }

    fn register(&self, info: Arc<ThreadInfo>) {
        let (mut new_spare, mut live_spare) = (Vec::new(), Vec::new());
        loop {
            // In a forked child the lock may be held for ever: then nothing is done; its spans are
            // stored nowhere anyway.
            let Some(mut registered) = self.registered.lock() else { return };
            let Registered { new, overflowed, live } = &mut *registered;
            let Err(at) = live.binary_search_by_key(&info.number, |info| info.number) else {
                return;
            };
            let is_kept = new.len() < NEW_MAX;
            let new_room = if is_kept { make_room(new, &mut new_spare) } else { Ok(()) };
            let room = (new_room, make_room(live, &mut live_spare));
            if room == (Ok(()), Ok(())) {
                if is_kept {
                    new.push(Arc::clone(&info));
                } else {
                    *overflowed = true;
                }
                live.insert(at, info);
                return drop(registered); // before the spares
            }
            drop(registered);
            if let (Err(len), _) = room {
                new_spare = Vec::with_capacity(len);
            }
            if let (_, Err(len)) = room {
                live_spare = Vec::with_capacity(len);
            }
        }
    }

    /// No thread has had a larger number when this was called.
    pub(crate) fn last_number() -> u32 {
        // Relaxed: the writer will hear of threads that register meanwhile.
        NUMBERS.load(Ordering::Relaxed)
    }

    /// The thread with this number has ended.
    pub(crate) fn ended(&self, number: u32) {
        if number == THREAD_MAX {
            return;
        }
        let Some(mut registered) = self.registered.lock() else { return };
        let live = &mut registered.live;
        let found = live.binary_search_by_key(&number, |info| info.number);
        let ended = found.ok().map(|at| live.remove(at));
        let wanted = (live.len() < live.capacity() / 8).then_some(live.len() * 2);
        drop(registered);
        drop(ended); // may free memory
        if let Some(wanted) = wanted {
            self.shrink(Vec::with_capacity(wanted));
        }
    }

    /// Moves the living ones into a smaller list, if they still fit.
    fn shrink(&self, mut smaller: Vec<Arc<ThreadInfo>>) {
        let Some(mut registered) = self.registered.lock() else { return };
        if registered.live.len() <= smaller.capacity() {
            smaller.append(&mut registered.live);
            std::mem::swap(&mut registered.live, &mut smaller);
        }
        drop(registered); // before what was the list
    }

    /// The numbers of the living threads.
    pub(crate) fn live(&self) -> Vec<u32> {
        let mut numbers = Vec::new();
        loop {
            let Some(registered) = self.registered.lock() else { return Vec::new() };
            let len = registered.live.len();
            if len <= numbers.capacity() {
                numbers.extend(registered.live.iter().map(|info| info.number));
                return numbers;
            }
            drop(registered);
            numbers = Vec::with_capacity(len + 16);
        }
    }

    /// Memory that this takes.
    pub(crate) fn memory(&self) -> MemoryUse {
        let Some(registered) = self.registered.lock() else { return MemoryUse::default() };
        let Registered { new, live, .. } = &*registered;
        // An `Arc` has two counters.
        let each = size_of::<ThreadInfo>() + 2 * size_of::<usize>();
        let names = live.iter().filter_map(|info| Some(info.name.as_ref()?.len())).sum::<usize>();
        MemoryUse::of(new) + MemoryUse::of(live) + MemoryUse::whole(live.len() * each + names)
    }

    /// The threads that were registered since the last call; `None` if there were more than are kept:
    /// then call [`take_all`](Self::take_all).
    pub(crate) fn take_new(&self) -> Option<Vec<Arc<ThreadInfo>>> {
        let Some(mut registered) = self.registered.lock() else { return Some(Vec::new()) };
        (!registered.overflowed).then(|| std::mem::take(&mut registered.new))
    }

    /// All living threads, and the new ones, whatever was taken before. Nothing is known about other
    /// threads with numbers up to what [`last_number`](Self::last_number) was before the call.
    pub(crate) fn take_all(&self) -> Vec<Arc<ThreadInfo>> {
        let mut live = Vec::new();
        let mut all = loop {
            let Some(mut registered) = self.registered.lock() else { return Vec::new() };
            let len = registered.live.len();
            if len <= live.capacity() {
                live.extend(registered.live.iter().cloned());
                registered.overflowed = false;
                break std::mem::take(&mut registered.new);
            }
            drop(registered);
            live = Vec::with_capacity(len + 16);
        };
        // A thread may be in both lists.
        let new: HashSet<_> = all.iter().map(|info| info.number).collect();
        all.extend(live.into_iter().filter(|info| !new.contains(&info.number)));
        all
    }
}

/// The name of the calling thread. While a thread's locals are being destroyed the standard
/// library may have forgotten it.
fn current_name() -> Option<String> {
    // `thread::current` panics on some versions once the thread's own handle is destroyed.
    panics::catch(|| std::thread::current().name().map(str::to_owned)).ok().flatten()
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
        // In rounds, and not by number: other tests of this program take numbers as well.
        for turn in 1..=2_000 {
            let number = threads.register_current();
            assert!(number > last, "numbers never repeat");
            last = number;
            threads.ended(number);
            if turn % 100 == 0 {
                assert_eq!(threads.take_new().map(|new| new.len()), Some(100));
            }
        }
        let lives = threads.register_current();
        assert_eq!(threads.take_new().map(|new| new.len()), Some(1));
        let numbers =
            |all: Vec<Arc<ThreadInfo>>| all.iter().map(|info| info.number).collect::<Vec<_>>();
        assert_eq!(numbers(threads.take_all()), [lives], "for a new file");
        let registered = threads.registered.lock().unwrap();
        assert!(registered.live.capacity() < 64, "{}", registered.live.capacity());
    }

    #[test]
    fn new_threads_that_nobody_asks_for_take_bounded_memory() {
        let threads = Threads::default();
        let lives = threads.register_current();
        for _ in 0..NEW_MAX + 100 {
            threads.ended(threads.register_current());
        }
        let late = threads.register_current();
        assert!(threads.registered.lock().unwrap().new.capacity() <= 2 * NEW_MAX);
        assert_eq!(threads.take_new(), None, "some are missing");
        let all = threads.take_all();
        assert_eq!(all.len(), NEW_MAX + 1, "the first ones, and one that lives");
        let has = |number| all.iter().any(|info| info.number == number);
        assert!(has(lives) && has(late) && !has(late - 1));
        assert_eq!(threads.take_new(), Some(Vec::new()), "it begins anew");
    }
}
