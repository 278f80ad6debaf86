//! A process that is killed in the middle of an append leaves whole batches, and rollups that say
//! what the spans say.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::Path;

use spandrel_query::Reader;
use spandrel_storage::{Batch, Store, StoreOptions};

use crate::common;

const VARIABLE: &str = "SPANDREL_TEST_KILLED";
const BATCH: u64 = 700;

#[test]
fn kill_leaves_whole_batches_and_rollups() {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return record(Path::new(&path));
    }
    let (_folder, path) = common::place();
    let mut runs = 0;
    for round in 0..12 {
        let mut child = common::child(VARIABLE, &path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Each line is an acknowledged batch; killed at another moment in each round.
        let acknowledged = lines
            .map_while(Result::ok)
            .filter(|line| line.ends_with("stored"))
            .take(1 + round * 3)
            .count() as u64;
        child.kill().unwrap();
        child.wait().unwrap();

        let store = Store::open(&path, &StoreOptions::default()).unwrap();
        let free = store.next_id();
        drop(store);
        runs += 1;
        let reader = Reader::open(&path).unwrap();
        let run = reader.latest_run().unwrap().unwrap();
        assert_eq!((run.id, run.ended_unix_ns), (runs, None));
        let counts = reader.counts(runs).unwrap();
        assert_eq!(counts.spans % BATCH, 0, "a batch is stored whole or not at all");
        assert!(counts.spans >= acknowledged * BATCH, "{counts:?} {acknowledged}");
        assert!(free > run.last_id);
        common::assert_counted(&path, runs);
        let conn = rusqlite::Connection::open(&path).unwrap();
        assert_eq!(common::stored(&conn, runs), common::recomputed(&conn, runs));
        common::assert_sound(&conn);
    }
}

fn record(path: &Path) {
    let options = StoreOptions { checkpoint_bytes: 1 << 20, ..StoreOptions::default() };
    let mut store = common::store(path, &options);
    loop {
        let mut batch: Batch = common::batch(&mut store, BATCH);
        for span in &mut batch.spans {
            span.duration_ns = Some((span.id as i64 * 7_919) % 3_000_000_000);
        }
        store.append(&mut batch).unwrap();
        println!("stored");
    }
}
