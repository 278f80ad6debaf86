//! A profile with indexes gives the same answers as one without, and can be recorded into again.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use spandrel_export::{Format, Settings, Source, export};
use spandrel_query::stacks::StackNode;
use spandrel_query::{
    By, Columns, Filter, Group, Groups, Scan, SlowBy, SlowScope, Slowest, SpanRef, StackTree,
    Stacks, Trace, Weight,
};
use spandrel_query::{Reader, Span, drop_indexes, optimize};
use spandrel_storage::{Batch, ErrorKind, SpanRow, Status, Store, StoreOptions};

use crate::common;

/// Appends spans with these parents, starts and durations, a third of them unfinished or without
/// busy time, of three callsites.
fn append(store: &mut Store, thread_id: i64, spans: &[(u8, i64, i64)]) {
    let callsites = ["a", "b", "c"].map(|name| store.intern_callsite(&common::callsite(name)));
    let first = store.next_id();
    let mut rows: Vec<SpanRow> = Vec::new();
    for (n, (parent, start_ns, duration)) in spans.iter().enumerate() {
        let id = first + 2 * n as u64;
        let parent = rows.get(rows.len().wrapping_sub(usize::from(*parent)));
        let mut row = common::span(id, callsites[n % 3], thread_id);
        if let Some(parent) = parent {
            (row.parent_id, row.root_id) = (parent.id, parent.root_id);
        }
        (row.start_ns, row.duration_ns) = (*start_ns, Some(*duration));
        (row.self_ns, row.busy_ns) = (Some(duration / 2), Some(duration / 3));
        if n % 3 == 2 {
            let status = if n.is_multiple_of(2) { Status::Unfinished } else { Status::Crashed };
            (row.duration_ns, row.self_ns, row.status) = (None, None, status);
        }
        rows.push(row);
    }
    store.append(&mut Batch { spans: rows, ..Batch::default() }).unwrap();
}

fn scan(reader: &Reader, scan: &Scan) -> Vec<Span> {
    let mut spans = Vec::new();
    reader
        .scan(scan, |span| {
            spans.push(span.to_span());
            ControlFlow::Continue(())
        })
        .unwrap();
    spans
}

fn slowest(reader: &Reader, scan: &Scan, by: SlowBy) {
    for (which, limit) in [
        (SlowScope::All, 5),
        (SlowScope::Named("b"), 3),
        (SlowScope::Named("none"), 3),
        (SlowScope::All, 100_000),
        (SlowScope::Roots, 1),
        (SlowScope::Roots, 100_000),
    ] {
        let mut slowest = Slowest::new(by, limit);
        let keep = |span: &SpanRef<'_>| {
            let is_wanted = match which {
                SlowScope::Named(name) => name == span.callsite.name,
                SlowScope::Roots => span.parent_id.is_none(),
                _ => true,
            };
            if is_wanted {
                slowest.add(span);
            }
            ControlFlow::Continue(())
        };
        reader.scan(scan, keep).unwrap();
        let found = reader.slowest(scan, which, by, limit).unwrap();
        assert_eq!(found, slowest.into_spans(), "{by:?} {which:?}");
    }
}

/// Groups of sums are those of the spans one by one, whatever was summed up.
fn sums(reader: &Reader, scan: &Scan, by: &By) {
    let (mut one_by_one, mut in_sum) = (Groups::new(by.clone()), Groups::new(by.clone()));
    let mut times: Option<(i64, i64)> = None;
    let count = |span: &SpanRef<'_>| {
        one_by_one.add(span);
        let (from, to) = (span.start_ns, span.end_ns().unwrap_or(span.start_ns));
        times = Some(times.map_or((from, to), |all| (all.0.min(from), all.1.max(to))));
        ControlFlow::Continue(())
    };
    reader.scan(scan, count).unwrap();
    let extent = reader.add_window(scan, &mut in_sum).unwrap();
    match times {
        Some(times) => assert_eq!((extent.from_ns, extent.to_ns), times),
        None => assert_eq!(extent.length_ns(), 0),
    }
    let text = |groups: Groups| {
        // A group names the callsite of it that was met first, which may be another one.
        let row = |row: &Group| {
            let sums =
                (row.calls, row.errors, row.unfinished, row.sum_ns, row.busy_ns, row.self_ns);
            format!("{:?} {sums:?} {} {:?}", row.key, row.max_ns, row.histogram)
        };
        let mut rows: Vec<_> = groups.into_groups().iter().map(row).collect();
        rows.sort();
        rows
    };
    assert_eq!(text(in_sum), text(one_by_one), "{by:?}");
}

/// What the spans of each path sum up to.
fn by_path(tree: &StackTree) -> Vec<String> {
    let path = |at: usize| tree.path(at).iter().map(|frame| frame.name()).collect::<Vec<_>>();
    let row = |(at, node): (usize, &StackNode)| format!("{:?} {:?}", path(at), node.sums);
    let mut rows: Vec<_> = tree.nodes().iter().enumerate().map(row).collect();
    rows.sort();
    rows
}

/// Stacks of sums are those of the spans one by one.
fn stacks(reader: &Reader, scan: &Scan) -> Vec<String> {
    let mut one_by_one = Stacks::new(reader, scan.run_id).unwrap();
    reader.scan(scan, |span| one_by_one.add(span)).unwrap();
    let mut in_sum = Stacks::new(reader, scan.run_id).unwrap();
    reader.add_stacks(scan, &mut in_sum).unwrap();
    let in_sum = by_path(&in_sum.finish().unwrap());
    assert_eq!(in_sum, by_path(&one_by_one.finish().unwrap()));
    in_sum
}

/// Filters of which SQLite can decide all, a part, or nothing.
const FILTERS: [&str; 25] = [
    "name=b",
    "name=b or name=c",
    "-name=b dur>20ns",
    "name=none",
    "name~. level<=info",
    "dur>20ns",
    "dur<=20ns self>=4ns",
    "not dur>20ns",
    "dur!=20ns",
    "self=7ns",
    "busy<7ns",
    "idle>3ns",
    "status=unfinished",
    "status=crashed",
    "status!=unfinished",
    "has:error",
    "is:root",
    "not is:root",
    "has:parent name=a",
    "parent=s3",
    "trace=t1 or dur>40ns",
    "id<90 entries>0",
    "start>=100ns start<300ns",
    "has:fields",
    "field.n=1 or thread=main",
];

fn filtered(reader: &Reader, scan: &Scan, text: &str) {
    let filter = Filter::parse(text).unwrap();
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let all = |span: &SpanRef<'_>| {
        if filter.matches(span) {
            expected.push(span.id);
        }
        ControlFlow::Continue(())
    };
    reader.scan(scan, all).unwrap();
    let some = |span: &SpanRef<'_>| {
        found.push(span.id);
        ControlFlow::Continue(())
    };
    reader.scan_filtered(scan, &filter, some).unwrap();
    assert_eq!(found, expected, "{text}");
}

/// Whatever an index or SQLite decides, decided row by row.
fn check(path: &Path, run_id: i64, window: (Option<i64>, Option<i64>)) {
    let reader = Reader::open(path).unwrap();
    let all = common::spans(&reader, run_id);
    let whole = Scan::new(run_id).columns(Columns::All);
    assert_eq!(scan(&reader, &whole), all);
    let (from, until) = window;
    let inside = |span: &&Span| {
        from.is_none_or(|from| span.start_ns >= from)
            && until.is_none_or(|until| span.start_ns < until)
    };
    let expected: Vec<Span> = all.iter().filter(inside).cloned().collect();
    assert_eq!(scan(&reader, &whole.window(from, until)), expected);

    for part in [whole, whole.window(from, until)] {
        for by in [SlowBy::Duration, SlowBy::SelfTime, SlowBy::Busy, SlowBy::Idle] {
            slowest(&reader, &part, by);
        }
        stacks(&reader, &part);
        for text in FILTERS {
            filtered(&reader, &part, text);
        }
        for by in [By::Name, By::Level, By::Callsite, By::Thread] {
            sums(&reader, &part, &by);
        }
    }
    for root_id in [all.first(), all.last()].into_iter().flatten().map(|span| span.root_id) {
        let expected: Vec<&Span> = all.iter().filter(|span| span.root_id == root_id).collect();
        let trace = Trace::read(&reader, root_id, usize::MAX).unwrap().unwrap();
        assert_eq!(trace.spans.iter().collect::<Vec<_>>(), expected);
        let cut = Trace::read(&reader, root_id, 1).unwrap().unwrap();
        assert_eq!((cut.spans.len(), cut.total), (1, expected.len() as u64));
        assert_eq!(cut.is_truncated(), expected.len() > 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn the_same_answers_with_indexes_and_without(
        spans in vec((0_u8..4, 0_i64..400, 0_i64..50), 1..300),
        repeat in 1_usize..20,
        from in proptest::option::of(-10_i64..5_000),
        length in proptest::option::of(0_i64..5_000),
    ) {
        let (_folder, path) = common::place();
        for _run in 0..2 {
            let mut store = common::store(&path, &StoreOptions::default());
            let thread_id = store.intern_thread(1, 1, Some("main"));
            for n in 0..repeat {
                let later = |(parent, start, length): &(u8, i64, i64)| {
                    (*parent, start + n as i64 * 300, *length)
                };
                append(&mut store, thread_id, &spans.iter().map(later).collect::<Vec<_>>());
            }
            store.close().unwrap();
        }
        let window = (from, length.map(|length| from.unwrap_or(0) + length));
        check(&path, 1, window);
        optimize(&path, |_| ()).unwrap();
        check(&path, 1, window);
        check(&path, 2, window);
    }
}

/// Twelve zones, of which a window holds some as a whole.
#[test]
fn the_middle_of_a_window_comes_from_sums() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let thread_id = store.intern_thread(1, 1, Some("main"));
    for n in 0..50 {
        let spans: Vec<_> = (0..1_000).map(|at| (0, n * 1_000 + at * 7 % 1_000, at % 97)).collect();
        append(&mut store, thread_id, &spans);
    }
    store.close().unwrap();
    optimize(&path, |_| ()).unwrap();
    let whole = Scan::new(1);
    for (from, until) in [(9_000, 40_500), (0, 40_500), (9_000, 50_000), (20_000, 20_001)] {
        sums(&Reader::open(&path).unwrap(), &whole.window(Some(from), Some(until)), &By::Name);
    }
    let window = whole.window(Some(9_000), Some(40_500));
    let calls = || {
        let mut groups = Groups::new(By::Name);
        Reader::open(&path).unwrap().add_window(&window, &mut groups).unwrap();
        groups.groups().iter().map(|group| group.calls).sum::<u64>()
    };
    let before = calls();
    let conn = Connection::open(&path).unwrap();
    let changed = conn.execute("UPDATE span_zone_sum SET calls = calls + 1", []).unwrap();
    assert!(changed > 20, "{changed}");
    // Six or seven zones of three names lie in it.
    let more = calls() - before;
    assert!((9..changed as u64).contains(&more), "{more} of {changed}");
}

/// Spans in zones enough for some to lie in a window as a whole: `n` is under `parent(n)`, in turns of
/// three names.
fn in_zones(path: &Path, spans: u64, parent: impl Fn(u64) -> Option<u64>) {
    let mut store = common::store(path, &StoreOptions::default());
    let thread_id = store.intern_thread(1, 1, Some("main"));
    let callsites = ["a", "b", "c"].map(|name| store.intern_callsite(&common::callsite(name)));
    let first = store.next_id();
    let row = |n: u64| {
        let mut row = common::span(first + n, callsites[n as usize % 3], thread_id);
        row.parent_id = parent(n).map_or(0, |parent| first + parent);
        (row.start_ns, row.duration_ns, row.self_ns) = (n as i64, Some(9), Some(n as i64 % 7));
        row
    };
    store.append(&mut Batch { spans: (0..spans).map(row).collect(), ..Batch::default() }).unwrap();
    store.close().unwrap();
}

/// The folded stacks, how many spans are in them, and how many events are not.
fn folded(path: &Path) -> (String, u64, u64) {
    let reader = Reader::open(path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    let mut out = Vec::new();
    let settings = Settings::new(Format::Folded);
    let written = export(&mut Source::new(&reader, &run), &settings, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), written.spans, written.left_out.spans)
}

#[test]
fn the_middle_of_a_flame_graph_comes_from_sums() {
    let (_folder, path) = common::place();
    // Some have parents that are not in the file, far behind the last span, or in another zone.
    in_zones(&path, 30_000, |n| match n % 10 {
        0 => None,
        1 => Some(1_000_000 + n),
        2 => Some(n / 2),
        _ => Some(n - 1),
    });
    let folded_before = folded(&path);
    optimize(&path, |_| ()).unwrap();
    let reader = Reader::open(&path).unwrap();
    let whole = Scan::new(1);
    for (from, until) in [(9_000, 22_500), (0, 22_500), (9_000, 50_000), (7_000, 7_001), (-9, -1)] {
        stacks(&reader, &whole.window(Some(from), Some(until)));
    }
    assert_eq!(folded(&path), folded_before, "whoever counts");
    let (all, window) = (stacks(&reader, &whole), whole.window(Some(9_000), Some(22_500)));
    assert!(all.iter().any(|row| row.starts_with("[\"(missing parent)\"")), "{all:?}");
    let tree = |scan: &Scan| {
        let mut stacks = Stacks::new(&reader, 1).unwrap();
        reader.add_stacks(scan, &mut stacks).unwrap();
        stacks.finish().unwrap()
    };
    let count = |scan: &Scan| tree(scan).calls();
    let before = (count(&whole), count(&window));
    assert_eq!(before, (30_000, 13_500));
    let conn = Connection::open(&path).unwrap();
    let changed = conn.execute("UPDATE span_zone_path SET calls = calls + 1", []).unwrap() as u64;
    let more = count(&window) - before.1;
    assert_eq!(count(&whole) - before.0, changed);
    assert_eq!(folded(&path).1 - folded_before.1, changed);
    // Two or three of the eight zones lie in it.
    assert!((changed / 8..changed / 2).contains(&more), "{more} of {changed}");

    // Sums that no program has written are no panic.
    let most = "UPDATE span_zone_path SET calls = MOST, sum_ns = MOST, self_ns = MOST,
        unfinished = MOST, errors = MOST, busy_ns = MOST";
    conn.execute(&most.replace("MOST", "9223372036854775807"), []).unwrap();
    let damaged = tree(&whole);
    assert_eq!(
        (damaged.spans(), damaged.calls(), damaged.orphans()),
        (u64::MAX, u64::MAX, u64::MAX)
    );
    for weight in [Weight::SelfTime, Weight::Busy, Weight::Wall, Weight::Calls] {
        assert_eq!(damaged.widths(weight).iter().max(), Some(&i64::MAX));
    }
    assert_eq!(folded(&path).1, u64::MAX);

    // What does not fit together is an error, and no graph.
    conn.execute("DELETE FROM span_path WHERE id = 1", []).unwrap();
    let mut stacks = Stacks::new(&reader, 1).unwrap();
    let error = reader.add_stacks(&whole, &mut stacks).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("is not behind its parent"), "{error}");
}

#[test]
fn a_run_of_too_many_paths_has_no_sums_of_them() {
    let (_folder, path) = common::place();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        let conn = Connection::open(&path).unwrap();
        conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    // Every span has a path of its own: so many are cut.
    in_zones(&path, 70_000, |n| n.checked_sub(1).map(|n| n / 3));
    optimize(&path, |_| ()).unwrap();
    assert_eq!(indexes(&path), ALL);
    assert_eq!((count("span_path"), count("span_zone_path")), (0, 0));
    stacks(&Reader::open(&path).unwrap(), &Scan::new(1));

    // A thousand paths in each zone: so many sums are not worth it.
    std::fs::remove_file(&path).unwrap();
    in_zones(&path, 300_000, |n| (n % 1_000).checked_sub(1).map(|at| n - 1 - at * 2 / 3));
    optimize(&path, |_| ()).unwrap();
    assert_eq!((count("span_path"), count("span_zone_path")), (0, 0));
}

#[test]
fn a_profile_that_has_zones_gets_paths() {
    let (_folder, path) = common::place();
    recorded(&path, 10_000);
    optimize(&path, |_| ()).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("DROP TABLE span_path; DROP TABLE span_zone_path").unwrap();
    assert_eq!(optimize(&path, |_| ()).unwrap().changed, ["span_path"]);
    conn.execute_batch("DROP TABLE span_zone").unwrap();
    assert_eq!(optimize(&path, |_| ()).unwrap().changed, ["span_zone", "span_path"]);
    check(&path, 1, (Some(0), None));
}

fn indexes(path: &Path) -> Vec<&'static str> {
    Reader::open(path).unwrap().indexes().unwrap().names().collect()
}

const ALL: [&str; 6] = [
    "span_zone",
    "span_path",
    "span_by_duration",
    "root_by_duration",
    "span_by_root",
    "event_by_span",
];

fn recorded(path: &Path, count: u64) {
    let mut store = common::store(path, &StoreOptions::default());
    common::record(&mut store, count);
    store.close().unwrap();
}

#[test]
fn a_file_with_indexes_loses_them_when_it_is_recorded_into() {
    let (_folder, path) = common::place();
    recorded(&path, 10_000);
    assert!(indexes(&path).is_empty());
    let made = optimize(&path, |_| ()).unwrap();
    assert_eq!(made.changed, ALL);
    assert!(made.bytes_after > made.bytes_before);
    assert_eq!(indexes(&path), ALL);
    assert!(!common::sidecar(&path, "-wal").exists(), "one plain file again");
    assert!(optimize(&path, |_| ()).unwrap().changed.is_empty(), "nothing left to make");

    recorded(&path, 10_000);
    assert!(indexes(&path).is_empty());
    common::assert_counted(&path, 1);
    common::assert_counted(&path, 2);
    let conn = Connection::open(&path).unwrap();
    let objects = "SELECT count(*) FROM sqlite_schema WHERE name IN
        ('span_zone', 'span_path', 'span_zone_path', 'span_by_duration', 'span_by_root',
         'event_by_span')";
    assert_eq!(conn.query_row(objects, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    common::assert_sound(&conn);
}

#[test]
fn indexes_can_be_taken_away() {
    let (_folder, path) = common::place();
    recorded(&path, 5_000);
    optimize(&path, |_| ()).unwrap();
    assert_eq!(drop_indexes(&path).unwrap().changed, ALL);
    assert!(indexes(&path).is_empty());
    assert!(drop_indexes(&path).unwrap().changed.is_empty());
}

#[test]
fn not_while_somebody_records() {
    let (_folder, path) = common::place();
    let store = common::store(&path, &StoreOptions::default());
    let refused = optimize(&path, |_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    assert!(refused.to_string().contains("it is recording"), "{refused}");
    assert_eq!(drop_indexes(&path).unwrap_err().kind(), ErrorKind::InUse);
    store.close().unwrap();
    optimize(&path, |_| ()).unwrap();
}

#[test]
fn a_typo_makes_no_file_and_a_foreign_one_is_left_alone() {
    let (_folder, path) = common::place();
    assert_eq!(optimize(&path, |_| ()).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert_eq!(optimize(&path, |_| ()).unwrap_err().kind(), ErrorKind::NotADatabase);
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(optimize(&path, |_| ()).unwrap_err().kind(), ErrorKind::ForeignDatabase);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn an_index_that_only_has_the_name_does_not_count() {
    let (_folder, path) = common::place();
    recorded(&path, 1_000);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE INDEX span_by_duration ON span (start_ns)").unwrap();
    drop(conn);
    assert!(indexes(&path).is_empty());
    check(&path, 1, (Some(0), None));
    optimize(&path, |_| ()).unwrap();
    assert_eq!(indexes(&path), ALL);
    check(&path, 1, (Some(0), None));
}

#[test]
fn progress_grows_from_nothing_to_all() {
    let (_folder, path) = common::place();
    recorded(&path, 300_000);
    let said = Arc::new(Mutex::new(Vec::new()));
    let listener = said.clone();
    optimize(&path, move |progress| listener.lock().unwrap().push(progress)).unwrap();
    let said = said.lock().unwrap();
    assert!(said.windows(2).all(|two| two[0].share <= two[1].share), "{said:?}");
    assert!(said.iter().all(|progress| (0.0..=1.0).contains(&progress.share)));
    assert!(said.first().unwrap().share < 0.1 && said.last().unwrap().share == 1.0, "{said:?}");
    for index in ["span_zone", "span_path", "span_by_duration"] {
        assert!(said.iter().any(|progress| progress.index == index), "{index}");
    }
}
