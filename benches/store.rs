//! Rows a second that one store appends, by batch size: spans without fields and with three.
//!
//! Each sample appends whole batches to one file that grows, checkpoints included; making the rows
//! is off the clock. Every tenth span is a root, the next nine are its children.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run has nobody to report to")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use spandrel_benches::{Recording, Shape};
use spandrel_storage::StoreOptions;

const BATCH_SIZES: [u64; 4] = [100, 1_000, 8_192, 65_536];

fn start(fields: bool) -> (tempfile::TempDir, Recording) {
    let folder = tempfile::tempdir().expect("a folder for the database");
    let shape = Shape { fields, ..Shape::default() };
    let recording =
        Recording::start(&folder.path().join("profile.db"), &StoreOptions::default(), shape)
            .expect("a recording begins");
    (folder, recording)
}

fn append(recording: &mut Recording) -> Duration {
    let start = Instant::now();
    recording.store.append(&mut recording.batch).expect("the batch is stored");
    start.elapsed()
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
                let (_, recording) = recording.get_or_insert_with(|| start(fields));
                bencher.iter_custom(|batches| {
                    let mut took = Duration::ZERO;
                    for _ in 0..batches {
                        recording.fill(rows);
                        took += append(recording);
                    }
                    took
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}
