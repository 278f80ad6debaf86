//! Rows are deleted, and pages used again, between two questions and within one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::*;
use crate::SpanRef;

/// Spans of a run, at least as many as two transactions read.
const SPANS: u64 = 120_000;

/// What a span of this id is in every run: all of a row is told by it, so that a row of another page is noticed.
fn row(id: u64) -> SpanRow {
    let ns = id as i64 * 3;
    SpanRow {
        id,
        parent_id: id / 2,
        root_id: 1,
        callsite_id: 1,
        thread_id: 1,
        start_ns: ns,
        duration_ns: Some(ns + 1),
        busy_ns: Some(ns + 2),
        self_ns: Some(ns + 3),
        entries: 1,
        status: Status::Ok,
        ..SpanRow::default()
    }
}

fn is_as_it_was(span: &SpanRef<'_>) -> bool {
    let ns = span.id as i64 * 3;
    let times = (span.start_ns, span.duration_ns, span.busy_ns, span.self_ns);
    let fields = span.fields.is_none_or(|fields| fields == format!("{{\"id\":{}}}", span.id));
    let parent_id = Some(span.id / 2).filter(|id| *id > 0);
    times == (ns, Some(ns + 1), Some(ns + 2), Some(ns + 3))
        && fields
        && span.parent_id == parent_id
        && span.callsite.name == "work"
}

/// Appends a run, and deletes all that began before this moment.
fn record(path: &Path, spans: u64, deleted_before_unix_ns: i64, began_unix_ns: i64) {
    let options = StoreOptions {
        busy_timeout: Duration::from_secs(60),
        page_size: 1_024,
        ..StoreOptions::default()
    };
    let mut store = Store::open(path, &options).unwrap();
    let run = RunInfo { args: "[]".into(), started_unix_ns: began_unix_ns, ..RunInfo::default() };
    store.begin_run(&run).unwrap();
    store.intern_callsite(&callsite("work"));
    store.intern_thread(1, 11, Some("main"));
    let mut id = store.next_id();
    for _ in 0..spans.div_ceil(8_000) {
        let mut batch = Batch::default();
        for _ in 0..8_000 {
            let from = batch.text.len();
            batch.text.push_str(&format!("{{\"id\":{id}}}"));
            batch.spans.push(SpanRow { fields: from..batch.text.len(), ..row(id) });
            id += 1;
        }
        store.append(&mut batch).unwrap();
    }
    store.end_run(began_unix_ns + 1_000_000_000, "{}").unwrap();
    while store.prune_before(deleted_before_unix_ns).unwrap().more {}
    store.close().unwrap();
}

/// A second, of which runs begin one after the other.
const SECOND: i64 = 1_000_000_000;

fn profile(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("p.db");
    record(&path, SPANS, 0, 10 * SECOND);
    path
}

/// Whatever is summed up: which rows came by, and whether all were as they should be.
#[derive(Default)]
struct Seen {
    ids: BTreeMap<u64, u32>,
    is_good: bool,
}

impl Seen {
    fn new() -> Self {
        Self { ids: BTreeMap::new(), is_good: true }
    }
}

impl crate::fold_calls::Fold for Seen {
    fn add(&mut self, span: &SpanRef<'_>) {
        self.is_good &= is_as_it_was(span);
        *self.ids.entry(span.id).or_default() += 1;
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = Self::new();
        for part in parts {
            joined.is_good &= part.is_good;
            part.ids.iter().for_each(|(id, times)| *joined.ids.entry(*id).or_default() += times);
        }
        Some(joined)
    }
}

/// The ids of a run that are stored now.
fn stored(reader: &Reader) -> Vec<u64> {
    let rows = by_sqlite(reader, &Scan::new(1)).unwrap();
    rows.iter().map(|span| span.id).collect()
}

#[test]
fn between_two_questions_rows_go_and_pages_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = profile(&folder);
    for threads in [0, 3] {
        let mut reader = Reader::open(&path).unwrap();
        reader.read_ahead_by(ReadAhead { rows: 500, leaves: 8, ..by_threads(threads) });
        assert!(has_pages(&reader));
        for turn in 0..2 {
            for columns in [Columns::Numbers, Columns::All] {
                let scan = Scan::new(1).columns(columns);
                assert_eq!(in_pages(&reader, &scan), by_sqlite(&reader, &scan));
                let seen = reader.fold_calls(&scan, &Filter::all(), Seen::new).unwrap();
                assert!(seen.is_good);
                assert_eq!(seen.ids.into_keys().collect::<Vec<_>>(), stored(&reader));
            }
            // A tenth of what is left of the first run goes, and another run takes its pages.
            let first = *stored(&reader).first().unwrap();
            let gone_ns = 10 * SECOND + (first as i64 + 4_000) * 3;
            record(&path, 2_000, gone_ns, (20 + turn) * SECOND);
            assert!(*stored(&reader).first().unwrap() > first);
        }
    }
}

/// Lets a recording begin, and waits until that waits for us and lets nobody else begin: so it comes in between the
/// next two transactions.
fn begins(path: &Path, recording: &JoinHandle<()>) {
    let other = Connection::open(path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    let is_free = || other.query_row("SELECT 1 FROM run", [], |_| Ok(())).is_ok();
    while is_free() && !recording.is_finished() {
        std::thread::yield_now();
    }
}

/// What is told of the first row.
type Hook = Mutex<Option<Box<dyn FnOnce() + Send>>>;

fn first_row(hook: &Hook) {
    let first = hook.lock().unwrap().take();
    if let Some(first) = first {
        first();
    }
}

/// Rows that came by, and somebody who is told of the first one.
struct Watched<'a>(Seen, &'a Hook);

impl crate::fold_calls::Fold for Watched<'_> {
    fn add(&mut self, span: &SpanRef<'_>) {
        first_row(self.1);
        crate::fold_calls::Fold::add(&mut self.0, span);
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let hook = parts.first()?.1;
        Seen::join(parts.into_iter().map(|part| part.0).collect()).map(|seen| Self(seen, hook))
    }
}

/// What was there from the beginning to the end is seen once; what has gone meanwhile may be seen, as it was.
#[test]
fn within_a_question_rows_go_and_pages_are_used_again() {
    for (threads, sums) in [(0, false), (2, false), (2, true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = profile(&folder);
        for turn in 0..2 {
            // Closed while nobody reads, so that the file is all there is.
            Store::open(&path, &StoreOptions::default()).unwrap().close().unwrap();
            let mut reader = Reader::open(&path).unwrap();
            reader.read_ahead_by(ReadAhead { rows: 500, leaves: 8, ..by_threads(threads) });
            assert!(has_pages(&reader));
            let before = stored(&reader);
            let (sender, recordings) = channel();
            let own = path.clone();
            // Rows go from the end of what was not read yet, too: all but the last ones of the run.
            let gone_ns = 10 * SECOND + (SPANS as i64 * (turn + 1) / 4) * 3;
            let hook: Hook = Mutex::new(Some(Box::new(move || {
                let path = own.clone();
                let recording = std::thread::spawn(move || {
                    record(&path, 40_000, gone_ns, (20 + turn) * SECOND)
                });
                begins(&own, &recording);
                sender.send(recording).unwrap();
            })));
            let scan = Scan::new(1).columns(Columns::All);
            let mut seen = Seen::new();
            if sums {
                let begin = || Watched(Seen::new(), &hook);
                seen = reader.fold_calls(&scan, &Filter::all(), begin).unwrap().0;
            } else {
                let mut last = 0;
                let each = |span: &SpanRef<'_>| {
                    first_row(&hook);
                    assert!(span.id > last, "{} after {last}", span.id);
                    last = span.id;
                    crate::fold_calls::Fold::add(&mut seen, span);
                    ControlFlow::Continue(())
                };
                reader.scan(&scan, each).unwrap();
            }
            recordings.recv().unwrap().join().unwrap();
            let after = stored(&reader);
            assert!(seen.is_good, "a row is not as it was");
            assert!(seen.ids.values().all(|times| *times == 1), "a row came twice");
            assert!(seen.ids.keys().all(|id| before.binary_search(id).is_ok()));
            assert!(after.iter().all(|id| seen.ids.contains_key(id)), "a row is missing");
            assert!(after.len() + 10_000 < before.len(), "{} of {}", after.len(), before.len());
        }
    }
}
