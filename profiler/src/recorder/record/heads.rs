//! Records, without their fields.

use super::entries::Entries;
use super::layout::{
    APART, CALLSITE_HIGH, COUNTS_SHIFT, EVENT_WORDS, EntryWords, EventWords, GaugeWords,
    KIND_ENTRY, KIND_EVENT, KIND_GAUGE, KIND_LINK, KIND_SHIFT, LEFT_OUT_SHIFT, LinkWords,
    SLOT_WORDS, Slot, THREAD_MAX, UPPER_SHIFT, callsite_high, callsite_low, id_and,
};
use super::status::Status;
use crate::recorder::losses::Kind;

/// A closed span as it was read, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanHead {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    /// The writer has subtracted its time from its parent already.
    pub(crate) counted: bool,
    /// It was entered elsewhere than inside its parent; or, if it has none, inside another span.
    pub(crate) is_stray: bool,
    /// Ticks inside its parent, without entries that are [apart](Entry::is_apart); `None`: all of its
    /// busy time.
    pub(crate) inside: Option<u64>,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    /// Less than `start` if the counter has jumped.
    pub(crate) end: u64,
    /// If times inside are not measured, only their number.
    pub(crate) entries: Entries,
}

/// An event, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventHead {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) left_out: bool,
    pub(crate) id: u64,
    pub(crate) span: u64,
    pub(crate) at: u64,
}

impl EventHead {
    #[inline]
    pub(crate) fn words(&self, field_words: usize) -> [u64; EVENT_WORDS] {
        let header = KIND_EVENT << KIND_SHIFT
            | u64::from(self.thread)
            | u64::from(self.left_out) << LEFT_OUT_SHIFT
            | callsite_high(self.callsite)
            | (field_words as u64) << UPPER_SHIFT;
        let mut words = [0; EVENT_WORDS];
        let mut event = EventWords::write(&mut words);
        event.set_header(header);
        event.set_id(self.id);
        event.set_origin(id_and(self.span, callsite_low(self.callsite)));
        event.set_at(self.at);
        words
    }
}

/// One span follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) span: u64,
    pub(crate) follows: u64,
}

impl Link {
    pub(crate) fn words(&self) -> Slot {
        let mut words = [0; SLOT_WORDS];
        let mut link = LinkWords::write(&mut words);
        link.set_header(KIND_LINK << KIND_SHIFT);
        link.set_span(self.span);
        link.set_follows(self.follows);
        words
    }
}

/// A thread was inside a span: one entry, which has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) span: u64,
    /// The span that the thread was in around this one; 0 if there was none.
    pub(crate) around: u64,
    pub(crate) entered: u64,
    /// Less than `entered` if the counter has jumped.
    pub(crate) left: u64,
    /// Whether it counts as a call: then the span's lifetime does not.
    pub(crate) counts: bool,
    /// The span's entries before this one, if not all of them are recorded.
    pub(crate) earlier: Earlier,
    /// Whether it is *not* part of what the record of its span says about the time inside the parent. If
    /// it is part of that, its time is in both records.
    pub(crate) is_apart: bool,
    /// The writer has subtracted its time from the span around it already.
    pub(crate) counted: bool,
}

/// Entries that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    pub(crate) count: u64,
    /// Ticks inside, over all of them.
    pub(crate) busy: u64,
}

impl Entry {
    pub(crate) fn words(&self) -> Slot {
        let ending = EndingEntry {
            head: u64::from(self.thread)
                | callsite_high(self.callsite)
                | if self.is_apart { APART } else { 0 },
            span: self.span,
            around: id_and(self.around, callsite_low(self.callsite)),
            entered: self.entered,
            left: self.left,
            counts: self.counts,
            earlier: self.earlier,
        };
        ending.words()
    }
}

/// An entry of the owner of a span, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndingEntry {
    /// The span's `head`: thread, the upper part of the callsite's number, and whether the entry is
    /// [apart](Entry::is_apart): inside another span than the parent.
    pub(crate) head: u64,
    pub(crate) span: u64,
    /// Callsite, and the span around it.
    pub(crate) around: u64,
    pub(crate) entered: u64,
    pub(crate) left: u64,
    pub(crate) counts: bool,
    pub(crate) earlier: Earlier,
}

impl EndingEntry {
    #[inline(always)]
    pub(crate) fn words(&self) -> Slot {
        let header = self.head & (THREAD_MAX as u64 | CALLSITE_HIGH | APART)
            | KIND_ENTRY << KIND_SHIFT
            | u64::from(self.counts) << COUNTS_SHIFT;
        let mut words = [0; SLOT_WORDS];
        let mut entry = EntryWords::write(&mut words);
        entry.set_header(header);
        entry.set_span(self.span);
        entry.set_around(self.around);
        entry.set_entered(self.entered);
        entry.set_left(self.left);
        entry.set_earlier(self.earlier.count);
        entry.set_earlier_busy(self.earlier.busy);
        words
    }
}

/// What a gauge has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaugeSample {
    /// Which gauge of the recording.
    pub(crate) number: u32,
    /// When it was sampled.
    pub(crate) at: u64,
    /// The bits of the value, a floating-point number.
    pub(crate) value: u64,
    /// How often it was set since the recording began ...
    pub(crate) version: u64,
    /// ... and since the sample before.
    pub(crate) updates: u64,
}

impl GaugeSample {
    #[cfg_attr(not(feature = "gauges"), allow(dead_code, reason = "then others have recorded it"))]
    pub(crate) fn words(&self) -> Slot {
        let mut words = [0; SLOT_WORDS];
        let mut gauge = GaugeWords::write(&mut words);
        gauge.set_header(KIND_GAUGE << KIND_SHIFT);
        gauge.set_number(self.number.into());
        gauge.set_at(self.at);
        gauge.set_value(self.value);
        gauge.set_version(self.version);
        gauge.set_updates(self.updates);
        words
    }
}

/// A record, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Span(SpanHead, &'a [u64]),
    Event(EventHead, &'a [u64]),
    Link(Link),
    Entry(Entry),
    Gauge(GaugeSample),
}

impl Record<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Span(..) => Kind::Span,
            Self::Event(..) => Kind::Event,
            Self::Link(_) => Kind::Link,
            Self::Entry(_) => Kind::Entry,
            Self::Gauge(_) => Kind::Gauge,
        }
    }

    /// When it was over, in ticks; a link has no time.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn end(&self) -> Option<u64> {
        match self {
            Self::Span(head, _) => Some(head.end),
            Self::Event(head, _) => Some(head.at),
            Self::Entry(entry) => Some(entry.left),
            Self::Gauge(sample) => Some(sample.at),
            Self::Link(_) => None,
        }
    }

    /// The id of a span that has closed.
    pub(crate) fn span_id(&self) -> Option<u64> {
        match self {
            Self::Span(head, _) => Some(head.id),
            _ => None,
        }
    }
}
