//! What threads do with a span that another thread has created.
//!
//! Several may be inside at once, so each word is changed by read-modify-writes, and is meaningful by
//! itself.

use crate::recorder::record::{Entries, THREAD_MAX};
use crate::sync::{AtomicU64, Ordering};

/// A length and a thread in one word, so that the longest entry and its thread change together.
///
/// A length below 2^39 ticks (three minutes) is exact; of a longer one only the upper bits are kept,
/// rounded down to a multiple of 2^24 ticks (some milliseconds).
const THREAD_BITS: u32 = 24;
const LONG: u64 = 1 << 63;
const LENGTH_BITS: u32 = 39;
const LONG_SHIFT: u32 = 24;

#[inline]
fn pack(length: u64, thread: u32) -> u64 {
    let length = match length >> LENGTH_BITS {
        0 => length << THREAD_BITS,
        _ => LONG | (length >> LONG_SHIFT).min((1 << LENGTH_BITS) - 1) << THREAD_BITS,
    };
    length | u64::from(thread & THREAD_MAX)
}

#[inline]
fn unpack(word: u64) -> (u64, u32) {
    let length = (word & !LONG) >> THREAD_BITS;
    let length = if word & LONG == 0 { length } else { length << LONG_SHIFT };
    (length, word as u32 & THREAD_MAX)
}

/// In the count: a thread has entered the span elsewhere than inside its parent; if it has none, inside another span.
const STRAY: u64 = 1 << 63;

/// Likewise: `inside` has what the owner has done inside the parent so far. From then on each of its
/// entries is checked when it begins.
const LOOKED_AT: u64 = 1 << 62;

/// All zeros while no other thread has entered the span. The owner's entries move here when its own
/// count has no more room.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Foreign {
    /// And [`STRAY`], [`LOOKED_AT`].
    count: AtomicU64,
    busy: AtomicU64,
    /// The earliest entry; 0 if there is none.
    first: AtomicU64,
    /// The latest exit.
    last: AtomicU64,
    /// The longest entry and its thread.
    longest: AtomicU64,
    /// Since when a thread is inside, if one is; if several are, one that came when no other was.
    since: AtomicU64,
    /// Ticks inside the parent that are in no record of an entry: by other threads, and by the owner
    /// once it is [`LOOKED_AT`].
    inside: AtomicU64,
}

spandrel_ring::zeroed!(Foreign { count, busy, first, last, longest, since, inside });
#[cfg(feature = "crash-proof")]
spandrel_ring::in_file!(Foreign { count, busy, first, last, longest, since, inside });

impl Foreign {
    /// One with the words of a process that is gone. `None` if there is anything that cannot be: moments and lengths are
    /// below the first bound, counts below the second.
    #[cfg(feature = "crash-proof")]
    pub(super) fn of_words(words: &[u64], ticks_end: u64, count_end: u64) -> Option<Self> {
        let [count, busy, first, last, longest, since, inside] = *words else { return None };
        let ticks = [busy, first, last, unpack(longest).0, since];
        let is_sound = ticks.iter().all(|ticks| *ticks < ticks_end)
            && count & !(STRAY | LOOKED_AT) < count_end;
        is_sound.then(|| Self {
            count: AtomicU64::new(count),
            busy: AtomicU64::new(busy),
            first: AtomicU64::new(first),
            last: AtomicU64::new(last),
            longest: AtomicU64::new(longest),
            since: AtomicU64::new(since),
            inside: AtomicU64::new(inside),
        })
    }

    // Release on what is written: for the table's sequence lock.

    /// A thread enters.
    pub(super) fn begin(&self, now: u64) {
        // Relaxed on failure, here and below: what was there is just a number.
        let first = self.first.compare_exchange(0, now, Ordering::Release, Ordering::Relaxed);
        if first.is_err_and(|first| first > now) {
            self.first.fetch_min(now, Ordering::Release);
        }
        _ = self.since.compare_exchange(0, now, Ordering::Release, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// This thread leaves, which entered at `since`. Returns how long it was inside.
    pub(crate) fn end(&self, since: u64, now: u64, thread: u32) -> u64 {
        let length = now.saturating_sub(since);
        _ = self.since.compare_exchange(since, 0, Ordering::Release, Ordering::Relaxed);
        self.busy.fetch_add(length, Ordering::Release);
        self.longest.fetch_max(pack(length, thread), Ordering::Release);
        self.last.fetch_max(now, Ordering::Release);
        length
    }

    /// Adds entries; their times are known elsewhere.
    pub(super) fn take_over(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Release);
    }

    /// How many entries there were, including those that have not ended.
    pub(crate) fn count(&self) -> u64 {
        // Relaxed: a number.
        self.count.load(Ordering::Relaxed) & !(STRAY | LOOKED_AT)
    }

    /// Whether a thread has ever entered the span elsewhere than inside its parent.
    pub(crate) fn is_stray(&self) -> bool {
        // Relaxed: as above.
        self.count.load(Ordering::Relaxed) & STRAY != 0
    }

    /// Notes that a thread has.
    pub(super) fn set_stray(&self) {
        self.count.fetch_or(STRAY, Ordering::Release);
    }

    /// Whether the owner's entries are checked.
    pub(crate) fn is_looked_at(&self) -> bool {
        // Relaxed: as above.
        self.count.load(Ordering::Relaxed) & LOOKED_AT != 0
    }

    /// From now on they are. In all entries before, the owner was inside the parent for so long.
    pub(super) fn set_looked_at(&self, own_busy: u64) {
        self.add_inside(own_busy);
        self.count.fetch_or(LOOKED_AT, Ordering::Release);
    }

    /// Adds time that a thread was inside the parent, and that is in no record of an entry.
    pub(crate) fn add_inside(&self, ticks: u64) {
        self.inside.fetch_add(ticks, Ordering::Release);
    }

    /// The sum of those; and, if the owner's entries are not checked, the time of those, too.
    pub(super) fn inside(&self, own_busy: u64) -> u64 {
        // Relaxed: as above.
        let inside = self.inside.load(Ordering::Relaxed);
        if self.is_looked_at() { inside } else { inside.saturating_add(own_busy) }
    }

    /// The number of entries, and the ticks inside over those that have ended.
    pub(crate) fn sums(&self) -> (u64, u64) {
        // Relaxed: as above.
        (self.count(), self.busy.load(Ordering::Relaxed))
    }

    /// What is known at the moment `now`; `None` if there is nothing.
    pub(super) fn entries(&self, now: u64) -> Option<Entries> {
        // Acquire: as in `look_at`. `since` first: an entry that ends meanwhile must not count twice.
        let since = self.since.load(Ordering::Acquire);
        let count = self.count.load(Ordering::Acquire) & !(STRAY | LOOKED_AT);
        if count == 0 {
            return None;
        }
        let goes_on = if since == 0 { 0 } else { now.saturating_sub(since) };
        let (longest, longest_thread) = unpack(self.longest.load(Ordering::Acquire));
        let busy = self.busy.load(Ordering::Acquire);
        let ended = self.since.load(Ordering::Acquire) != since;
        let goes_on = if ended { 0 } else { goes_on };
        Some(Entries {
            count,
            busy: busy.saturating_add(goes_on),
            first: self.first.load(Ordering::Acquire),
            last: if goes_on > 0 { now } else { self.last.load(Ordering::Acquire) },
            longest: longest.max(goes_on),
            longest_thread,
        })
    }

    /// Touches its memory without changing it.
    pub(super) fn touch(&self) {
        // Relaxed: nothing changes.
        _ = self.since.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The slot is free again.
    pub(super) fn clear(&self) {
        let Self { count, busy, first, last, longest, since, inside } = self;
        for word in [count, busy, first, last, longest, since, inside] {
            word.store(0, Ordering::Release);
        }
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_longest_entry_knows_its_thread() {
        for length in [0, 1, 5_000_000, (1 << 39) - 1] {
            assert_eq!(unpack(pack(length, 77)), (length, 77));
        }
        let hours = 3_u64 << 44;
        let (length, thread) = unpack(pack(hours + 12_345, THREAD_MAX));
        assert_eq!((length, thread), (hours, THREAD_MAX));
        assert!(pack(1 << 39, 0) > pack((1 << 39) - 1, THREAD_MAX), "longer is larger");
    }

    #[test]
    fn entries_of_several_threads_are_one_sum() {
        let foreign = Foreign::default();
        assert_eq!(foreign.entries(5), None);
        foreign.begin(10);
        foreign.begin(12);
        let seen = foreign.entries(15).unwrap();
        assert_eq!((seen.count, seen.busy, seen.first, seen.last), (2, 5, 10, 15));
        foreign.end(10, 20, 3);
        foreign.end(12, 40, 4);
        let seen = foreign.entries(50).unwrap();
        assert_eq!((seen.count, seen.busy, seen.first, seen.last), (2, 38, 10, 40));
        assert_eq!((seen.longest, seen.longest_thread), (28, 4));
        foreign.set_stray();
        assert_eq!((foreign.count(), foreign.is_stray(), foreign.is_looked_at()), (2, true, false));
        foreign.add_inside(10);
        assert_eq!((foreign.inside(7), foreign.inside(9)), (17, 19));
        foreign.set_looked_at(9);
        foreign.add_inside(1);
        assert_eq!(
            (foreign.inside(9), foreign.inside(50)),
            (20, 20),
            "what the owner does is known"
        );
        assert_eq!((foreign.count(), foreign.is_stray(), foreign.is_looked_at()), (2, true, true));
        assert_eq!(foreign.entries(50), Some(seen));
        foreign.clear();
        assert_eq!((foreign.entries(60), foreign.is_stray()), (None, false));
        assert_eq!((foreign.inside(3), foreign.is_looked_at()), (3, false));
    }
}
