//! Records, read back.

use super::entries::Entries;
use super::heads::{Earlier, Entry, EventHead, GaugeSample, Link, Record, SpanHead};
use super::layout::{
    AGAIN, APART, COUNT_BIAS, COUNTED, COUNTS, ENTERED, EVENT_WORDS, EntriesWords, EntryWords,
    EventWords, GaugeWords, Header, LEFT_OUT, LinkWords, SAYS_INSIDE, SPAN_WORDS, SPAN_WORDS_WIDE,
    STATUS_SHIFT, STRAY, Slot, SpanWords, THREAD_MAX, WIDE, callsite, id_of, upper_of,
};
#[cfg(feature = "collected")]
use super::layout::{KIND_SHIFT, KIND_SPAN};
use super::status::Status;
use crate::recorder::losses::Kind;

/// What nearly all records are: a span without fields, entered once, by the thread that made it.
#[cfg(feature = "collected")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainSpan {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// When it was entered, and left.
    pub(crate) inside: [u64; 2],
}

/// Reads one of a single slot; `None` if it is something else.
#[cfg(feature = "collected")]
#[inline(always)]
pub(crate) fn read_plain(slot: &Slot) -> Option<PlainSpan> {
    const WHICH: u64 = 0xF << KIND_SHIFT | ENTERED as u64 | WIDE;
    let (header, span) = (Header(slot[0]), SpanWords::read(slot)?);
    let is_plain = header.0 & WHICH == KIND_SPAN << KIND_SHIFT | u64::from(ENTERED)
        && upper_of(span.root()) == 0
        && span.id() != 0;
    let first = span.start().wrapping_add(u64::from(header.upper()));
    is_plain.then(|| PlainSpan {
        callsite: callsite(span.origin(), header.0),
        thread: header.thread(),
        id: span.id(),
        parent: id_of(span.origin()),
        root: id_of(span.root()),
        start: span.start(),
        end: span.end(),
        inside: [first, span.last_or_busy().max(first)],
    })
}

/// The kind of a record.
#[inline(always)]
pub(crate) fn kind(words: &[u64]) -> Option<Kind> {
    Header::of(words)?.kind()
}

/// Reads one record from the words of its slots. `None` for words that are no record.
#[inline(always)]
pub(crate) fn read(words: &[u64]) -> Option<Record<'_>> {
    let header = Header::of(words)?;
    let (thread, left_out) = (header.thread(), header.has(LEFT_OUT));
    let fields = |start: usize, n: u16| words.get(start..start + usize::from(n));
    match header.kind()? {
        Kind::Span => {
            let span = SpanWords::read(words)?;
            if span.id() == 0 {
                return None;
            }
            let (entries, start_of_fields) = entries(header, span, words)?;
            let status = match (header.0 >> STATUS_SHIFT) & 3 {
                0 => Status::Ok,
                1 => Status::Error,
                2 => Status::Panicked,
                _ => Status::Unfinished,
            };
            let head = SpanHead {
                callsite: callsite(span.origin(), header.0),
                thread,
                status,
                left_out,
                counted: header.has(COUNTED),
                is_stray: header.has(STRAY),
                inside: inside(header, words),
                id: span.id(),
                parent: id_of(span.origin()),
                root: id_of(span.root()),
                start: span.start(),
                end: span.end(),
                entries,
            };
            Some(Record::Span(head, fields(start_of_fields, upper_of(span.root()))?))
        }
        Kind::Event => {
            let event = EventWords::read(words)?;
            let head = EventHead {
                callsite: callsite(event.origin(), header.0),
                thread,
                left_out,
                id: event.id(),
                span: id_of(event.origin()),
                at: event.at(),
            };
            Some(Record::Event(head, fields(EVENT_WORDS, header.upper())?))
        }
        Kind::Link => {
            let link = LinkWords::read(words)?;
            Some(Record::Link(Link { span: link.span(), follows: link.follows() }))
        }
        Kind::Entry => {
            let entry = EntryWords::read(words)?;
            if entry.span() == 0 {
                return None;
            }
            Some(Record::Entry(Entry {
                callsite: callsite(entry.around(), header.0),
                thread,
                span: entry.span(),
                around: id_of(entry.around()),
                entered: entry.entered(),
                left: entry.left(),
                counts: header.has(COUNTS),
                earlier: Earlier { count: entry.earlier(), busy: entry.earlier_busy() },
                is_apart: header.has(APART),
                counted: header.has(COUNTED),
            }))
        }
        Kind::Gauge => {
            let gauge = GaugeWords::read(words)?;
            Some(Record::Gauge(GaugeSample {
                number: u32::try_from(gauge.number()).ok()?,
                at: gauge.at(),
                value: gauge.value(),
                version: gauge.version(),
                updates: gauge.updates(),
            }))
        }
    }
}

/// What a span says about the time inside its parent: see [`SpanHead::inside`]. If it was entered only
/// once, and elsewhere, nothing.
#[inline(always)]
pub(super) fn inside(header: Header, words: &[u64]) -> Option<u64> {
    if header.has(SAYS_INSIDE) {
        return EntriesWords::of_span(words).map(|wide| wide.inside());
    }
    (header.has(STRAY) && !header.has(WIDE)).then_some(0)
}

/// The entries of a span, and where its fields begin. `None` if words are missing.
#[inline(always)]
fn entries(header: Header, span: SpanWords<&Slot>, words: &[u64]) -> Option<(Entries, usize)> {
    let upper = u64::from(header.upper());
    let bias = if header.has(u64::from(AGAIN)) { u64::from(COUNT_BIAS) } else { 0 };
    if header.has(WIDE) {
        let wide = EntriesWords::of_span(words)?;
        let entries = Entries {
            count: wide.count().wrapping_sub(bias),
            // The difference is negative if the counters of two processors differ by some ticks.
            busy: span.last_or_busy().cast_signed().max(0).cast_unsigned(),
            first: wide.first(),
            last: wide.last(),
            longest: wide.longest(),
            longest_thread: wide.thread() as u32 & THREAD_MAX,
        };
        return Some((entries, SPAN_WORDS_WIDE));
    }
    let entries = match (!header.is_untimed(), header.has(u64::from(ENTERED))) {
        (true, true) => {
            Entries::once(span.start().wrapping_add(upper), span.last_or_busy(), header.thread())
        }
        (true, false) => Entries::default(),
        (false, _) => Entries { count: upper.wrapping_sub(bias), ..Entries::default() },
    };
    Some((entries, SPAN_WORDS))
}
