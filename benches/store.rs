//! Rows a second that one store appends, by batch size: spans without fields and with three.
//!
//! Each sample appends whole batches to one file that grows, checkpoints included; making the rows
//! is off the clock. Every tenth span is a root, the next nine are its children.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nobody to report to")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};

const BATCH_SIZES: [u64; 4] = [100, 1_000, 8_192, 65_536];
const CALLSITES: u64 = 8;
const SPANS_PER_TREE: u64 = 10;
const NANOSECONDS_APART: u64 = 1_000;

struct Recording {
    store: Store,
    batch: Batch,
    callsites: Vec<i64>,
    thread: i64,
    next_id: u64,
    _folder: tempfile::TempDir,
}

impl Recording {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let mut store = Store::open(folder.path().join("profile.db"), &StoreOptions::default())
            .expect("the database opens");
        store.begin_run(&run()).expect("a run begins");
        let callsites = (0..CALLSITES).map(|n| store.intern_callsite(&callsite(n))).collect();
        let thread = store.intern_thread(1, Some("main"));
        let next_id = store.next_id();
        Self { store, batch: Batch::default(), callsites, thread, next_id, _folder: folder }
    }

    fn fill(&mut self, rows: u64, fields: bool) {
        self.batch.clear();
        for _ in 0..rows {
            let id = self.next_id;
            self.next_id += 1;
            let text = self.batch.text.len();
            if fields {
                let json = format!(r#"{{"id":{id},"ratio":0.5,"kind":"checkout"}}"#);
                self.batch.text.push_str(&json);
            }
            let root = id - id % SPANS_PER_TREE;
            let duration = 500 + (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as i64;
            self.batch.spans.push(SpanRow {
                id,
                parent_id: if root == id { 0 } else { root },
                root_id: root,
                callsite_id: self.callsites[(id % CALLSITES) as usize],
                thread_id: self.thread,
                start_ns: (id * NANOSECONDS_APART) as i64,
                duration_ns: Some(duration),
                busy_ns: duration,
                self_ns: Some(duration),
                polls: 1,
                status: Status::Ok,
                fields: text..self.batch.text.len(),
            });
        }
    }

    fn append(&mut self) -> Duration {
        let start = Instant::now();
        self.store.append(&mut self.batch).expect("the batch is stored");
        start.elapsed()
    }
}

fn run() -> RunInfo {
    RunInfo {
        uuid: "0".repeat(32),
        args: "[]".into(),
        settings: "{}".into(),
        clock: "monotonic".into(),
        cpus: 1,
        ..RunInfo::default()
    }
}

fn callsite(n: u64) -> CallsiteInfo {
    CallsiteInfo {
        kind: CallsiteKind::Span,
        name: format!("work {n}"),
        target: "store".into(),
        level: "INFO",
        module: None,
        file: None,
        line: None,
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("store");
    group.sampling_mode(SamplingMode::Flat);
    for (name, fields) in [("no_fields", false), ("3_fields", true)] {
        for rows in BATCH_SIZES {
            let mut recording = None;
            group.throughput(Throughput::Elements(rows));
            group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                let recording = recording.get_or_insert_with(Recording::start);
                bencher.iter_custom(|batches| {
                    let mut took = Duration::ZERO;
                    for _ in 0..batches {
                        recording.fill(rows, fields);
                        took += recording.append();
                    }
                    took
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
