//! Entries that are recorded one by one.
//!
//! A record is published when the thread has left: so there is no beginning without an end. Here it is
//! decided which entries are recorded. The fast paths only know whether an entry may have to be; then
//! they leave it to the general path, which calls this.

use std::sync::atomic::Ordering;

use super::Recorder;
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::entry_rules::{Entries, LONG_COUNT, NO_AGE, TICKS_MIN};
use crate::recorder::local::{Entered, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{SlotPosition, SpanSlot};
use crate::recorder::record::{self, Earlier, EndingEntry, Entry, id_of, with_id};

/// A span counts by its entries if it has so many and is old enough. A request that was polled less
/// often, and was slow, counts by its lifetime.
const COUNTING: u64 = 100;

/// An entry that ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Ticks.
    pub(super) entered: u64,
    /// The number of entries of the owner, or of all others, with this one.
    pub(super) count: u64,
    /// Whether the span was never entered before.
    pub(super) is_first: bool,
    /// Whether it is not part of what the span says about the time inside its parent.
    pub(super) is_apart: bool,
}

impl Recorder {
    /// Sets how many ticks a second has. It is known some milliseconds after the start.
    pub(crate) fn set_ticks_per_second(&self, ticks: u64) {
        // Relaxed, also in `is_old`: just a number; no other memory is published by it.
        self.long_age.store(ticks.max(TICKS_MIN), Ordering::Relaxed);
    }

    /// The age in ticks from which on an entry of a span that was entered before may have to be
    /// recorded. Threads keep it for their fast paths.
    pub(crate) fn long_age(&self) -> u64 {
        match self.entries {
            Entries::Off => NO_AGE,
            _ => self.long_age.load(Ordering::Relaxed),
        }
    }

    /// Whether any entries are recorded.
    pub(crate) fn has_entries(&self) -> bool {
        self.entries != Entries::Off
    }

    /// Whether all entries of the spans of this callsite are recorded.
    pub(crate) fn records_all(&self, callsite: CallsiteNumber) -> bool {
        self.has_entries() && self.callsites.entries(callsite).entries == Entries::All
    }

    /// Records an entry that has just ended, if it has to be recorded. `around` is the span that the
    /// thread was in around this one, or 0. An entry that was inside the parent, and is in no record, is
    /// noted in the span.
    pub(super) fn record_entry(
        &self,
        token: ThreadToken,
        (position, span): (SlotPosition, &SpanSlot),
        ending: Ending,
        around: u64,
        left: u64,
    ) {
        let is_recorded = self.try_record_entry(token, (position, span), ending, around, left);
        if !is_recorded && ending.is_apart {
            let length = left.saturating_sub(ending.entered);
            self.keep_unrecorded((position, span), around, length);
        }
    }

    /// An entry that is [apart](Entry::is_apart) gets no record: how long it was inside the parent is
    /// noted in the span.
    #[cold]
    pub(crate) fn keep_unrecorded(
        &self,
        (position, span): (SlotPosition, &SpanSlot),
        around: u64,
        length: u64,
    ) {
        if around == id_of(span.origin()) {
            self.open.foreign(position).add_inside(length);
        }
    }

    /// Returns whether there is a record.
    fn try_record_entry(
        &self,
        token: ThreadToken,
        (position, span): (SlotPosition, &SpanSlot),
        ending: Ending,
        around: u64,
        left: u64,
    ) -> bool {
        let rule = self.callsites.entries(record::callsite(span.origin(), span.head()));
        let is_stray = around != 0
            && (around != id_of(span.origin()) || self.open.foreign(position).is_stray());
        let (is_old, count) = (self.is_old(span, ending.entered), ending.count);
        let is_recorded = match rule.entries {
            Entries::Off => false,
            Entries::All => true,
            Entries::LongLived => is_stray || !ending.is_first && (count > LONG_COUNT || is_old),
        };
        if !is_recorded {
            return false;
        }
        let left = left.max(ending.entered);
        let mut entry = self.entry(token, span, around, (ending.entered, left));
        entry.is_apart = ending.is_apart;
        entry.counts = rule.is_asked_for;
        if !rule.is_asked_for {
            // Over all threads, which may enter and leave meanwhile.
            let all = span.entries_seen(self.open.foreign(position), left);
            entry.counts = counts(count, all.count, is_old);
            let busy = all.busy.saturating_sub(left - ending.entered);
            entry.say_earlier(all.count.saturating_sub(1), busy);
        }
        self.publish_if_spare(Kind::Entry, entry.words())
    }

    /// The record of an entry of the thread's own span that ends, its `count`th; `None` if it is not
    /// recorded, or the first one. `around` is the id of the span around it, or 0, and whether that
    /// alone is a reason to record it.
    #[inline]
    pub(crate) fn further_entry(
        &self,
        (position, span): (SlotPosition, &SpanSlot),
        (around, is_aside): (u64, bool),
        count: u64,
        (entered, left): (u64, u64),
    ) -> Option<EndingEntry> {
        let rule = self.callsites.entries(record::callsite(span.origin(), span.head()));
        let is_old = self.is_old(span, entered);
        let is_recorded = match rule.entries {
            Entries::Off => false,
            Entries::All => true,
            Entries::LongLived => is_aside || count > LONG_COUNT || is_old,
        };
        if !is_recorded {
            if is_aside {
                self.keep_unrecorded((position, span), around, left - entered);
            }
            return None;
        }
        let mut entry = EndingEntry {
            head: span.head(),
            span: span.id(),
            around: with_id(span.origin(), around),
            entered,
            left,
            counts: rule.is_asked_for,
            earlier: Earlier::default(),
        };
        if !rule.is_asked_for {
            let (others, busy) = self.open.foreign(position).sums();
            entry.counts = counts(count, count + others, is_old);
            let busy = span.own_busy().wrapping_add(entered).wrapping_add(busy);
            if entry.counts {
                entry.earlier = Earlier { count: count - 1 + others, busy };
            }
        }
        Some(entry)
    }

    /// Whether the span was old when it was entered at that moment.
    fn is_old(&self, span: &SpanSlot, entered: u64) -> bool {
        entered.saturating_sub(span.start()) >= self.long_age()
    }

    /// The record of an entry of the calling thread.
    #[inline]
    pub(crate) fn entry(
        &self,
        token: ThreadToken,
        span: &SpanSlot,
        around: u64,
        (entered, left): (u64, u64),
    ) -> Entry {
        let callsite = record::callsite(span.origin(), span.head());
        Entry {
            callsite,
            thread: token.thread(),
            span: span.id(),
            around,
            entered,
            left,
            counts: false,
            earlier: Earlier::default(),
            is_apart: false,
            counted: false,
        }
    }

    /// The span that the thread was in around this one; 0 if there was none.
    pub(super) fn around(&self, token: ThreadToken, layer: u16, entered: Entered) -> u64 {
        token.around(&self.open, layer, entered).map_or(0, SpanSlot::id)
    }
}

impl Entry {
    /// Says how many entries came before this one, if it counts.
    #[inline]
    fn say_earlier(&mut self, count: u64, busy: u64) {
        if self.counts {
            self.earlier = Earlier { count, busy };
        }
    }
}

/// Whether an entry of a span counts: `count` is its number among those of the owner, or of the others,
/// and `all` that among all.
///
/// While a span is not old, owner and others may disagree whether it is entered often (see
/// [`LONG_COUNT`]): then the entries of one side are recorded, and those of the other are not; these are
/// earlier entries then.
#[inline]
fn counts(count: u64, all: u64, is_old: bool) -> bool {
    count > LONG_COUNT || is_old && all >= COUNTING
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::recorder::local;
    use crate::recorder::losses::DropReason;
    use crate::recorder::recording::RecorderOptions;

    fn entry() -> Entry {
        Entry {
            callsite: 0,
            thread: 1,
            span: 7,
            around: 0,
            entered: 10,
            left: 20,
            counts: false,
            earlier: Earlier::default(),
            is_apart: false,
            counted: false,
        }
    }

    /// With a lease and without one: entries may use both partitions, but a quarter of each stays free
    /// for spans.
    #[test]
    fn entries_never_take_the_room_of_spans() {
        let (recorder, consumer) = Recorder::new(&RecorderOptions::small());
        let recorder: Arc<Recorder> = recorder;
        local::get(&recorder).unwrap();
        let capacities = recorder.ring.capacities();
        let all: usize = capacities.iter().sum();
        for _ in 0..all {
            recorder.publish_if_spare(Kind::Entry, entry().words());
        }
        let kept: usize = capacities.iter().map(|capacity| capacity - capacity / 4).sum();
        let entries = Kind::Entry as usize;
        assert_eq!(recorder.ring.published()[entries], kept as u64);
        let snapshot = recorder.counters.snapshot(&recorder.ring, false);
        let full = snapshot.dropped_early[DropReason::RingFull as usize][entries];
        assert_eq!(full, (all - kept) as u64);
        for _ in 0..all - kept {
            recorder.try_publish(Kind::Span, 1, |_| entry().words()).unwrap();
        }
        recorder.try_publish(Kind::Span, 1, |_| entry().words()).unwrap_err();
        recorder.close_ring();
        recorder.publish_if_spare(Kind::Entry, entry().words());
        let snapshot = recorder.counters.snapshot(&recorder.ring, false);
        assert_eq!(snapshot.dropped_early[DropReason::AlreadyShutdown as usize][entries], 1);
        drop(consumer);
    }
}
