//! Records, read back.

use spandrel_storage::Status;

use super::entries::Entries;
use super::heads::{Earlier, Entry, EventHead, Link, Record, SpanHead};
use super::layout::{
    AGAIN, COUNT_BIAS, COUNTED, COUNTS, ENTERED, EVENT_WORDS, KIND_ENTRY, KIND_EVENT, KIND_LINK,
    KIND_SHIFT, KIND_SPAN, KIND_UNTIMED, LEFT_OUT, SPAN_WORDS, SPAN_WORDS_WIDE, STATUS_SHIFT,
    STRAY, THREAD_MAX, WIDE, callsite, id_of, is_untimed, thread, upper_of,
};
use crate::recorder::losses::Kind;

/// The kind of a record, from its first word.
#[inline(always)]
pub(crate) fn kind(header: u64) -> Option<Kind> {
    match (header >> KIND_SHIFT) & 0xF {
        KIND_SPAN | KIND_UNTIMED => Some(Kind::Span),
        KIND_EVENT => Some(Kind::Event),
        KIND_LINK => Some(Kind::Link),
        KIND_ENTRY => Some(Kind::Entry),
        _ => None,
    }
}

/// Reads one record from the words of its slots. `None` for words that are no record.
#[inline(always)]
pub(crate) fn read(words: &[u64]) -> Option<Record<'_>> {
    let header = *words.first()?;
    let (thread, left_out) = (thread(header), header & LEFT_OUT != 0);
    let fields = |start: usize, n: u16| words.get(start..start + usize::from(n));
    match kind(header)? {
        Kind::Span => {
            let &[_, id, origin, root, ref times @ ..] = words else { return None };
            let &[start, end, ..] = times else { return None };
            if id == 0 {
                return None;
            }
            let (entries, start_of_fields) = entries(header, times)?;
            let status = match (header >> STATUS_SHIFT) & 3 {
                0 => Status::Ok,
                1 => Status::Error,
                2 => Status::Panicked,
                _ => Status::Unfinished,
            };
            let head = SpanHead {
                callsite: callsite(origin, header),
                thread,
                status,
                left_out,
                counted: header & COUNTED != 0,
                is_stray: header & STRAY != 0,
                id,
                parent: id_of(origin),
                root: id_of(root),
                start,
                end,
                entries,
            };
            Some(Record::Span(head, fields(start_of_fields, upper_of(root))?))
        }
        Kind::Event => {
            let &[_, id, origin, at, ..] = words else { return None };
            let (callsite, span) = (callsite(origin, header), id_of(origin));
            let head = EventHead { callsite, thread, left_out, id, span, at };
            Some(Record::Event(head, fields(EVENT_WORDS, upper_of(header))?))
        }
        Kind::Link => {
            let &[_, span, follows, ..] = words else { return None };
            Some(Record::Link(Link { span, follows }))
        }
        Kind::Entry => {
            let &[_, span, around, entered, left, count, busy, ..] = words else { return None };
            if span == 0 {
                return None;
            }
            Some(Record::Entry(Entry {
                callsite: callsite(around, header),
                thread,
                span,
                around: id_of(around),
                entered,
                left,
                counts: header & COUNTS != 0,
                earlier: Earlier { count, busy },
                counted: header & COUNTED != 0,
            }))
        }
    }
}

/// The entries of a span, and where its fields begin, from its words from `start` on. `None` if words are
/// missing.
#[inline(always)]
fn entries(header: u64, times: &[u64]) -> Option<(Entries, usize)> {
    let &[start, _, word, ref rest @ ..] = times else { return None };
    let upper = u64::from(upper_of(header));
    let bias = if header & u64::from(AGAIN) != 0 { u64::from(COUNT_BIAS) } else { 0 };
    if header & WIDE != 0 {
        let &[count, first, last, longest, longest_thread, _, _, ..] = rest else { return None };
        // Below zero if the counters of two processors differed by some ticks.
        let busy = word.cast_signed().max(0).cast_unsigned();
        let longest_thread = longest_thread as u32 & THREAD_MAX;
        let count = count.wrapping_sub(bias);
        let entries = Entries { count, busy, first, last, longest, longest_thread };
        return Some((entries, SPAN_WORDS_WIDE));
    }
    let entries = match (!is_untimed(header), header & u64::from(ENTERED) != 0) {
        (true, true) => Entries::once(start.wrapping_add(upper), word, thread(header)),
        (true, false) => Entries::default(),
        (false, _) => Entries { count: upper.wrapping_sub(bias), ..Entries::default() },
    };
    Some((entries, SPAN_WORDS))
}
