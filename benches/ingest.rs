//! Appends batches of span rows to a store, for scripts/ingest.sh:
//! `ingest BATCHES [NAME=NUMBER ...]`.
//!
//! The names: `fields` (0 or 1), `rows` (of a batch), `streams` (threads that make spans in turns),
//! `block` (ids that a thread takes at once), `long` (traces open at once), `transfer` (rows from
//! which on a batch is copied; 0 for always), `page` (bytes), `wal` (MiB before a checkpoint),
//! `append` (0: the batches are made and not stored, so that what making them costs can be taken
//! off). Prints what the appends cost on their thread, and what the closed file holds.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark says what it finds"
)]

use std::process::ExitCode;
use std::time::Instant;

use spandrel_benches::{Recording, Shape};
use spandrel_storage::StoreOptions;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(batches) = args.next().and_then(|batches| batches.parse::<u64>().ok()) else {
        return usage();
    };
    let (mut shape, mut options) = (Shape::default(), StoreOptions::default());
    let (mut rows, mut append) = (8_192, true);
    for arg in args {
        let Some((name, number)) = arg.split_once('=') else { return usage() };
        let Ok(number) = number.parse::<u64>() else { return usage() };
        match name {
            "fields" => shape.fields = number != 0,
            "streams" => shape.streams = number,
            "block" => shape.block = number.max(1),
            "long" => shape.long_traces = number,
            "rows" => rows = number,
            "append" => append = number != 0,
            "transfer" => options.transfer_rows_min = number as usize,
            "page" => options.page_size = number as u32,
            "wal" => options.checkpoint_bytes = number << 20,
            _ => return usage(),
        }
    }

    let folder = tempfile::tempdir().expect("a folder for the database");
    let path = folder.path().join("profile.db");
    let mut recording = Recording::start(&path, &options, shape).expect("a recording begins");
    let (mut cpu_ns, mut wall_ns, mut longest_ns, mut checkpoints, mut checkpoint_ns) =
        (0, 0, 0, 0_u64, 0);
    for _ in 0..batches {
        recording.fill(rows);
        if !append {
            continue;
        }
        let (wall, cpu) = (Instant::now(), thread_cpu_ns());
        let appended = recording.store.append(&mut recording.batch).expect("the batch is stored");
        cpu_ns += thread_cpu_ns() - cpu;
        let took = wall.elapsed().as_nanos() as u64;
        wall_ns += took;
        longest_ns = took.max(longest_ns);
        checkpoints += u64::from(appended.checkpoint_ns > 0);
        checkpoint_ns += appended.checkpoint_ns;
    }
    recording.store.close().expect("the store closes");
    let rows = batches * rows;
    let bytes = path.metadata().expect("the file is there").len();
    println!("rows {rows}");
    println!("cpu_ns_a_row {:.1}", cpu_ns as f64 / rows as f64);
    println!("wall_ns_a_row {:.1}", wall_ns as f64 / rows as f64);
    println!("longest_append_ms {:.1}", longest_ns as f64 / 1e6);
    println!("checkpoints {checkpoints}");
    println!("checkpoint_ms {:.1}", checkpoint_ns as f64 / 1e6);
    println!("bytes_a_row {:.1}", bytes as f64 / rows as f64);
    ExitCode::SUCCESS
}

/// Processor time of this thread so far: the first number of its `schedstat`.
fn thread_cpu_ns() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

fn usage() -> ExitCode {
    eprintln!(
        "ingest BATCHES [fields=0|1] [rows=N] [streams=N] [block=N] [long=N] [transfer=N] [page=N] \
         [wal=MiB] [append=0|1]"
    );
    ExitCode::from(2)
}
