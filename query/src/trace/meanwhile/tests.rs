use super::super::Trace;
use super::super::tests::{below, span};
use super::Sums;
use crate::reader::Entry;
use crate::test_profile::TestProfile;
use spandrel_storage::{EntryRow, SpanRow};

/// An entry that counts, in no span: on which thread, from when until when.
fn entered(id: u64, span_id: u64, callsite_id: i64, when: (i64, i64, i64)) -> EntryRow {
    let (thread_id, start_ns, end_ns) = when;
    EntryRow {
        id,
        span_id,
        callsite_id,
        thread_id,
        start_ns,
        duration_ns: end_ns - start_ns,
        around_id: 0,
        self_ns: Some(1),
        earlier_entries: 0,
        earlier_ns: 0,
    }
}

/// A frame from 1,000 to 2,000 on thread 1, and what the others did: ids of systems from 10 on.
fn beside(profile: &mut TestProfile) -> (i64, i64) {
    let (frame, system) = (profile.callsite("frame", "t", 1), profile.callsite("system", "t", 2));
    for number in 1..=3 {
        profile.thread(number, Some(["main", "one", "two"][number as usize - 1]));
    }
    profile.add(TestProfile::span(100, frame, 1_000, 1_000), "");
    profile.add(
        SpanRow { parent_id: 100, root_id: 100, ..TestProfile::span(101, frame, 1_100, 300) },
        "",
    );
    let long = |id: u64| SpanRow { self_ns: None, ..TestProfile::span(id, system, 0, 9_000) };
    for (id, name) in [(10, "walk"), (11, "think"), (12, "walk"), (13, "draw"), (14, "sleep")] {
        profile.add(long(id), &format!(r#"{{"name":"{name}"}}"#));
    }
    // A child of the frame that lives long, with an entry elsewhere.
    profile.add(SpanRow { parent_id: 100, root_id: 100, ..long(102) }, "");
    let all = [
        // Span, thread, around, from, until.
        (10, 2, 0, 900, 1_050),
        (10, 2, 0, 1_200, 1_300),
        (12, 3, 0, 1_200, 1_270),
        (11, 3, 0, 1_500, 2_300),
        // Over before, begun after, in another span, on the thread of the frame, of the frame's own child.
        (13, 2, 0, 400, 1_000),
        (13, 2, 0, 2_000, 2_100),
        (13, 2, 11, 1_600, 1_700),
        (13, 1, 0, 1_850, 1_900),
        (102, 2, 0, 1_450, 1_490),
    ];
    let entries = (500..).zip(all).map(|(id, (span_id, thread, around_id, from, until))| {
        EntryRow { around_id, ..entered(id, span_id, system, (thread, from, until)) }
    });
    entries.for_each(|entry| profile.entry(entry));
    // One that does not count.
    profile.entry(EntryRow { self_ns: None, ..entered(600, 14, system, (2, 1_100, 1_190)) });
    (frame, system)
}

/// Name, calls, total, longest, thread and threads of each row.
fn rows(trace: &Trace) -> Vec<(String, u64, [i64; 2], String, u64)> {
    let rows = trace.meanwhile.iter().flat_map(|meanwhile| &meanwhile.rows);
    rows.map(|row| {
        let fields = row.fields.as_deref().unwrap_or("{}").to_owned();
        let thread = row.thread.name.clone().unwrap();
        (fields, row.calls, [row.total_ns, row.longest_ns], thread, row.threads)
    })
    .collect()
}

#[test]
fn what_ran_on_other_threads_in_no_span_is_beside_the_tree_as_far_as_it_was_then() {
    let mut profile = TestProfile::new();
    beside(&mut profile);
    let reader = profile.reader();
    let trace = Trace::read(&reader, 100, 1_000).unwrap().unwrap();
    let name = |name: &str| format!(r#"{{"name":"{name}"}}"#);
    let expected = [
        (name("think"), 1, [500, 500], "two".to_owned(), 1),
        (name("walk"), 3, [50 + 100 + 70, 100], "one".to_owned(), 2),
    ];
    assert_eq!(rows(&trace), expected);
    let meanwhile = trace.meanwhile.as_ref().unwrap();
    assert_eq!((meanwhile.span_id, meanwhile.more, meanwhile.left_out), (100, 0, false));
    assert_eq!(meanwhile.rows[1].longest_from_ns, 1_200);
    // It is in no sum of the tree.
    assert_eq!(below(&trace), [(0, 100), (1, 102), (1, 101)]);
    assert_eq!((trace.entries_total, trace.interval_ns()), (0, (1_000, 2_000)));
    assert_eq!(trace.extent_ns(), (1_000, 2_000));

    // Of a span that was asked for, its time counts.
    let trace = Trace::read_around(&reader, 100, 1_000, 101).unwrap().unwrap();
    let expected = [(name("walk"), 2, [100 + 70, 100], "one".to_owned(), 2)];
    assert_eq!((trace.meanwhile.as_ref().unwrap().span_id, rows(&trace)), (101, expected.into()));
    // One that lives long has no time of its own, and its trace here no other.
    assert!(Trace::read(&reader, 11, 1_000).unwrap().unwrap().meanwhile.is_none());
    let around = Trace::read_around(&reader, 100, 1_000, 102).unwrap().unwrap();
    assert_eq!(around.meanwhile.unwrap().span_id, 100);
}

#[test]
fn where_nothing_ran_on_other_threads_there_is_no_such_part() {
    let mut profile = TestProfile::new();
    let (frame, system) = beside(&mut profile);
    profile.add(TestProfile::span(200, frame, 5_000, 1_000), "");
    profile.entry(entered(700, 10, system, (1, 5_100, 5_110)));
    let reader = profile.reader();
    assert!(Trace::read(&reader, 200, 1_000).unwrap().unwrap().meanwhile.is_none());
}

#[test]
fn more_spans_than_are_told_apart_are_added_up() {
    let root = span(1, None, 0, Some(1_000_000));
    let mut sums = Sums::over(&root, 0).unwrap();
    let spans = 100_000;
    for n in 0..spans {
        let entry = Entry {
            span_id: 10 + n,
            thread_id: 9,
            start_ns: n as i64,
            duration_ns: 1 + n as i64 % 1_000,
            self_ns: Some(1),
            ..Entry::default()
        };
        sums.look_at(&entry);
    }
    let mut profile = TestProfile::new();
    let reader = profile.reader();
    let found = reader.query("test", |tx| sums.named(tx, 1)).unwrap();
    // All of them are of one name and have no fields.
    let found = found.unwrap();
    assert_eq!((found.rows.len(), found.left_out), (1, true));
    assert_eq!(found.rows[0].calls + found.more, spans);
    assert_eq!(found.rows[0].total_ns + found.more_ns, 100 * (1_000 * 1_001 / 2));
    assert_eq!(found.rows[0].longest_ns, 1_000);
}
