//! When threads are inside a span, how often, and for how long.
//!
//! What its owner does is told by `head` and a moment, so that a span that is entered once and soon, as
//! nearly all are, costs a few instructions when it is entered and a store when it is left:
//!
//! ```text
//!  head: flags, upper bits       entries  first           last                   busy, longest
//!  (nothing), 0                  0        -               -                      -
//!  INSIDE, wait                  1        start + wait    -                      -
//!  ENTERED, wait                 1        start + wait    left                   -
//!  AGAIN                         its owner is just changing the others
//!  INSIDE, ENTERED, AGAIN, n     n        entered         entered the last time  of those before; busy less `last`
//!  ENTERED, AGAIN, n             n        entered         left the last time     of all
//! ```
//!
//! Where `n` is meant, [`COUNT_BIAS`] more stand there.
//!
//! `wait` is how long it was there before it was entered, in ticks, where that fits. A span that waited for
//! longer has the last two states from its first entry on.
//!
//! So `busy` goes down by the moment when the owner enters again, and up by the moment when it leaves, and is
//! negative exactly while it is inside: no span has been busy for longer than the clock has run.
//!
//! When the owner leaves, the longest entry may change before all others. Of the others `busy` changes
//! first, and `head` last. Whoever looks reads `head`, the rest, `busy` and `head` again: if what the two
//! say of the owner agrees, nothing else changed meanwhile. What other threads do lies beside the table,
//! see [`Foreign`].

use super::bits::{ASIDE, FOREIGN, INSIDE, LONG, NESTED, OVERLAPPED, POLL, SCOPE_OVERLAPPED};
use super::foreign::Foreign;
use super::{PATIENCE, SpanSlot};
use crate::recorder::entry_rules::LONG_COUNT;
use crate::recorder::record::{self, AGAIN, COUNT_BIAS, ENTERED, Entries, UPPER_SHIFT, WAIT_MAX};
use crate::sync::Ordering;

/// How many entries stay in `head` when it has no room for one more: so many that the span is known to
/// be long-lived.
const KEPT: u64 = LONG_COUNT + 1;
/// The same if entries are not recorded: so few that the fast paths can go on.
const KEPT_OFF: u64 = 2;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// When threads enter and leave.
    pub(crate) times: bool,
    /// Whether entries are recorded one by one.
    pub(crate) entries: bool,
}

#[cfg(test)]
impl Measured {
    pub(super) const ALL: Self = Self { times: true, entries: true };
}

/// The words of [`SpanSlot`] about its owner's entries.
#[derive(Debug, Clone, Copy)]
struct OwnWords {
    head: u64,
    start: u64,
    first: u64,
    last: u64,
    busy: u64,
    longest: u64,
}

/// The length from one moment to another. The counters of two processors may differ by some ticks.
#[inline(always)]
fn between(from: u64, to: u64) -> u64 {
    not_negative(to.wrapping_sub(from))
}

/// How often the owner has entered, from a `head` with [`AGAIN`].
#[inline(always)]
pub(crate) fn count_of(head: u64) -> u64 {
    u64::from(record::upper_of(head).wrapping_sub(COUNT_BIAS))
}

#[inline(always)]
fn not_negative(ticks: u64) -> u64 {
    if ticks.cast_signed() < 0 { 0 } else { ticks }
}

impl OwnWords {
    fn is_inside(&self) -> bool {
        self.head as u32 & INSIDE != 0
    }

    fn is_again(&self) -> bool {
        self.head as u32 & AGAIN != 0
    }

    /// How often its owner has entered, if [`is_again`](Self::is_again). Not known while the owner is
    /// just changing it.
    fn count(&self) -> u64 {
        if self.head as u32 & ENTERED != 0 { count_of(self.head) } else { 0 }
    }

    /// Whether the owner is just changing the words.
    fn are_changing(&self) -> bool {
        let says_inside = self.busy.cast_signed() < 0;
        let (entered, again) = (self.head as u32 & ENTERED != 0, self.is_again());
        again && (!entered || says_inside != self.is_inside())
    }

    /// Ticks inside over all entries that have ended.
    fn busy_before(&self) -> u64 {
        match (self.is_again(), self.is_inside()) {
            (true, _) if self.busy.cast_signed() < 0 => {
                not_negative(self.busy.wrapping_add(self.last))
            }
            (true, _) => self.busy,
            (false, false) if self.head as u32 & ENTERED != 0 => {
                between(self.start + u64::from(record::upper_of(self.head)), self.last)
            }
            (false, _) => 0,
        }
    }

    /// The owner's entries up to `now`.
    fn entries(&self, now: u64) -> Entries {
        let longest_thread = record::thread(self.head);
        let upper = u64::from(record::upper_of(self.head));
        let last = if self.is_inside() { now } else { self.last };
        if self.is_again() {
            let goes_on = if self.is_inside() { between(self.last, now) } else { 0 };
            let of_those_before = match self.busy.cast_signed() < 0 {
                true => self.busy.wrapping_add(self.last),
                false => self.busy,
            };
            let busy = not_negative(of_those_before).saturating_add(goes_on);
            return Entries {
                count: self.count(),
                busy,
                first: self.first,
                last: last.max(self.last),
                // Not more than `busy`, even if its owner leaves at this moment, which is after `now`.
                longest: self.longest.max(goes_on).min(busy),
                longest_thread,
            };
        }
        if self.head as u32 & (INSIDE | ENTERED) == 0 {
            return Entries { longest_thread, ..Entries::default() };
        }
        Entries::once(self.start + upper, last, longest_thread)
    }
}

impl Entries {
    /// Adds what other threads did, up to `now`.
    fn with(self, foreign: &Foreign, now: u64) -> Self {
        let Some(other) = foreign.entries(now) else { return self };
        if self.count == 0 {
            return other;
        }
        let is_other = other.longest > self.longest;
        Self {
            count: self.count + other.count,
            busy: self.busy.saturating_add(other.busy),
            first: if other.first == 0 { self.first } else { self.first.min(other.first) },
            last: self.last.max(other.last),
            longest: self.longest.max(other.longest),
            longest_thread: if is_other { other.longest_thread } else { self.longest_thread },
        }
    }
}

impl SpanSlot {
    // Relaxed in the accessors: as in `span.rs`.

    /// When its owner entered it first, if it has entered it again.
    #[inline(always)]
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    /// When its owner left it last, if it is outside.
    #[inline(always)]
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Ticks inside the span on its owner's thread, which has entered it more than once and is outside.
    #[inline(always)]
    pub(crate) fn own_busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    /// The longest of those entries.
    #[inline(always)]
    pub(crate) fn own_longest(&self) -> u64 {
        self.longest.load(Ordering::Relaxed)
    }

    /// Since when its owner is inside, and the number of that entry; `head` counts no further than a
    /// little more than a thousand. `None` if it is outside, or inside more than once.
    pub(crate) fn own_entry(&self) -> Option<(u64, u64)> {
        // Relaxed: only the owner's thread reads and writes it while the span is open.
        let is_nested = self.own_depth.load(Ordering::Relaxed) > 0;
        let words = self.own_words();
        if is_nested || !words.is_inside() {
            return None;
        }
        Some(match words.is_again() {
            true => (words.last, words.count()),
            false => (words.start + u64::from(record::upper_of(words.head)), 1),
        })
    }

    /// Whether its owner has ever been inside.
    pub(crate) fn was_entered_by_owner(&self) -> bool {
        self.head() as u32 & (INSIDE | ENTERED | AGAIN) != 0
    }

    /// The entries up to `now`, for a thread that runs a callback for the span.
    pub(crate) fn entries(&self, foreign: &Foreign, now: u64) -> Entries {
        self.own_words().entries(now).with(foreign, now)
    }

    fn own_words(&self) -> OwnWords {
        // Acquire, on every load: as in `look_at`. `busy` last: see above.
        OwnWords {
            head: self.head.load(Ordering::Acquire),
            start: self.start.load(Ordering::Acquire),
            first: self.first.load(Ordering::Acquire),
            last: self.last.load(Ordering::Acquire),
            longest: self.longest.load(Ordering::Acquire),
            busy: self.busy.load(Ordering::Acquire),
        }
    }

    /// The same for any other thread; `None` if the owner enters or leaves meanwhile.
    pub(super) fn look_at_entries(&self, foreign: &Foreign, now: u64) -> Option<Entries> {
        let words = self.own_words();
        // Acquire: as above.
        let is_settled = self.head.load(Ordering::Acquire) == words.head && !words.are_changing();
        is_settled.then(|| words.entries(now).with(foreign, now))
    }

    /// The same. If the owner enters and leaves too often, the result may be wrong by one entry of the
    /// last moments.
    pub(crate) fn entries_seen(&self, foreign: &Foreign, now: u64) -> Entries {
        (0..PATIENCE)
            .find_map(|_| self.look_at_entries(foreign, now))
            .unwrap_or_else(|| self.own_words().entries(now).with(foreign, now))
    }

    /// The owner enters for the first time. If the span has waited for longer than there is room for,
    /// does nothing and returns `false`. `head` is what was loaded before.
    #[inline(always)]
    pub(crate) fn begin_first_entry(&self, head: u64, now: u64) -> bool {
        let wait = now.wrapping_sub(self.start());
        if wait > WAIT_MAX {
            return false;
        }
        // Release, here and below: for the sequence lock.
        self.head.store(head + (wait << UPPER_SHIFT) + u64::from(INSIDE), Ordering::Release);
        true
    }

    /// The same if times inside are not measured: then the upper bits are the number of entries.
    #[inline(always)]
    pub(crate) fn begin_first_entry_untimed(&self, head: u64) {
        self.head.store(head + (POLL | u64::from(INSIDE)), Ordering::Release);
    }

    /// The owner leaves such an entry.
    #[inline(always)]
    pub(crate) fn end_first_entry(&self, now: u64) {
        self.last.store(now, Ordering::Release);
        self.add_to_head(u64::from(ENTERED - INSIDE));
    }

    /// Loaded again: adding to it in memory takes one instruction less. Only its owner writes it, and a
    /// signal handler undoes whatever it does with a span that is entered.
    #[inline(always)]
    fn add_to_head(&self, more: u64) {
        // Relaxed: its own. Release: for the sequence lock.
        let head = self.head.load(Ordering::Relaxed).wrapping_add(more);
        self.head.store(head, Ordering::Release);
    }

    /// The owner enters for the first time, however long the span has waited.
    fn begin_late_entry(&self, head: u64, now: u64) {
        let changing = head | u64::from(AGAIN);
        self.head.store(changing, Ordering::Release);
        self.first.store(now, Ordering::Release);
        self.begin_changed_entry((u64::from(COUNT_BIAS) + 1) * POLL, 0, now);
    }

    /// The owner enters for the second time. `head` is what was loaded before.
    #[inline(always)]
    pub(crate) fn begin_second_entry(&self, head: u64, now: u64) {
        // Rotated, so that the upper bits can be tested and removed without another large constant. The
        // compiler makes two instructions of that constant in a further entry as soon as there is one
        // nearby.
        let turned = (head ^ u64::from(ENTERED | AGAIN)).rotate_left(u64::BITS - UPPER_SHIFT);
        let wait = u64::from(turned as u16);
        let changing = (turned - wait).rotate_right(u64::BITS - UPPER_SHIFT);
        self.head.store(changing, Ordering::Release);
        let first = self.start() + wait;
        self.first.store(first, Ordering::Release);
        let twice = (u64::from(COUNT_BIAS) + 2) * POLL;
        self.begin_changed_entry(twice, between(first, self.last()), now);
    }

    /// `head` says that it is changing, and nothing of `count`; `busy` is that of the entry before.
    #[inline(always)]
    fn begin_changed_entry(&self, count: u64, busy: u64, now: u64) {
        self.longest.store(busy, Ordering::Release);
        self.busy.store(busy.wrapping_sub(now), Ordering::Release);
        self.last.store(now, Ordering::Release);
        self.add_to_head(count | u64::from(INSIDE | ENTERED));
    }

    /// The owner enters again, after two entries or more. If it is more than the [`LONG_COUNT`]th time,
    /// does nothing and returns `false`. `head` is what was loaded before.
    #[inline(always)]
    pub(crate) fn begin_further_entry(&self, head: u64, now: impl FnOnce() -> u64) -> bool {
        let head = head.wrapping_add(POLL | u64::from(INSIDE));
        // The sign is the cheapest test there is.
        if head.cast_signed() < 0 {
            return false;
        }
        self.begin_counted_entry(head, now());
        true
    }

    /// The same for any number of entries: from that number on it is [`LONG`]. `false` if `head` has no
    /// room for it.
    #[inline(always)]
    pub(crate) fn begin_long_entry(&self, head: u64, now: impl FnOnce() -> u64) -> bool {
        let Some(head) = head.checked_add(POLL | u64::from(INSIDE)) else { return false };
        let is_long = head.cast_signed() < 0;
        self.begin_counted_entry(head | if is_long { u64::from(LONG) } else { 0 }, now());
        true
    }

    /// `head` is the new value.
    #[inline(always)]
    fn begin_counted_entry(&self, head: u64, now: u64) {
        self.busy.store(self.own_busy().wrapping_sub(now), Ordering::Release);
        self.last.store(now, Ordering::Release);
        self.head.store(head, Ordering::Release);
    }

    /// The owner is about to leave an entry of this length that is not its first: keeps the length if it
    /// is the longest. If it is negative, does nothing and returns `false`: the counters of two
    /// processors differ by some ticks.
    #[inline(always)]
    pub(crate) fn keep_length(&self, length: u64) -> bool {
        // As unsigned, a negative length is the longest of all: so this tests both. Mostly it is false.
        if length > self.own_longest() {
            if length.cast_signed() < 0 {
                return false;
            }
            self.longest.store(length, Ordering::Release);
        }
        true
    }

    /// The owner leaves such an entry, not before it began. Not for one that is
    /// [aside](Self::set_aside).
    #[inline(always)]
    pub(crate) fn end_further_entry(&self, now: u64) {
        self.busy.store(self.own_busy().wrapping_add(now), Ordering::Release);
        self.last.store(now, Ordering::Release);
        self.add_to_head(u64::from(INSIDE).wrapping_neg());
    }

    /// The owner enters. Returns whether it was outside.
    pub(crate) fn own_enter(
        &self,
        foreign: &Foreign,
        measured: Measured,
        now: impl Fn() -> u64,
    ) -> bool {
        let head = self.head();
        let state = head as u32;
        if state & INSIDE != 0 || state & (ENTERED | AGAIN) == AGAIN {
            // Relaxed: only the owner's thread reads and writes it while the span is open. Release on
            // `head`: for the sequence lock.
            let depth = self.own_depth.load(Ordering::Relaxed);
            self.own_depth.store(depth.saturating_add(1), Ordering::Relaxed);
            self.head.store(head | u64::from(NESTED), Ordering::Release);
            return false;
        }
        if state & ENTERED == 0 && !measured.times {
            self.begin_first_entry_untimed(head);
        } else if state & ENTERED == 0 {
            let now = now();
            if !self.begin_first_entry(head, now) {
                self.begin_late_entry(head, now);
            }
        } else if state & AGAIN == 0 {
            self.begin_second_entry(head, now());
        } else {
            let begin = |head| match measured.entries {
                true => self.begin_long_entry(head, &now),
                false => self.begin_further_entry(head, &now),
            };
            if !begin(head) {
                // No room for one more: the count moves to the other one. If entries are recorded, so
                // many stay as tell that there were many.
                self.mark(FOREIGN);
                let kept = if measured.entries { KEPT } else { KEPT_OFF };
                let kept_head = (head & (POLL - 1)) | ((kept + u64::from(COUNT_BIAS)) * POLL);
                self.head.store(kept_head & !u64::from(ENTERED), Ordering::Release);
                foreign.take_over(count_of(head) - kept);
                self.head.store(kept_head, Ordering::Release);
                begin(kept_head);
            }
        }
        true
    }

    /// Whether the owner is inside more than once.
    pub(crate) fn is_nested(&self) -> bool {
        // Relaxed: only the owner's thread reads and writes it while the span is open.
        self.own_depth.load(Ordering::Relaxed) > 0
    }

    /// The owner leaves. Returns whether it is outside now.
    pub(crate) fn own_exit(&self, now: impl FnOnce() -> u64) -> bool {
        let depth = self.own_depth.load(Ordering::Relaxed);
        if depth > 0 {
            self.own_depth.store(depth - 1, Ordering::Relaxed);
            if depth == 1 {
                self.head.store(self.head() & !u64::from(NESTED), Ordering::Release);
            }
            return false;
        }
        let head = self.head();
        let state = head as u32;
        if state & ASIDE != 0 {
            self.end_aside();
        }
        if state & INSIDE != 0 {
            if state & AGAIN == 0 {
                self.end_first_entry(now());
            } else {
                // Not before it began: the counters of two processors may differ by some ticks.
                let entered = self.last();
                let now = now().max(entered);
                // Not negative.
                let _ = self.keep_length(now - entered);
                self.end_further_entry(now);
            }
        }
        true
    }

    /// The owner has entered inside a span that is not its parent.
    pub(crate) fn set_aside(&self) {
        // Release: for the sequence lock.
        self.head.store(self.head() | u64::from(ASIDE), Ordering::Release);
    }

    /// The same for an entry that began inside the parent: the span around it has been left.
    pub(crate) fn set_overlapped(&self) {
        if self.has_no_key() {
            self.mark(SCOPE_OVERLAPPED);
        }
        // Release: for the sequence lock.
        self.head.store(self.head() | u64::from(ASIDE | OVERLAPPED), Ordering::Release);
    }

    /// Ends both, as the owner leaves.
    pub(crate) fn end_aside(&self) {
        // Release: for the sequence lock.
        self.head.store(self.head() & !u64::from(ASIDE | OVERLAPPED), Ordering::Release);
    }

    /// Whether one of them is set.
    pub(crate) fn is_aside(&self) -> bool {
        self.head() & u64::from(ASIDE) != 0
    }

    /// A thread enters elsewhere than inside the parent.
    pub(crate) fn set_stray(&self, foreign: &Foreign) {
        if !foreign.is_stray() {
            self.mark(FOREIGN);
            foreign.set_stray();
        }
    }

    /// The owner, which is outside, is about to enter: from now on each of its entries is checked.
    pub(crate) fn set_looked_at(&self, foreign: &Foreign) {
        if !foreign.is_looked_at() {
            self.mark(FOREIGN);
            foreign.set_looked_at(self.own_words().busy_before());
        }
    }

    /// Ticks inside the parent, up to the moment `now`, without entries whose records say that they are
    /// apart: [`Entry::is_apart`](record::Entry::is_apart). `None` if that is all of the time inside.
    pub(crate) fn inside_parent(&self, foreign: &Foreign, now: u64) -> Option<u64> {
        // Relaxed: as in the accessors.
        let is_foreign = self.extra() & FOREIGN != 0;
        is_foreign.then(|| foreign.inside(self.own_words().entries(now).busy))
    }

    /// Another thread, which was outside, enters at this moment.
    pub(crate) fn begin_foreign_entry(&self, foreign: &Foreign, now: u64) {
        self.mark(FOREIGN);
        foreign.begin(now);
    }
}
