//! When threads are inside a span, and for how long.

use super::OpenSpan;
use super::bits::{FOREIGN, INSIDE, NESTED, POLL};
use crate::record;
use crate::sync::Ordering;

/// What `own_busy` says at the moment `now`. Ticks end long before the sign.
#[inline]
pub(super) fn busy_until(own_busy: u64, now: u64) -> u64 {
    if own_busy.cast_signed() < 0 { own_busy.wrapping_add(now) } else { own_busy }
}

impl OpenSpan {
    // Relaxed in the accessors: as in `span.rs`.

    /// Ticks inside the span on its owner's thread, which is outside now.
    #[inline(always)]
    pub(crate) fn own_busy(&self) -> u64 {
        self.own_busy.load(Ordering::Relaxed)
    }

    /// Ticks inside the span up to now.
    pub(crate) fn busy(&self, now: u64) -> u64 {
        busy_until(self.own_busy(), now).wrapping_add(self.foreign_busy.load(Ordering::Relaxed))
    }

    pub(crate) fn polls(&self) -> u64 {
        u64::from(record::upper_of(self.head())) + self.foreign_polls.load(Ordering::Relaxed)
    }

    /// The owner enters. Says whether it was outside.
    pub(crate) fn own_enter(&self, now: impl Fn() -> u64) -> bool {
        let head = self.head();
        if head & u64::from(INSIDE) != 0 {
            // Relaxed: only the owner's thread reads and writes it while the span is open. Release on
            // `head`, here and below: for the sequence lock.
            let depth = self.own_depth.load(Ordering::Relaxed);
            self.own_depth.store(depth.saturating_add(1), Ordering::Relaxed);
            self.head.store(head | u64::from(NESTED), Ordering::Release);
            return false;
        }
        if self.begin_own_poll(head, &now) {
            return true;
        }
        // No room for one more: what is there moves to the other count.
        self.mark(FOREIGN);
        self.foreign_polls.fetch_add(u64::from(record::upper_of(head)), Ordering::Release);
        self.begin_own_poll(head & (POLL - 1), &now)
    }

    /// The owner leaves. Says whether it is outside now.
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
        if head & u64::from(INSIDE) != 0 {
            // Not before it came in, on two processors whose counters differ by some ticks.
            let entered = self.own_busy().cast_signed();
            let now = now().cast_signed().max(entered.wrapping_neg());
            self.end_own_poll(head - u64::from(INSIDE), now.cast_unsigned());
        }
        true
    }

    /// The owner, who was outside, enters. Nothing is done, and `false` returned, if `head` has no room
    /// for the poll. `head` is what was loaded before.
    #[inline(always)]
    pub(crate) fn begin_own_poll(&self, head: u64, now: impl FnOnce() -> u64) -> bool {
        let head = head.wrapping_add(POLL | INSIDE as u64);
        // The cheapest test there is, for half of the room.
        if head.cast_signed() < 0 {
            return false;
        }
        let now = now();
        // Release, here and below: for the sequence lock.
        self.head.store(head, Ordering::Release);
        let busy = &self.own_busy;
        busy.store(busy.load(Ordering::Relaxed).wrapping_sub(now), Ordering::Release);
        true
    }

    /// The owner, who was inside once, leaves. `head` is what was loaded before, less `INSIDE`.
    #[inline(always)]
    pub(crate) fn end_own_poll(&self, head: u64, now: u64) {
        self.head.store(head, Ordering::Release);
        let busy = &self.own_busy;
        busy.store(busy.load(Ordering::Relaxed).wrapping_add(now), Ordering::Release);
    }

    /// Another thread, which was outside, enters.
    pub(crate) fn begin_foreign_poll(&self) {
        self.mark(FOREIGN);
        // Release: for the sequence lock.
        self.foreign_polls.fetch_add(1, Ordering::Release);
    }

    /// Another thread leaves, which was inside for so many ticks.
    pub(crate) fn end_foreign_poll(&self, busy: u64) {
        // Release: for the sequence lock.
        self.foreign_busy.fetch_add(busy, Ordering::Release);
    }
}
