use super::layout::*;
use super::*;

fn head() -> SpanHead {
    SpanHead {
        callsite: CALLSITE_MAX as u32 - 0x1234,
        thread: THREAD_MAX,
        status: Status::Panicked,
        left_out: true,
        counted: false,
        is_stray: true,
        inside: Some(0),
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
        inside: head.inside,
        id: head.id,
        root: head.root,
        start: head.start,
        end: head.end,
        entries: head.entries,
        is_timed,
    };
    let (slots, n) = closing.words(field_words);
    slots.as_flattened()[..n].to_vec()
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
        // It is said only if there is room.
        let inside = Some(if len == 14 { 12_345 } else { 0 });
        let head = SpanHead { entries, inside, ..head() };
        let words = untimed_or_not(head, 3, is_timed);
        assert_eq!(words.len(), len, "{entries:?}");
        let mut words = [&words[..], &fields, &[0]].concat();
        assert_eq!(read(&words), Some(Record::Span(head, &fields)));
        assert_eq!(parent_link(&mut words).unwrap().end, end);
        let ids = parent_ids(&words).unwrap();
        assert_eq!((ids.is_entry, ids.id, ids.parent), (false, head.id, head.parent));
    }
}

#[test]
fn a_span_that_was_counted_is_otherwise_the_same() {
    let mut words = words(head(), 0);
    let parent_link = parent_link(&mut words).unwrap();
    let seen = (parent_link.id, parent_link.parent, parent_link.start, parent_link.end);
    assert_eq!(seen, (head().id, head().parent, head().start, head().end));
    parent_link.set_counted();
    assert_eq!(read(&words), Some(Record::Span(SpanHead { counted: true, ..head() }, &[])));
    let event = EventHead { callsite: 5, thread: 6, left_out: false, id: 7, span: 8, at: 9 };
    assert!(super::parent_link(&mut [&event.words(0)[..], &[0; 3]].concat()).is_none());
    assert!(parent_ids(&[&event.words(0)[..], &[0; 3]].concat()).is_none());
}

/// However long it waited. After a long wait it needs a second slot, and its count is that of the table.
#[test]
fn a_span_that_was_entered_once_is_one_piece() {
    let waited = once(START + WAIT_MAX + 1, START + WAIT_MAX + 9);
    for (entries, head_bits, is_one) in [
        (once(START + 5, START + 9), 0, true),
        (waited, 0, true),
        (Entries { count: 1 + u64::from(COUNT_BIAS), ..waited }, u64::from(AGAIN), true),
        (Entries { count: 2 + u64::from(COUNT_BIAS), ..waited }, u64::from(AGAIN), false),
        (Entries { count: 2, ..waited }, 0, false),
    ] {
        let mut words = words(SpanHead { is_stray: false, entries, ..head() }, 0);
        words[0] |= head_bits;
        let parent_link = parent_link(&mut words).unwrap();
        assert_eq!(parent_link.is_one_piece(), is_one, "{entries:?}");
        let inside = is_one.then_some((entries.first, THREAD_MAX));
        assert_eq!(parent_link.inside(), inside, "{entries:?}");
    }
}

#[test]
fn events_and_links_come_back_as_they_were() {
    let event = EventHead { callsite: 70_005, thread: 6, left_out: false, id: 7, span: 8, at: 9 };
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
        is_apart: false,
        counted: false,
    };
    assert_eq!(read(&entry.words()), Some(Record::Entry(entry)));
    let apart = Entry { is_apart: true, ..entry };
    assert_eq!(read(&apart.words()), Some(Record::Entry(apart)));
    let mut words = entry.words();
    let parent_link = parent_link(&mut words).unwrap();
    assert_eq!((parent_link.id, parent_link.parent), (ID_MAX, ID_MAX - 1));
    let ids = parent_ids(&entry.words()).unwrap();
    assert_eq!((ids.is_entry, ids.id, ids.parent), (true, ID_MAX, ID_MAX - 1));
    assert!(parent_link.is_entry && parent_link.is_one_piece());
    parent_link.set_counted();
    let counted = Entry { counted: true, ..entry };
    assert_eq!(read(&words), Some(Record::Entry(counted)));
    assert_eq!(super::parent_link(&mut words).unwrap().parent, 0, "it knows already");
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
