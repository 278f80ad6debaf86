//! Profiles with names without number can be compared: what is kept of a name is as little as is known of
//! it, and each name is looked up once.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/src/allocations.rs"]
mod allocations;

use std::path::Path;

use spandrel_query::Reader;
use spandrel_query::compare::{Bootstrap, Comparison, Metric, SampleSet};
use spandrel_query::{Filter, Scan};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};

use self::allocations::{Counting, during, live_bytes};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAMES: u64 = 50_000;
/// What is known of a name on one side: 215 bytes are two spans in blocks of their own, with name and sums.
const BYTES_A_NAME: u64 = 300;
/// Allocating and freeing, for a name on one side.
const CALLS_A_NAME: u64 = 12;

/// Two spans of each name, the second ones long after the first ones.
fn record(path: &Path) {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    let thread_id = store.intern_thread(1, 1, None);
    let callsites: Vec<i64> = (0..NAMES)
        .map(|n| {
            store.intern_callsite(&CallsiteInfo {
                kind: CallsiteKind::Span,
                name: format!("name_{n:06}"),
                target: "app::made".into(),
                level: "INFO",
                module: Some("app::made".into()),
                file: Some("src/made.rs".into()),
                line: Some(n as u32),
            })
        })
        .collect();
    let mut batch = Batch::default();
    for (id, callsite_id) in (1..).zip(callsites.iter().chain(&callsites)) {
        batch.spans.push(SpanRow {
            id,
            parent_id: 0,
            root_id: id,
            callsite_id: *callsite_id,
            thread_id,
            start_ns: id as i64 * 1_000,
            duration_ns: Some(700 + id as i64 % 300),
            busy_ns: Some(600),
            self_ns: Some(700),
            entries: 1,
            status: Status::Ok,
            fields: 0..0,
            ..SpanRow::default()
        });
    }
    store.append(&mut batch).unwrap();
    store.end_run(1, "{}").unwrap();
    store.close().unwrap();
}

fn samples(path: &Path) -> SampleSet {
    let reader = Reader::open(path).unwrap();
    let run = reader.runs().unwrap().remove(0);
    let mut side = SampleSet::new();
    side.add_run(&reader, &run, &Scan::new(run.id), &Filter::all()).unwrap();
    side
}

#[test]
fn a_name_takes_some_hundred_bytes_of_each_side_and_is_looked_up_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    record(&path);
    let before = live_bytes();
    let mut sides = Vec::new();
    let calls = during(|| sides.extend([samples(&path), samples(&path)]));
    let [a, b] = sides.as_slice() else { panic!("two sides") };
    assert_eq!([a.spans(), b.spans()], [2 * NAMES; 2]);
    let comparison = Comparison::new(a, b, &Bootstrap::default());
    let taken = live_bytes() - before;
    // Nothing was left out for it.
    assert_eq!(comparison.changes.len() as u64, NAMES);
    let has_all = |metric: Metric| {
        let mut deltas = comparison.changes.iter().map(|change| change.delta(metric));
        deltas.all(|delta| delta.a.is_some() && delta.a == delta.b)
    };
    assert!(Metric::ALL.into_iter().all(has_all));
    let a_name = taken / (2 * NAMES);
    assert!(a_name <= BYTES_A_NAME, "{a_name} bytes a name and side");
    let a_name = calls / (2 * NAMES);
    assert!(a_name <= CALLS_A_NAME, "{a_name} calls of the allocator a name and side");
}
