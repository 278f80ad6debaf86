//! Spans that live long are nobody's work while no thread is inside. Nor is one of the same name that no thread ever
//! came to enter: a system of a game has a span for its commands, and most have none. One that is open at the end
//! has its longest entry, recorded by itself or not.

use spandrel_query::{By, CountedBy, Filter, Groups, Reader, Scan};
use spandrel_tests::prelude::*;

fn commands() -> Span {
    info_span!(parent: None, "commands")
}

#[test]
fn a_span_that_nobody_entered_is_no_work_where_entries_count() {
    let (scratch, profiler) = recording_for(60);
    within(&dispatch(&profiler), || {
        let [entered, idle] = [commands(), commands()];
        let other = info_span!(parent: None, "never");
        (0..1_100).for_each(|_| entered.in_scope(|| ()));
        std::thread::sleep(Duration::from_millis(1_001)); // so old are spans that live long
        drop((entered, other));
        profiler.flush(Duration::from_secs(30)).unwrap();
        drop((idle, commands()));
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let commands = db.spans().into_iter().filter(|span| span.name == "commands");
    let mut entries: Vec<_> = commands.map(|span| (span.entries, span.self_ns.is_some())).collect();
    entries.sort_unstable();
    // The one that was there for a moment did not live long.
    assert_eq!(entries, [(0, false), (0, true), (1_100, false)]);
    // Nothing is known of a name of which nothing was ever entered but that.
    assert!(db.span("never").self_ns.is_some());
    let reader = Reader::open(scratch.db()).unwrap();
    let top = reader.top(1, usize::MAX).unwrap();
    let commands = top.iter().find(|top| top.counted == CountedBy::Entries).unwrap();
    assert_eq!((commands.calls, commands.spans), (1_100, 2));
    assert!(commands.self_ns < 1_000_000_000, "{commands:?}");
}

#[test]
fn the_longest_entry_of_a_span_that_is_open_at_the_end_is_known() {
    let (scratch, profiler) = recording_for(60);
    let kept = within(&dispatch(&profiler), || {
        let connection = info_span!("connection");
        // Too early to be recorded by itself.
        connection.in_scope(|| spin(Duration::from_millis(30)));
        (0..1_100).for_each(|_| connection.in_scope(|| ()));
        connection
    });
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    let longest = db.entries_of(db.span("connection").id).longest_ns;
    assert!(longest >= Some(30_000_000), "{longest:?}");
    let reader = Reader::open(scratch.db()).unwrap();
    let top = reader.top(1, usize::MAX).unwrap();
    let [top] = &top[..] else { panic!("{top:?}") };
    assert_eq!((top.counted, top.calls, Some(top.max_ns)), (CountedBy::Entries, 1_101, longest));
    let mut groups = Groups::new(By::Name);
    let add = |span: &spandrel_query::SpanRef<'_>| {
        groups.add(span);
        std::ops::ControlFlow::Continue(())
    };
    reader.scan_calls(&Scan::new(1), &Filter::all(), add).unwrap();
    let group = groups.groups().iter().find(|group| group.calls > 0).unwrap();
    assert_eq!((group.calls, Some(group.max_ns)), (1_101, longest));
    drop(kept);
}
