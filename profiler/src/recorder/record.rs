//! The records of the ring: plain words, one layout for all front ends.
//!
//! ```text
//!   63               48 47       37 36  35  34   33 32 31  28 27  24 23                     0
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//!  | wait / words      | callsite' | 0 | W | L |status | kind | flags| thread               |
//!  +-------------------+-----------+---+---+---+-------+------+------+----------------------+
//!  span:  id, callsite | parent, field words | root, start, end, last exit, fields
//!    with the flag ENTERED: it was entered once, after `wait` ticks; without: never
//!    in a kind of its own, where times inside are not measured: that often, 0 for the last exit
//!    if W, of any: busy for the last exit; entries, first, last, longest entry, its thread, 0, 0
//!    with the flag AGAIN: the number of entries is COUNT_BIAS too large, as it stood in the table
//!  event: id, callsite | span, at, fields                         L: fields left out, W: wide
//!  link:  span, follows
//!  entry: span, callsite | around, entered, left, earlier entries, time inside over those; L: it counts as a call
//! ```
//!
//! `a | b` is a word whose upper 16 bits are `a`. So ids have [`ID_BITS`]: at ten million a second
//! they last eleven months without a pause, at 10,000 nine hundred years. Times are ticks. A callsite's
//! number has 27 bits, of which the upper ones, `callsite'`, are 0 but in the largest programs.
//!
//! The words of a span are those of its place in the table of open spans as they stand there, so
//! that closing it is nearly copying it; and a span without fields fits one slot. One that was entered again, late, or
//! by another thread than its own, is *wide*: two slots before its fields. Words are numbers that mean the same in every process; there is no pointer among them.

use spandrel_storage::Status;

use crate::chunks::ENTRIES_MAX;
use crate::losses::Kind;
use crate::open_spans::{AGAIN, COUNT_BIAS, ENTERED, Entries};

/// Payload of one slot of the ring: with the ring's stamp it fills a cache line.
pub(crate) type Slot = [u64; SLOT_WORDS];

pub(crate) const SLOT_WORDS: usize = 7;

/// Thread numbers have 24 bits; the last one stands for all further threads.
pub(crate) const THREAD_MAX: u32 = (1 << 24) - 1;
/// Ids have so many bits.
pub(crate) const ID_BITS: u32 = 48;
const ID_MAX: u64 = (1 << ID_BITS) - 1;
/// The first id of a recording is below this: it may use half of them; none will.
pub(crate) const FIRST_ID_MAX: u64 = 1 << (ID_BITS - 1);

const KIND_SHIFT: u32 = 28;
const KIND_SPAN: u64 = 0; // so that the head of an open span is the header of its record
const KIND_EVENT: u64 = 1;
const KIND_LINK: u64 = 2;
const KIND_UNTIMED: u64 = 3;
const KIND_ENTRY: u64 = 4;

/// A span was entered elsewhere than inside its parent.
const STRAY_SHIFT: u32 = 25;
const STRAY: u64 = 1 << STRAY_SHIFT;
const STATUS_SHIFT: u32 = 32;
const LEFT_OUT_SHIFT: u32 = 34;
const LEFT_OUT: u64 = 1 << LEFT_OUT_SHIFT;
pub(crate) const WIDE: u64 = 1 << 35;
/// In the header of a span: its times inside are not measured.
pub(crate) const UNTIMED: u64 = KIND_UNTIMED << KIND_SHIFT;
/// In the header of an entry: it counts as a call.
const COUNTS_SHIFT: u32 = LEFT_OUT_SHIFT;
const COUNTS: u64 = 1 << COUNTS_SHIFT;
/// Set by the writer in its own copy.
const COUNTED: u64 = 1 << 36;

/// What a callsite's number has above its lower 16 bits.
const CALLSITE_HIGH_SHIFT: u32 = 37;
const CALLSITE_HIGH: u64 = 0x7FF << CALLSITE_HIGH_SHIFT;
/// Largest number that needs no more than the lower bits.
pub(crate) const CALLSITE_LOW_MAX: u32 = 0xFFFF;
/// Largest number of a callsite.
const CALLSITE_MAX: usize = (1 << 27) - 1;
const _: () = assert!(ENTRIES_MAX - 1 <= CALLSITE_MAX);

/// Where the upper 16 bits of a word begin.
pub(crate) const UPPER_SHIFT: u32 = ID_BITS;
/// Most ticks from the creation of a span to its first entry, if it is not wide.
pub(crate) const WAIT_MAX: u64 = 0xFFFF;
/// Most entries of a span that is not wide, where times are not measured.
const UNTIMED_ENTRIES_MAX: u64 = 0xFFFF;

/// Words of a span before its fields: narrow, and wide.
pub(crate) const SPAN_WORDS: usize = SLOT_WORDS;
pub(crate) const SPAN_WORDS_WIDE: usize = 2 * SLOT_WORDS;
pub(crate) const EVENT_WORDS: usize = 4;
pub(crate) const LINK_WORDS: usize = 3;

/// A word of an id and 16 bits more.
#[inline(always)]
pub(crate) const fn id_and(id: u64, upper: u16) -> u64 {
    id | (upper as u64) << UPPER_SHIFT
}

/// The id in such a word.
#[inline(always)]
pub(crate) const fn id_of(word: u64) -> u64 {
    word & ID_MAX
}

/// What is above the id.
#[inline(always)]
pub(crate) const fn upper_of(word: u64) -> u16 {
    (word >> UPPER_SHIFT) as u16
}

#[inline(always)]
pub(crate) const fn thread(header: u64) -> u32 {
    header as u32 & THREAD_MAX
}

/// What of a callsite's number stands in a header.
#[inline]
pub(crate) const fn callsite_high(number: u32) -> u64 {
    ((number as u64) >> 16) << CALLSITE_HIGH_SHIFT
}

/// What stands beside an id.
#[inline]
pub(crate) const fn callsite_low(number: u32) -> u16 {
    number as u16
}

/// The number of a callsite from the word that has its lower bits, and the header.
#[inline(always)]
pub(crate) const fn callsite(origin: u64, header: u64) -> u32 {
    (origin >> UPPER_SHIFT) as u32 | ((header & CALLSITE_HIGH) >> (CALLSITE_HIGH_SHIFT - 16)) as u32
}

/// How many slots so many words take.
#[inline]
pub(crate) const fn slots(words: usize) -> usize {
    words.div_ceil(SLOT_WORDS)
}

/// A closed span as it was read, without its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanHead {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    /// Its time was taken off its parent's already.
    pub(crate) counted: bool,
    /// It was entered elsewhere than inside its parent, or outside of everything if it has none.
    pub(crate) is_stray: bool,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    /// Less than `start` if the counter has jumped.
    pub(crate) end: u64,
    /// Only how many they are, where times inside are not measured.
    pub(crate) entries: Entries,
}

/// A span that closes, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClosingSpan {
    /// The span's `head`: thread, and what the callsite's number has above 16 bits.
    pub(crate) head: u64,
    /// Callsite and parent.
    pub(crate) origin: u64,
    pub(crate) status: Status,
    pub(crate) left_out: bool,
    pub(crate) is_stray: bool,
    pub(crate) id: u64,
    pub(crate) root: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) entries: Entries,
    /// Whether times inside are measured.
    pub(crate) is_timed: bool,
}

impl ClosingSpan {
    /// The words before the fields, and how many of them count.
    pub(crate) fn words(&self, field_words: usize) -> ([u64; SPAN_WORDS_WIDE], usize) {
        let Entries { count, busy, first, last, longest, longest_thread } = self.entries;
        let wait = first.wrapping_sub(self.start);
        let is_once = count == 1 && wait <= WAIT_MAX && longest_thread == thread(self.head);
        let narrow = match self.is_timed {
            true if count == 0 => Some((0, 0)),
            true => is_once.then_some((u64::from(ENTERED) | wait << UPPER_SHIFT, last)),
            false => (count <= UNTIMED_ENTRIES_MAX).then_some((UNTIMED | count << UPPER_SHIFT, 0)),
        };
        let kind = if self.is_timed { 0 } else { UNTIMED };
        let (flags, word) = narrow.unwrap_or((WIDE | kind, busy));
        let header = self.head & (THREAD_MAX as u64 | CALLSITE_HIGH)
            | (self.status as u64) << STATUS_SHIFT
            | u64::from(self.left_out) << LEFT_OUT_SHIFT
            | u64::from(self.is_stray) << STRAY_SHIFT
            | flags;
        let root = id_and(self.root, field_words as u16);
        let mut words = [0; SPAN_WORDS_WIDE];
        words[..SPAN_WORDS].copy_from_slice(&[
            header,
            self.id,
            self.origin,
            root,
            self.start,
            self.end,
            word,
        ]);
        if narrow.is_some() {
            return (words, SPAN_WORDS);
        }
        words[SPAN_WORDS..][..5].copy_from_slice(&[
            count,
            first,
            last,
            longest,
            u64::from(longest_thread),
        ]);
        (words, SPAN_WORDS_WIDE)
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
        [header, self.id, id_and(self.span, callsite_low(self.callsite)), self.at]
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
        [KIND_LINK << KIND_SHIFT, self.span, self.follows]
    }
}

/// A thread was inside a span: one entry, which has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) callsite: u32,
    pub(crate) thread: u32,
    pub(crate) span: u64,
    /// The span that the thread was in around this one, 0 for none.
    pub(crate) around: u64,
    pub(crate) entered: u64,
    /// Less than `entered` if the counter has jumped.
    pub(crate) left: u64,
    /// Whether it counts as a call by itself, and the span's lifetime does not.
    pub(crate) counts: bool,
    /// The span's entries before this one, if they are not recorded all.
    pub(crate) earlier: Earlier,
    /// Its time was taken off that of the span around already.
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
        let header = KIND_ENTRY << KIND_SHIFT
            | u64::from(self.thread)
            | u64::from(self.counts) << COUNTS_SHIFT
            | callsite_high(self.callsite);
        let around = id_and(self.around, callsite_low(self.callsite));
        let Earlier { count, busy } = self.earlier;
        [header, self.span, around, self.entered, self.left, count, busy]
    }
}

/// A record, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Span(SpanHead, &'a [u64]),
    Event(EventHead, &'a [u64]),
    Link(Link),
    Entry(Entry),
}

impl Record<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Span(..) => Kind::Span,
            Self::Event(..) => Kind::Event,
            Self::Link(_) => Kind::Link,
            Self::Entry(_) => Kind::Entry,
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

/// What the writer looks at before it converts a record of a span, or of an entry.
#[derive(Debug)]
pub(crate) struct Kinship<'a> {
    words: &'a mut [u64],
    /// The span, or that of an entry.
    pub(crate) id: u64,
    pub(crate) is_entry: bool,
    /// The parent, or the span around an entry. 0 for none, for one that knows of this one already, and where there is
    /// nothing to know, as of a span that was never entered.
    pub(crate) parent: u64,
    pub(crate) thread: u32,
    pub(crate) start: u64,
    /// When it closed.
    pub(crate) end: u64,
}

impl Kinship<'_> {
    fn header(&self) -> u64 {
        self.words.first().copied().unwrap_or(0)
    }

    /// Whether all that it was inside is from `start` to the last exit, and inside the parent.
    pub(crate) fn is_one_piece(&self) -> bool {
        self.is_entry || self.header() & (WIDE | STRAY) == 0
    }

    /// Whether it is an entry that counts as a call.
    pub(crate) fn counts(&self) -> bool {
        self.header() & COUNTS != 0
    }

    /// When it was left last; its end where that was not measured.
    pub(crate) fn left(&self) -> u64 {
        match &*self.words {
            _ if self.is_entry || is_untimed(self.header()) => self.end,
            [header, _, _, _, _, _, last, ..] if *header & WIDE == 0 => *last,
            [_, _, _, _, _, _, _, _, _, last, ..] => *last,
            _ => self.end,
        }
    }

    /// Since when it was inside, and on which thread, if there was no pause up to the last exit.
    pub(crate) fn inside(&self) -> Option<(u64, u32)> {
        match &*self.words {
            _ if self.is_entry => Some((self.start, self.thread)),
            [header, ..] if is_untimed(*header) => None,
            [header, ..] if *header & WIDE == 0 => {
                Some((self.start.wrapping_add(u64::from(upper_of(*header))), self.thread))
            }
            [_, _, _, _, _, _, _, 1, first, _, _, by, ..] => {
                Some((*first, *by as u32 & THREAD_MAX))
            }
            _ => None,
        }
    }

    /// The parent knows of it: [`SpanHead::counted`].
    pub(crate) fn set_counted(self) {
        if let Some(header) = self.words.first_mut() {
            *header |= COUNTED;
        }
    }
}

#[inline(always)]
fn is_untimed(header: u64) -> bool {
    (header >> KIND_SHIFT) & 0xF == KIND_UNTIMED
}

/// What of that tells most records from those that are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kin {
    pub(crate) is_entry: bool,
    pub(crate) id: u64,
    /// The parent, or the span around an entry, or 0 for none.
    pub(crate) parent: u64,
}

/// The same of any record; `None` if it is neither of a span nor of an entry.
#[inline(always)]
pub(crate) fn kin(words: &[u64]) -> Option<Kin> {
    let &[header, id, second, _, _, _, ..] = words else { return None };
    let is_entry = match kind(header)? {
        Kind::Span => false,
        Kind::Entry => true,
        Kind::Event | Kind::Link => return None,
    };
    Some(Kin { is_entry, id, parent: id_of(second) })
}

/// The kinship of any record; `None` if it is of neither.
#[inline(always)]
pub(crate) fn kinship(words: &mut [u64]) -> Option<Kinship<'_>> {
    let &mut [header, id, second, third, fourth, fifth, ..] = words else { return None };
    let is_known = header & COUNTED != 0;
    let (is_entry, start, end) = match kind(header)? {
        Kind::Span => (false, fourth, fifth),
        Kind::Entry => (true, third, fourth),
        Kind::Event | Kind::Link => return None,
    };
    let was_inside = is_entry
        || header & (WIDE | u64::from(ENTERED)) != 0
        || is_untimed(header) && upper_of(header) > 0;
    let parent = if is_known || !was_inside { 0 } else { id_of(second) };
    Some(Kinship { words, id, is_entry, parent, thread: thread(header), start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> SpanHead {
        SpanHead {
            callsite: CALLSITE_MAX as u32 - 0x1234,
            thread: THREAD_MAX,
            status: Status::Panicked,
            left_out: true,
            counted: false,
            is_stray: true,
            id: ID_MAX - 1,
            parent: ID_MAX,
            root: ID_MAX - 2,
            start: START,
            end: u64::MAX,
            entries: once(START + 9, u64::MAX - 500),
        }
    }

    const START: u64 = u64::MAX - (1 << 50);

    fn once(first: u64, last: u64) -> Entries {
        Entries::once(first, last, THREAD_MAX)
    }

    /// The words of the span when it closes, before its fields.
    fn words(head: SpanHead, field_words: usize) -> Vec<u64> {
        untimed_or_not(head, field_words, true)
    }

    fn untimed_or_not(head: SpanHead, field_words: usize, is_timed: bool) -> Vec<u64> {
        let closing = ClosingSpan {
            head: u64::from(head.thread) | callsite_high(head.callsite),
            origin: id_and(head.parent, callsite_low(head.callsite)),
            status: head.status,
            left_out: head.left_out,
            is_stray: head.is_stray,
            id: head.id,
            root: head.root,
            start: head.start,
            end: head.end,
            entries: head.entries,
            is_timed,
        };
        let (words, n) = closing.words(field_words);
        words[..n].to_vec()
    }

    #[test]
    fn spans_come_back_as_they_were() {
        let fields = [9, 8, 7];
        let end = u64::MAX;
        let count = |count| Entries { count, ..Entries::default() };
        let again = Entries {
            count: 1 << 40,
            busy: 700,
            first: 1,
            last: end,
            longest: 600,
            longest_thread: THREAD_MAX,
        };
        let elsewhere = Entries { longest_thread: 3, ..once(START, end) };
        let cases = [
            (once(START, START), true, 7),
            (once(START + WAIT_MAX, end), true, 7),
            (once(START + WAIT_MAX + 1, end), true, 14),
            (elsewhere, true, 14),
            (again, true, 14),
            (count(0), true, 7),
            (count(0), false, 7),
            (count(UNTIMED_ENTRIES_MAX), false, 7),
            (count(UNTIMED_ENTRIES_MAX + 1), false, 14),
        ];
        for (entries, is_timed, len) in cases {
            let head = SpanHead { entries, ..head() };
            let words = untimed_or_not(head, 3, is_timed);
            assert_eq!(words.len(), len, "{entries:?}");
            let mut words = [&words[..], &fields, &[0]].concat();
            assert_eq!(read(&words), Some(Record::Span(head, &fields)));
            assert_eq!(kinship(&mut words).unwrap().end, end);
            let kin = kin(&words).unwrap();
            assert_eq!((kin.is_entry, kin.id, kin.parent), (false, head.id, head.parent));
        }
    }

    #[test]
    fn a_span_that_was_counted_is_otherwise_the_same() {
        let mut words = words(head(), 0);
        let kinship = kinship(&mut words).unwrap();
        let seen = (kinship.id, kinship.parent, kinship.start, kinship.end);
        assert_eq!(seen, (head().id, head().parent, head().start, head().end));
        kinship.set_counted();
        assert_eq!(read(&words), Some(Record::Span(SpanHead { counted: true, ..head() }, &[])));
        let event = EventHead { callsite: 5, thread: 6, left_out: false, id: 7, span: 8, at: 9 };
        assert!(super::kinship(&mut [&event.words(0)[..], &[0; 3]].concat()).is_none());
        assert!(kin(&[&event.words(0)[..], &[0; 3]].concat()).is_none());
    }

    #[test]
    fn events_and_links_come_back_as_they_were() {
        let event =
            EventHead { callsite: 70_005, thread: 6, left_out: false, id: 7, span: 8, at: 9 };
        let words = [&event.words(2)[..], &[1, 2]].concat();
        assert_eq!(read(&words), Some(Record::Event(event, &[1, 2])));
        let link = Link { span: 3, follows: 4 };
        assert_eq!(read(&link.words()), Some(Record::Link(link)));
        let entry = Entry {
            callsite: CALLSITE_MAX as u32 - 0x1234,
            thread: THREAD_MAX,
            span: ID_MAX,
            around: ID_MAX - 1,
            entered: START,
            left: u64::MAX,
            counts: true,
            earlier: Earlier { count: 1 << 40, busy: u64::MAX },
            counted: false,
        };
        assert_eq!(read(&entry.words()), Some(Record::Entry(entry)));
        let mut words = entry.words();
        let kinship = kinship(&mut words).unwrap();
        assert_eq!((kinship.id, kinship.parent), (ID_MAX, ID_MAX - 1));
        let kin = kin(&entry.words()).unwrap();
        assert_eq!((kin.is_entry, kin.id, kin.parent), (true, ID_MAX, ID_MAX - 1));
        assert!(kinship.is_entry && kinship.is_one_piece());
        kinship.set_counted();
        let counted = Entry { counted: true, ..entry };
        assert_eq!(read(&words), Some(Record::Entry(counted)));
        assert_eq!(super::kinship(&mut words).unwrap().parent, 0, "it knows already");
    }

    #[test]
    fn garbage_is_no_record() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0; 7]), None);
        assert_eq!(read(&words(head(), 1)), None, "a field word is missing");
        let wide = SpanHead { entries: Entries { count: 2, ..head().entries }, ..head() };
        assert_eq!(read(&words(wide, 0)[..13]), None);
        assert_eq!(read(&[KIND_EVENT << KIND_SHIFT, 1, 2]), None);
        assert_eq!(read(&[7 << KIND_SHIFT, 1, 2, 3, 4, 5, 6]), None);
    }
}
