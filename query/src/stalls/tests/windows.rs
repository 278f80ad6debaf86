//! A window is about when entries began.

use super::*;

/// Name, milliseconds, and when it began.
fn rows(found: &[Stall]) -> Vec<(&str, i64, (i64, i64))> {
    let row = |stall: &'_ Stall| {
        let (earliest, latest) = stall.began();
        (stall.longest_ns() / MS, (earliest / MS, latest / MS))
    };
    let names = found.iter().map(|stall| stall.worst.callsite.name.as_str());
    names.zip(found.iter().map(row)).map(|(name, (ms, began))| (name, ms, began)).collect()
}

fn window(from_ms: Option<i64>, until_ms: Option<i64>) -> Scan {
    Scan::new(1).window(from_ms.map(|ms| ms * MS), until_ms.map(|ms| ms * MS))
}

/// A connection that is open from the start on, with a poll of 40 ms after 2 s and one of 20 ms after 1 s.
fn connection(is_open: bool) -> Program {
    let mut program = Program::new();
    let mut polls = vec![1; 3_000];
    (polls[900], polls[1_900]) = (20, 40);
    let conn = program.row(0, "conn", WORKER, 0, &polls);
    let id = conn.id;
    if is_open {
        program.profile.open(conn, 4_000 * MS);
    } else {
        program.profile.add(conn, "");
    }
    // Each length was made of ticks by itself.
    program.entry((id, "conn"), 1_000, 20 * MS + 60, 0);
    program.entry((id, "conn"), 2_000, 40 * MS - 34, 0);
    program
}

#[test]
fn a_long_entry_in_the_window_counts_although_its_span_began_before() {
    for is_open in [false, true] {
        let mut program = connection(is_open);
        let whole = program.found(&Scan::new(1));
        assert_eq!(rows(&whole), [("conn", 40, (2_000, 2_000))], "{is_open}");
        let found = program.found(&window(Some(1_500), None));
        assert_eq!(rows(&found), [("conn", 40, (2_000, 2_000))], "{is_open}");
        assert_eq!(found[0].spans, 1);
        // The longest of the window, where that of the span is elsewhere.
        let found = program.found(&window(Some(500), Some(1_500)));
        assert_eq!(rows(&found), [("conn", 20, (1_000, 1_000))], "{is_open}");
        for (from, until) in [(Some(2_500), None), (Some(1_001), Some(2_000)), (None, Some(900))] {
            let found = program.found(&window(from, until));
            assert!(found.is_empty(), "{is_open}, {from:?}..{until:?}: {:?}", rows(&found));
        }
        let reader = program.profile.reader();
        let filter = Filter::parse("name!=conn").unwrap();
        let later = window(Some(1_500), None);
        let found = reader.stalls(&later, &filter, 10 * MS, StallsOn::Runtimes).unwrap().0;
        assert!(found.is_empty());
    }
}

#[test]
fn what_was_made_before_the_window_and_entered_first_in_it_counts() {
    let mut program = Program::new();
    program.span("task", WORKER, 0, &[1, 1]);
    let queued = program.row(0, "queued", WORKER, 100, &[1, 30]);
    let (first, last) = (Some(400 * MS), Some(431 * MS));
    program.profile.add(SpanRow { first_entry_ns: first, last_exit_ns: last, ..queued }, "");
    let found = program.found(&window(Some(450), None));
    assert_eq!(rows(&found), [("queued", 30, (500, 501))]);
    assert!(program.found(&window(Some(510), None)).is_empty());
    assert!(program.found(&window(Some(50), Some(500))).is_empty(), "it was entered later");
}

#[test]
fn a_part_of_a_run_knows_of_entries_whose_spans_are_older() {
    let mut program = connection(false);
    let reader = program.profile.reader();
    let scan = window(Some(1_500), None).columns(Columns::Entries);
    let found = reader.stalls_among(10 * MS, |each| {
        let mut one = |span: &SpanRef<'_>| {
            each(span);
            ControlFlow::Continue(())
        };
        reader.scan(&scan, &mut one)?;
        reader.scan_entries_between(&scan, 0, 10_000, one)
    });
    let found = found.unwrap();
    let (at, ms) = (found.first().unwrap().began(), 40 * MS - 34);
    assert_eq!((found.len(), found[0].longest_ns(), at), (1, ms, (2_000 * MS, 2_000 * MS)));
    assert_eq!(found[0].worst.entries, 3_000);
    // With the span, whose longest entry is told from the others by its length.
    let whole = Scan::new(1).columns(Columns::Entries);
    let found = reader.stalls_among(39 * MS, |each| {
        let mut one = |span: &SpanRef<'_>| {
            each(span);
            ControlFlow::Continue(())
        };
        reader.scan(&whole, &mut one)?;
        reader.scan_entries_between(&whole, 0, 10_000, one)
    });
    let found = found.unwrap();
    assert_eq!((found[0].longest_ns(), found[0].began().1), (40 * MS, 2_000 * MS));
}
