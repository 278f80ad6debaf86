//! What the tests of the store share.
#![allow(dead_code)] // Each program that has it uses a part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use spandrel_query::Reader;
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, Histogram, RunInfo, SpanRow, Status, Store, StoreOptions,
};
use tempfile::TempDir;

pub fn run_info() -> RunInfo {
    RunInfo {
        uuid: "0123456789abcdef0123456789abcdef".to_owned(),
        label: Some("a test".to_owned()),
        started_unix_ns: 1_700_000_000_123_456_789,
        pid: 77,
        program: "/bin/test".to_owned(),
        args: "[]".to_owned(),
        host: "host".to_owned(),
        os: "linux".to_owned(),
        cpus: 2,
        clock: "monotonic".to_owned(),
        settings: "{}".to_owned(),
    }
}

pub fn callsite(name: &str) -> CallsiteInfo {
    CallsiteInfo {
        kind: CallsiteKind::Span,
        name: name.to_owned(),
        target: "test".to_owned(),
        level: "INFO",
        module: Some("test".to_owned()),
        file: Some("test.rs".to_owned()),
        line: Some(1),
    }
}

/// A folder of the test, and where in it the profile is.
pub fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    (folder, path)
}

/// A store with a run.
pub fn store(path: &Path, options: &StoreOptions) -> Store {
    let mut store = Store::open(path, options).unwrap();
    store.begin_run(&run_info()).unwrap();
    store
}

/// A root span of one millisecond.
pub fn span(id: u64, callsite_id: i64, thread_id: i64) -> SpanRow {
    SpanRow {
        id,
        parent_id: 0,
        root_id: id,
        callsite_id,
        thread_id,
        start_ns: id as i64 * 1_000_000,
        duration_ns: Some(1_000_000),
        busy_ns: Some(500_000),
        self_ns: Some(1_000_000),
        entries: 1,
        status: Status::Ok,
        fields: 0..0,
        ..SpanRow::default()
    }
}

/// Another thread of the store at each call.
fn thread_number(store: &Store) -> u32 {
    static NUMBERS: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());
    let mut numbers = NUMBERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let number = numbers.entry(store.path().to_path_buf()).or_default();
    *number += 1;
    *number
}

/// `count` spans from the next free id, all of one callsite.
pub fn batch(store: &mut Store, count: u64) -> Batch {
    let callsite_id = store.intern_callsite(&callsite("work"));
    let number = thread_number(store);
    let thread_id = store.intern_thread(number, 1, Some("main"));
    let first = store.next_id();
    let spans = (first..first + count).map(|id| span(id, callsite_id, thread_id)).collect();
    Batch { spans, ..Batch::default() }
}

/// Stores such a batch.
pub fn record(store: &mut Store, count: u64) {
    let mut batch = batch(store, count);
    store.append(&mut batch).unwrap();
}

pub fn sidecar(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

pub fn spans(reader: &Reader, run_id: i64) -> Vec<spandrel_query::Span> {
    let mut spans = Vec::new();
    reader.spans(run_id, |span| spans.push(span)).unwrap();
    spans
}

/// The test that runs on the calling thread, which the test harness names after it. A program that is told a name of no
/// test would run none, and be well.
pub fn this_test() -> String {
    let name = std::thread::current().name().map(str::to_owned);
    name.filter(|name| name != "main").unwrap()
}

/// Starts this program again with only the calling test, which finds the path in `variable`.
pub fn child(variable: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &this_test(), "--nocapture", "--test-threads=1"])
        .env(variable, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// calls, errors, sum, busy, self, max and histogram.
pub type RollupRow = (i64, i64, i64, i64, i64, i64, Vec<u8>);

/// The rollups as they must be, from the span rows; by start of the interval and callsite.
pub fn recomputed(conn: &rusqlite::Connection, run_id: i64) -> BTreeMap<(i64, i64), RollupRow> {
    let mut query = conn
        .prepare(
            "SELECT callsite_id, start_ns + duration_ns, duration_ns, busy_ns, self_ns, status
             FROM span WHERE run_id = ?1 AND duration_ns IS NOT NULL",
        )
        .unwrap();
    let mut rows = query.query([run_id]).unwrap();
    let mut all: BTreeMap<(i64, i64), (RollupRow, Histogram)> = BTreeMap::new();
    while let Some(row) = rows.next().unwrap() {
        let number = |at: usize| row.get::<_, i64>(at).unwrap();
        let status: String = row.get(5).unwrap();
        let at_ns = number(1).div_euclid(1_000_000_000) * 1_000_000_000;
        let (sums, histogram) = all
            .entry((at_ns, number(0)))
            .or_insert(((0, 0, 0, 0, 0, i64::MIN, Vec::new()), Histogram::new()));
        sums.0 += 1;
        sums.1 += i64::from(status == "error" || status == "panicked");
        sums.2 += number(2);
        sums.3 += number(3);
        sums.4 += number(4);
        sums.5 = sums.5.max(number(2));
        histogram.record(number(2) as u64);
    }
    all.into_iter()
        .map(|(key, (mut sums, histogram))| {
            sums.6 = histogram.encode();
            (key, sums)
        })
        .collect()
}

/// The rollups as they are.
pub fn stored(conn: &rusqlite::Connection, run_id: i64) -> BTreeMap<(i64, i64), RollupRow> {
    let mut query = conn
        .prepare(
            "SELECT at_ns, callsite_id, calls, errors, sum_ns, busy_ns, self_ns, max_ns, histogram
             FROM rollup WHERE run_id = ?1 AND interval_ns = 1000000000",
        )
        .unwrap();
    query
        .query_map([run_id], |row| {
            Ok((
                (row.get(0)?, row.get(1)?),
                (
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                    row.get(7)?,
                    row.get(8)?,
                ),
            ))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The counters of the run equal what is in the file.
pub fn assert_counted(path: &Path, run_id: i64) {
    let reader = Reader::open(path).unwrap();
    let (run, counts) = (reader.run(run_id).unwrap().unwrap(), reader.counts(run_id).unwrap());
    assert_eq!(run.spans - run.pruned_spans, counts.spans);
    assert_eq!(run.events - run.pruned_events, counts.events);
    assert_eq!(run.entries - run.pruned_entries, counts.entries);
}

pub fn assert_sound(conn: &rusqlite::Connection) {
    let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
