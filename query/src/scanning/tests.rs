//! What is read from the pages of a file is what SQLite reads.

mod changed_files;
mod folds;
mod retention;

use std::fs;
use std::ops::ControlFlow;
use std::thread::JoinHandle;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::Predicate;
use crate::reader::{Reader, Span};
use crate::span_pages::{SpanPages, root_of};
use crate::test_profile::{TestProfile, cases};
use crate::workers::ReadAhead;
use crate::{ChildTime, Columns, Filter, IdSet, Scan};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};

/// All rows, read by SQLite.
struct BySqlite;

impl Predicate for BySqlite {
    fn sql(&self) -> String {
        String::new()
    }
}

fn callsite(name: &str) -> CallsiteInfo {
    CallsiteInfo {
        kind: CallsiteKind::Span,
        name: name.into(),
        target: "app".into(),
        level: "INFO",
        module: None,
        file: None,
        line: None,
    }
}

/// Numbers of all lengths, and what is not there.
fn number() -> impl Strategy<Value = Option<i64>> {
    let any = (0_u32..64, any::<i64>()).prop_map(|(bits, value)| value >> bits);
    prop_oneof![1 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(1)), 6 => any.prop_map(Some)]
}

fn length() -> impl Strategy<Value = Option<i64>> {
    number().prop_map(|ns| ns.map(|ns| ns.checked_abs().unwrap_or(0)))
}

fn span() -> impl Strategy<Value = (SpanRow, usize)> {
    const STATUSES: [Status; 6] = [
        Status::Ok,
        Status::Ok,
        Status::Error,
        Status::Panicked,
        Status::Unfinished,
        Status::Crashed,
    ];
    let text = prop_oneof![4 => 0_usize..80, 1 => 3_000_usize..5_000, 1 => 60_000_usize..90_000];
    let numbers = (length(), length(), length(), length(), length(), length(), length(), length());
    let ids = (1_u64..5, 1_i64..4, 0_u64..3_000, any::<bool>());
    (ids, numbers, proptest::sample::select(&STATUSES[..]), text).prop_map(
        |((step, callsite_id, parent, is_elsewhere), numbers, status, text)| {
            let (start, duration_ns, busy_ns, self_ns, first, longest, last, self_busy_ns) =
                numbers;
            let row = SpanRow {
                // A step, until the rows are put in order.
                id: step,
                parent_id: parent,
                root_id: parent + 1,
                callsite_id,
                thread_id: 1 + i64::from(is_elsewhere),
                start_ns: start.unwrap_or(7),
                duration_ns,
                busy_ns,
                self_ns,
                self_busy_ns,
                entries: parent * 1_000,
                status,
                first_entry_ns: first,
                longest_entry_ns: longest,
                last_exit_ns: last,
                longest_thread_id: i64::from(is_elsewhere) * 3,
                fields: 0..0,
            };
            (row, text)
        },
    )
}

/// A profile of two runs, closed in order.
fn profile(spans: &[(SpanRow, usize)], folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("p.db");
    let mut id = 0;
    for _ in 0..2 {
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
        for n in 1..4 {
            store.intern_callsite(&callsite(&format!("name {n}")));
        }
        store.intern_thread(1, 11, Some("main"));
        store.intern_thread(2, 12, None);
        let mut batch = Batch::default();
        for (row, text) in spans {
            id += row.id;
            let from = batch.text.len();
            if *text > 0 {
                batch.text.push_str(&format!("{{\"field\":\"{}\"}}", "ä".repeat(*text / 2)));
            }
            batch.spans.push(SpanRow { id, fields: from..batch.text.len(), ..row.clone() });
        }
        store.append(&mut batch).unwrap();
        // Ids of the next run come after all that this one speaks of.
        id += 10_000;
        store.close().unwrap();
    }
    path
}

fn in_pages(reader: &Reader, scan: &Scan) -> Result<Vec<Span>, String> {
    let mut found = Vec::new();
    let read = reader.scan(scan, |span| {
        found.push(span.to_span());
        ControlFlow::Continue(())
    });
    read.map(|()| found).map_err(|error| error.to_string())
}

fn by_sqlite(reader: &Reader, scan: &Scan) -> Result<Vec<Span>, String> {
    let mut found = Vec::new();
    let read = reader.scan_if(scan, &mut BySqlite, |_, span| {
        found.push(span.to_span());
        ControlFlow::Continue(())
    });
    read.map(|()| found).map_err(|error| error.to_string())
}

/// So many threads, which take turns as often as can be.
fn by_threads(threads: usize) -> ReadAhead {
    TestProfile::by_threads(threads)
}

fn has_pages(reader: &Reader) -> bool {
    let tx = reader.begin().unwrap();
    SpanPages::of(&tx, || reader.pages(&tx)).unwrap().is_some()
}

fn scans() -> Vec<Scan> {
    let all = [1, 2, 3].map(Scan::new);
    let some = [Scan::new(1).window(Some(5), Some(1 << 40)), Scan::new(1).window(Some(0), None)];
    let ids =
        [(0, 10), (17, 17), (40, 400), (12_000, u64::MAX)].map(|(a, b)| Scan::new(1).ids(a, b));
    let scans = all.into_iter().chain(some).chain(ids);
    let columns = [Columns::Numbers, Columns::Entries, Columns::All];
    scans.flat_map(|scan| columns.map(|columns| scan.columns(columns))).collect()
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn rows_are_those_that_sqlite_reads(
        spans in vec(span(), 1..120),
        page_size in proptest::sample::select(&[512_u32, 4_096, 65_536][..]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = profile(&spans, &folder);
        // Into a file without a log, with pages of that size.
        let copy = folder.path().join("copy.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "page_size", page_size).unwrap();
        conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        drop(conn);
        for path in [path, copy] {
            let mut reader = Reader::open(&path).unwrap();
            prop_assert!(has_pages(&reader));
            for scan in scans() {
                let expected = by_sqlite(&reader, &scan);
                for threads in [0, 1, 2, 3, 7] {
                    reader.read_ahead_by(by_threads(threads));
                    prop_assert_eq!(in_pages(&reader, &scan), expected.clone(), "{:?}", scan);
                }
            }
        }
    }

    /// Whatever is wrong with a page, there is an end, and what SQLite can read is read.
    #[test]
    fn a_page_that_is_damaged_is_left_to_sqlite(
        spans in vec(span(), 200..300),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = profile(&spans, &folder);
        let mut reader = Reader::open(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in damage {
            // Behind the page of the definitions.
            let at = 4_096 + at.index(bytes.len() - 4_096);
            bytes[at] = byte;
        }
        // In place, as it is open.
        fs::write(&path, bytes).unwrap();
        for scan in scans() {
            // Any may fail, and rows of a damaged tree may come in any order.
            let _ = by_sqlite(&reader, &scan);
            for threads in [0, 2] {
                reader.read_ahead_by(by_threads(threads));
                let _ = in_pages(&reader, &scan);
            }
        }
    }
}

#[test]
fn a_name_is_asked_for_and_rows_of_others_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let row = SpanRow { id: 1, root_id: 1, thread_id: 1, status: Status::Ok, ..SpanRow::default() };
    let spans: Vec<_> = (0..300)
        .map(|n| (SpanRow { callsite_id: 1 + n % 3, duration_ns: Some(n), ..row.clone() }, 20))
        .collect();
    let mut reader = Reader::open(profile(&spans, &folder)).unwrap();
    let threads = [0, 1, 2, 3, 7];
    let names = ["name=\"name 2\"", "name=\"name 2\" dur>100ns", "name!=\"name 2\"", "name=none"];
    for (text, threads) in names.iter().flat_map(|text| threads.map(|threads| (*text, threads))) {
        reader.read_ahead_by(by_threads(threads));
        let filter = Filter::parse(text).unwrap();
        let mut found = Vec::new();
        let each = |span: &crate::SpanRef<'_>| {
            found.push(span.to_span());
            ControlFlow::Continue(())
        };
        reader.scan_filtered(&Scan::new(1), &filter, each).unwrap();
        let all = by_sqlite(&reader, &Scan::new(1).columns(filter.columns())).unwrap();
        let meant = all.into_iter().filter(|span| filter.matches(&crate::SpanRef::from(span)));
        assert_eq!(found, meant.collect::<Vec<_>>(), "{text}");
        assert_eq!(found.is_empty(), text == "name=none");
    }
}

#[test]
fn children_of_some_spans_are_those_of_all_that_are_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let row = SpanRow { id: 1, root_id: 1, callsite_id: 1, thread_id: 1, ..SpanRow::default() };
    let spans: Vec<_> = (0..600)
        .map(|n| {
            let (duration_ns, self_ns) = (Some(n), Some(1));
            let parent_id = n as u64 % 50;
            (SpanRow { parent_id, duration_ns, self_ns, busy_ns: Some(n), ..row.clone() }, 20)
        })
        .collect();
    let mut reader = Reader::open(profile(&spans, &folder)).unwrap();
    for threads in [0, 1, 3] {
        reader.read_ahead_by(by_threads(threads));
        let inside = [3, 7, 49];
        let (mut all, mut some) = (Vec::new(), Vec::new());
        let row = |child: &ChildTime| (child.inside_id, child.start_ns, child.end_ns);
        reader.child_times(&Scan::new(1), |child| all.push(row(child))).unwrap();
        let set = IdSet::new(&inside);
        reader.child_times_in(&Scan::new(1), &set, |child| some.push(row(child))).unwrap();
        all.retain(|(inside_id, ..)| inside.contains(inside_id));
        assert_eq!((some.len(), some), (36, all));
    }
}

#[test]
fn a_pass_that_wants_no_more_ends_the_threads_that_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let row = SpanRow { id: 1, root_id: 1, callsite_id: 1, thread_id: 1, ..SpanRow::default() };
    let mut reader = Reader::open(profile(&vec![(row, 60); 2_000], &folder)).unwrap();
    for threads in [0, 1, 3] {
        reader.read_ahead_by(by_threads(threads));
        for most in [1, 2, 700] {
            let mut found = 0;
            let each = |_: &crate::SpanRef<'_>| {
                found += 1;
                if found < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            reader.scan(&Scan::new(1), each).unwrap();
            assert_eq!(found, most);
        }
    }
}

/// A program that begins to record into a file that was closed cleanly waits for its readers.
#[test]
fn a_recording_begins_while_rows_are_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let row = SpanRow { id: 1, root_id: 1, callsite_id: 1, thread_id: 1, ..SpanRow::default() };
    let path = profile(&vec![(row, 0); 150_000], &folder);
    for threads in [0, 2] {
        let mut reader = Reader::open(&path).unwrap();
        reader.read_ahead_by(by_threads(threads));
        let (mut found, mut recorder) = (0, None);
        let each = |_: &crate::SpanRef<'_>| {
            found += 1;
            if found == 10 {
                let own = path.clone();
                let busy_timeout = Duration::from_secs(60);
                recorder = Some(std::thread::spawn(move || {
                    let options = StoreOptions { busy_timeout, ..StoreOptions::default() };
                    Store::open(&own, &options).and_then(Store::close)
                }));
                // Until it waits for us, and lets nobody else begin.
                let other = Connection::open(&path).unwrap();
                let is_free = || other.query_row("SELECT 1 FROM run", [], |_| Ok(())).is_ok();
                other.busy_timeout(Duration::ZERO).unwrap();
                let has_ended = || recorder.as_ref().is_none_or(JoinHandle::is_finished);
                while is_free() && !has_ended() {
                    std::thread::yield_now();
                }
            }
            ControlFlow::Continue(())
        };
        reader.scan(&Scan::new(1), each).unwrap();
        assert_eq!(found, 150_000);
        recorder.unwrap().join().unwrap().unwrap();
    }
}

/// What is in the log is newer than the file.
#[test]
fn while_somebody_records_sqlite_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    store.intern_callsite(&callsite("work"));
    store.intern_thread(1, 11, Some("main"));
    let reader = Reader::open(&path).unwrap();
    let row = SpanRow { root_id: 1, callsite_id: 1, thread_id: 1, ..SpanRow::default() };
    for id in 1..400 {
        let spans = vec![SpanRow { id, ..row.clone() }];
        store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
        let ids: Vec<u64> =
            in_pages(&reader, &Scan::new(1)).unwrap().iter().map(|span| span.id).collect();
        assert_eq!(ids, (1..=id).collect::<Vec<_>>());
    }
    store.close().unwrap();
}

#[test]
fn a_table_that_is_not_as_we_make_it_is_left_to_sqlite() {
    for (sql, is_ours) in [
        ("SELECT 1", true),
        // What comes behind is nothing to us.
        ("ALTER TABLE span ADD COLUMN more TEXT", true),
        ("ALTER TABLE span ADD COLUMN more TEXT DEFAULT 'x'", false),
        ("ALTER TABLE span ADD COLUMN more INTEGER AS (id + 1)", false),
        ("DROP TABLE span; CREATE TABLE span (id INTEGER, run_id TEXT) STRICT", false),
        ("DROP TABLE span", false),
    ] {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(spandrel_storage::schema()).unwrap();
        conn.execute_batch(sql).unwrap();
        let tx = conn.unchecked_transaction().unwrap();
        assert_eq!(root_of(&tx).unwrap().is_some(), is_ours, "{sql}");
    }
}
