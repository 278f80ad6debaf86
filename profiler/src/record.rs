//! The records of the ring: plain words, one layout for all front ends.
//!
//! ```text
//!   63          48 47                    24 23        8  7    6    5  4  3    0
//!  +--------------+------------------------+-----------+----+----+------+------+
//!  | field words  | thread                 | callsite  | W  | L  |status| kind |
//!  +--------------+------------------------+-----------+----+----+------+------+
//!  span:  id, parent, root, start, duration, idle << 20 | polls, [busy, polls if W,] fields
//!  event: id, span, at, fields                                            L: fields left out, W: wide
//!  link:  span, follows
//! ```
//!
//! Times are ticks. A span without fields fits one slot: its idle time takes 44 bits (two hours at
//! 2.4 GHz) and its polls 20; a span beyond that is *wide* and carries both in words of their own.
//! Words are numbers that mean the same in every process; there is no pointer among them.

use spandrel_storage::Status;

use crate::counters::Kind;

/// Payload of one slot of the ring: with the ring's stamp it fills a cache line.
pub(crate) type Slot = [u64; SLOT_WORDS];

pub(crate) const SLOT_WORDS: usize = 7;

/// Thread numbers have 24 bits; the last one stands for all further threads.
pub(crate) const THREAD_MAX: u32 = (1 << 24) - 1;

const KIND_SPAN: u64 = 1;
const KIND_EVENT: u64 = 2;
const KIND_LINK: u64 = 3;

const STATUS_SHIFT: u32 = 4;
const LEFT_OUT_SHIFT: u32 = 6;
const LEFT_OUT: u64 = 1 << LEFT_OUT_SHIFT;
const WIDE: u64 = 1 << 7;
const CALLSITE_SHIFT: u32 = 8;
const THREAD_SHIFT: u32 = 24;
const FIELDS_SHIFT: u32 = 48;

const POLLS_BITS: u32 = 20;
const IDLE_MAX: u64 = (1 << (64 - POLLS_BITS)) - 1;
const POLLS_MAX: u64 = (1 << POLLS_BITS) - 1;

/// Words of a span before its fields: narrow, and wide.
pub(crate) const SPAN_WORDS: usize = 7;
pub(crate) const SPAN_WORDS_WIDE: usize = 9;
pub(crate) const EVENT_WORDS: usize = 4;
pub(crate) const LINK_WORDS: usize = 3;

/// Callsite and thread, as they stand in a header.
#[inline]
pub(crate) const fn origin(callsite: u16, thread: u32) -> u64 {
    (callsite as u64) << CALLSITE_SHIFT | (thread as u64 & THREAD_MAX as u64) << THREAD_SHIFT
}

const ORIGIN: u64 = origin(u16::MAX, THREAD_MAX);

#[inline]
pub(crate) const fn callsite(header: u64) -> u16 {
    (header >> CALLSITE_SHIFT) as u16
}

#[inline]
pub(crate) const fn thread(header: u64) -> u32 {
    (header >> THREAD_SHIFT) as u32 & THREAD_MAX
}

/// What is left of a header above its callsite: the thread, and whatever stands above it.
#[inline(always)]
pub(crate) const fn without_callsite(header: u64) -> u64 {
    header >> THREAD_SHIFT
}

/// How many slots so many words take.
#[inline]
pub(crate) const fn slots(words: usize) -> usize {
    words.div_ceil(SLOT_WORDS)
}

/// A closed span as it was read, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanHead {
    pub(crate) callsite: u16,
    pub(crate) thread: u32,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) busy: u64,
    pub(crate) polls: u64,
}

#[cfg(test)]
impl SpanHead {
    /// The span as it was when it was written.
    fn closing(&self) -> ClosingSpan {
        ClosingSpan {
            origin: origin(self.callsite, self.thread),
            status: self.status,
            left_out: self.left_out,
            id: self.id,
            parent: self.parent,
            root: self.root,
            start: self.start,
            duration: self.duration,
            busy: self.busy,
            polls: self.polls,
        }
    }
}

/// A span that closes, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClosingSpan {
    /// [`origin`], and whatever in the bits above and below it.
    pub(crate) origin: u64,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) busy: u64,
    pub(crate) polls: u64,
}

impl ClosingSpan {
    /// Whether busy time and polls need words of their own.
    #[inline(always)]
    pub(crate) fn is_wide(&self) -> bool {
        // A span that several threads are inside at once can be busier than it lasted; the
        // difference then wraps to a number far above the limit.
        self.duration.wrapping_sub(self.busy) > IDLE_MAX || self.polls > POLLS_MAX
    }

    #[inline(always)]
    fn header(&self, wide: bool, field_words: usize) -> u64 {
        KIND_SPAN
            | (self.status as u64) << STATUS_SHIFT
            | u64::from(self.left_out) << LEFT_OUT_SHIFT
            | if wide { WIDE } else { 0 }
            | self.origin & ORIGIN
            | (field_words as u64) << FIELDS_SHIFT
    }

    /// The words of a narrow span.
    #[inline(always)]
    pub(crate) fn narrow(&self, field_words: usize) -> [u64; SPAN_WORDS] {
        let idle = self.duration.wrapping_sub(self.busy);
        [
            self.header(false, field_words),
            self.id,
            self.parent,
            self.root,
            self.start,
            self.duration,
            idle << POLLS_BITS | self.polls,
        ]
    }

    /// The words of a wide span.
    pub(crate) fn wide(&self, field_words: usize) -> [u64; SPAN_WORDS_WIDE] {
        [
            self.header(true, field_words),
            self.id,
            self.parent,
            self.root,
            self.start,
            self.duration,
            0,
            self.busy,
            self.polls,
        ]
    }
}

/// An event, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventHead {
    pub(crate) callsite: u16,
    pub(crate) thread: u32,
    pub(crate) left_out: bool,
    pub(crate) id: u64,
    pub(crate) span: u64,
    pub(crate) at: u64,
}

impl EventHead {
    #[inline]
    pub(crate) fn words(&self, field_words: usize) -> [u64; EVENT_WORDS] {
        let header = KIND_EVENT
            | u64::from(self.left_out) << LEFT_OUT_SHIFT
            | origin(self.callsite, self.thread)
            | (field_words as u64) << FIELDS_SHIFT;
        [header, self.id, self.span, self.at]
    }
}

/// One span follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) span: u64,
    pub(crate) follows: u64,
}

impl Link {
    pub(crate) fn words(&self) -> [u64; LINK_WORDS] {
        [KIND_LINK, self.span, self.follows]
    }
}

/// A record, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Span(SpanHead, &'a [u64]),
    Event(EventHead, &'a [u64]),
    Link(Link),
}

impl Record<'_> {
    /// The id of a span that has closed.
    pub(crate) fn span_id(&self) -> Option<u64> {
        match self {
            Self::Span(head, _) => Some(head.id),
            _ => None,
        }
    }
}

/// The kind of a record, from its first word.
pub(crate) fn kind(header: u64) -> Option<Kind> {
    match header & 0xF {
        KIND_SPAN => Some(Kind::Span),
        KIND_EVENT => Some(Kind::Event),
        KIND_LINK => Some(Kind::Link),
        _ => None,
    }
}

/// Reads one record from the words of its slots. `None` for words that are no record.
pub(crate) fn read(words: &[u64]) -> Option<Record<'_>> {
    let header = *words.first()?;
    let (callsite, thread) = (callsite(header), thread(header));
    let left_out = header & LEFT_OUT != 0;
    let fields = |start: usize| words.get(start..start + (header >> FIELDS_SHIFT) as usize);
    match header & 0xF {
        KIND_SPAN => {
            let &[_, id, parent, root, start, duration, last, ref rest @ ..] = words else {
                return None;
            };
            let wide = header & WIDE != 0;
            let (busy, polls, start_of_fields) = match (wide, rest) {
                (true, &[busy, polls, ..]) => (busy, polls, SPAN_WORDS_WIDE),
                (true, _) => return None,
                (false, _) => {
                    (duration.wrapping_sub(last >> POLLS_BITS), last & POLLS_MAX, SPAN_WORDS)
                }
            };
            let status = match (header >> STATUS_SHIFT) & 3 {
                0 => Status::Ok,
                1 => Status::Error,
                2 => Status::Panicked,
                _ => Status::Unfinished,
            };
            let head = SpanHead {
                callsite,
                thread,
                status,
                left_out,
                id,
                parent,
                root,
                start,
                duration,
                busy,
                polls,
            };
            Some(Record::Span(head, fields(start_of_fields)?))
        }
        KIND_EVENT => {
            let &[_, id, span, at, ..] = words else { return None };
            let head = EventHead { callsite, thread, left_out, id, span, at };
            Some(Record::Event(head, fields(EVENT_WORDS)?))
        }
        KIND_LINK => {
            let &[_, span, follows, ..] = words else { return None };
            Some(Record::Link(Link { span, follows }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> SpanHead {
        SpanHead {
            callsite: 0xABCD,
            thread: THREAD_MAX,
            status: Status::Panicked,
            left_out: true,
            id: 1,
            parent: 2,
            root: 3,
            start: 4,
            duration: 1 << 50,
            busy: (1 << 50) - 77,
            polls: POLLS_MAX,
        }
    }

    #[test]
    fn spans_come_back_as_they_were() {
        let fields = [9, 8, 7];
        let narrow = head();
        assert!(!narrow.closing().is_wide());
        let words = [&narrow.closing().narrow(3)[..], &fields, &[0]].concat();
        assert_eq!(read(&words), Some(Record::Span(narrow, &fields)));
        for wide in [
            SpanHead { busy: 0, ..head() },
            SpanHead { busy: (1 << 50) + 1, ..head() },
            SpanHead { polls: POLLS_MAX + 1, ..head() },
        ] {
            assert!(wide.closing().is_wide());
            let words = [&wide.closing().wide(3)[..], &fields].concat();
            assert_eq!(read(&words), Some(Record::Span(wide, &fields)));
        }
    }

    #[test]
    fn events_and_links_come_back_as_they_were() {
        let event = EventHead { callsite: 5, thread: 6, left_out: false, id: 7, span: 8, at: 9 };
        let words = [&event.words(2)[..], &[1, 2]].concat();
        assert_eq!(read(&words), Some(Record::Event(event, &[1, 2])));
        let link = Link { span: 3, follows: 4 };
        assert_eq!(read(&link.words()), Some(Record::Link(link)));
    }

    #[test]
    fn garbage_is_no_record() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0; 7]), None);
        assert_eq!(read(&head().closing().narrow(1)), None, "a field word is missing");
        assert_eq!(read(&head().closing().wide(0)[..8]), None);
        assert_eq!(read(&[KIND_EVENT, 1, 2]), None);
    }
}
