//! Looking at open spans from another thread.

use super::bits::{FAILED, LEFT_OUT, settled_words};
use super::{OpenSpans, PATIENCE, SlotPosition, SpanSlot, index, position};
use crate::recorder::record::{self, Entries, SpanHead, Status};
use crate::sync::Ordering;

/// An open span as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) position: SlotPosition,
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    /// When the look was, in ticks.
    pub(crate) at: u64,
    pub(crate) entries: Entries,
    pub(crate) failed: bool,
    pub(crate) left_out: bool,
    pub(crate) fields: Vec<u64>,
}

impl Seen {
    /// Its head, as if it closed at that moment.
    pub(crate) fn head(&self) -> SpanHead {
        SpanHead {
            callsite: self.callsite,
            thread: self.thread,
            status: Status::Unfinished,
            left_out: self.left_out,
            counted: false,
            is_stray: false,
            inside: None,
            id: self.id,
            parent: self.parent,
            root: self.root,
            start: self.start,
            end: self.at.max(self.start),
            entries: self.entries,
        }
    }
}

impl OpenSpans {
    /// The slots that may have spans.
    fn used(&self) -> impl Iterator<Item = (SlotPosition, &SpanSlot)> {
        // Relaxed: as in `claim`.
        let ways = self.ways_used.load(Ordering::Relaxed) as usize;
        let hashed = ways * self.spans.part_len();
        let direct = self.direct.used();
        let slots = (0..hashed).chain(hashed.max(direct.start)..direct.end.max(hashed));
        slots.filter_map(|index| Some((position(index), self.spans.cells().get(index)?)))
    }

    /// How many slots are taken.
    pub(crate) fn count(&self) -> u64 {
        self.used().filter(|(_, span)| !span.is_free()).count() as u64
    }

    /// The spans that are open now, at `now` ticks, for which `wanted(start)` holds, in no particular
    /// order. For spans that threads are inside of, the time up to now counts.
    pub(crate) fn look(&self, now: u64, wanted: impl Fn(u64) -> bool) -> Vec<Seen> {
        self.used()
            .filter_map(|(position, span)| self.look_at(position, span, now, &wanted))
            .collect()
    }

    fn look_at(
        &self,
        position: SlotPosition,
        span: &SpanSlot,
        now: u64,
        wanted: impl Fn(u64) -> bool,
    ) -> Option<Seen> {
        // Acquire, on every load: a later load cannot happen before an earlier one, and the last one
        // tells whether the slot was given to another span meanwhile.
        let id = span.id.load(Ordering::Acquire);
        let start = span.start.load(Ordering::Acquire);
        if id == 0 || !wanted(start) {
            return None;
        }
        let extra = span.extra.load(Ordering::Acquire);
        let fields = (0..PATIENCE).find_map(|_| self.look_at_fields(position, span));
        let origin = span.origin.load(Ordering::Acquire);
        let entries = span.entries_seen(self.foreign(position), now);
        let head = span.head.load(Ordering::Acquire);
        let seen = Seen {
            position,
            callsite: record::callsite(origin, head),
            thread: record::thread(head),
            id,
            parent: record::id_of(origin),
            root: span.root.load(Ordering::Acquire),
            start,
            at: now,
            entries,
            failed: extra & FAILED != 0,
            // If a thread is just changing the fields, it is only known that there are some.
            left_out: extra & LEFT_OUT != 0 || fields.is_none(),
            fields: fields.unwrap_or_default(),
        };
        (span.id.load(Ordering::Acquire) == id).then_some(seen)
    }

    /// The fields, unless a thread is just adding or overwriting some.
    fn look_at_fields(&self, position: SlotPosition, span: &SpanSlot) -> Option<Vec<u64>> {
        let before = self.overwrites.sequence(index(position))?;
        // Acquire, on every load: as in `look_at`.
        let words = settled_words(span.extra.load(Ordering::Acquire))?;
        let spill = span.spill.load(Ordering::Acquire);
        let fields: Vec<u64> = (0..words.min(self.field_words_max))
            .map_while(|index| self.word(span, spill, index))
            .map(|word| word.load(Ordering::Acquire))
            .collect();
        (self.overwrites.sequence(index(position)) == Some(before)).then_some(fields)
    }
}
