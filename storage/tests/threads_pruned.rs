//! Threads go with the last row of their run, unless more may come of it.

use rusqlite::Connection;
use spandrel_storage::{Batch, DrainedRow, ErrorKind, RunInfo, Store, StoreOptions};

use crate::common::{callsite, place, run_info, span};

const SECOND: i64 = 1_000_000_000;

fn uuid(n: i64) -> String {
    format!("{n:032x}")
}

/// Begins the `n`-th run, `n` minutes after the first.
fn begin(store: &mut Store, n: i64) {
    let started_unix_ns = run_info().started_unix_ns + n * 60 * SECOND;
    let info = RunInfo { uuid: uuid(n), started_unix_ns, ..run_info() };
    let above = store.last_thread_id().unwrap();
    store.begin_run_at(&info, store.next_id(), above).unwrap();
}

/// A span of a thread of the store's run; of a ring that is stored so far.
fn append(store: &mut Store, thread_id: i64, ring: Option<i64>) {
    let site = store.intern_callsite(&callsite("work"));
    let row = span(store.next_id(), site, thread_id);
    let mut batch = Batch { spans: vec![row], ..Batch::default() };
    batch.drained.extend(ring.map(|n| DrainedRow {
        ring: i128::from(n).to_be_bytes(),
        partition: Some(0),
        position: 1,
    }));
    store.append(&mut batch).unwrap();
}

/// One that has ended, with so many threads.
fn whole_run(store: &mut Store, n: i64, threads: u32) {
    begin(store, n);
    let ids: Vec<i64> = (1..=threads).map(|at| store.intern_thread(at, 1, None)).collect();
    append(store, ids[0], None);
    store.end_run(run_info().started_unix_ns + (n * 60 + 1) * SECOND, "{}").unwrap();
    store.leave_run().unwrap();
}

/// Deletes what began before the `n`-th run.
fn prune_before(store: &mut Store, n: i64) {
    let cutoff = run_info().started_unix_ns + n * 60 * SECOND;
    while store.prune_before(cutoff).unwrap().more {}
}

/// Of each run, its threads.
fn threads(store: &Store) -> Vec<(i64, i64)> {
    let conn = Connection::open(store.path()).unwrap();
    let sql = "SELECT run_id, count(*) FROM thread GROUP BY run_id ORDER BY run_id";
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_ring_that_nobody_will_ever_end_holds_no_threads_of_runs_after_it() {
    let (_folder, path) = place();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    begin(&mut store, 1);
    let thread = store.intern_thread(1, 1, Some("main"));
    append(&mut store, thread, Some(1));
    // The machine loses power, and the file of the ring is gone: nobody ever ends the run.
    store.close().unwrap();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    (2..6).for_each(|n| whole_run(&mut store, n, 10));
    prune_before(&mut store, 5);
    assert_eq!(threads(&store), [(5, 10)], "only of the one that is left");
    store.forget_drained_of_ended().unwrap();
    assert_eq!(store.drained(&1_i128.to_be_bytes()).unwrap().len(), 1, "the ring may be found");
}

#[test]
fn by_size_and_by_runs_it_holds_none_either() {
    for by_size in [false, true] {
        let (_folder, path) = place();
        let options = StoreOptions { max_bytes: by_size.then_some(1), ..StoreOptions::default() };
        let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
        begin(&mut store, 1);
        let thread = store.intern_thread(1, 1, Some("main"));
        append(&mut store, thread, Some(1));
        store.close().unwrap();
        let mut store = Store::open(&path, &options).unwrap();
        (2..6).for_each(|n| whole_run(&mut store, n, 10));
        match by_size {
            true => while store.prune().unwrap().more {},
            false => while store.prune_runs_before(5).unwrap().more {},
        }
        assert_eq!(threads(&store), [(5, 10)], "by size: {by_size}");
    }
}

#[test]
fn one_that_goes_on_holds_its_own_threads_and_none_of_runs_that_came_and_went() {
    let (_folder, path) = place();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    begin(&mut store, 1);
    let thread = store.intern_thread(1, 1, Some("main"));
    append(&mut store, thread, None);
    let aside = store.set_run_aside().unwrap();
    (2..6).for_each(|n| whole_run(&mut store, n, 10));
    // It has a row left.
    prune_before(&mut store, 1);
    assert_eq!(threads(&store), [(1, 1), (2, 10), (3, 10), (4, 10), (5, 10)]);
    // It has none left, and more come.
    prune_before(&mut store, 5);
    assert_eq!(threads(&store), [(1, 1), (5, 10)]);
    store.take_run_up(aside);
    append(&mut store, thread, None);
    let aside = store.set_run_aside().unwrap();
    assert_eq!(threads(&store), [(1, 1), (5, 10)], "the row refers to it");
    prune_before(&mut store, 5);
    assert_eq!(threads(&store), [(1, 1), (5, 10)]);
    // Whoever had it has left it: nobody else can have told of its threads here.
    drop(aside);
    prune_before(&mut store, 5);
    assert_eq!(threads(&store), [(5, 10)]);
}

#[test]
fn one_that_is_young_holds_no_threads_of_older_ones_that_began_after_it() {
    let (_folder, path) = place();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    begin(&mut store, 1);
    let thread = store.intern_thread(1, 1, Some("main"));
    append(&mut store, thread, None);
    let aside = store.set_run_aside().unwrap();
    (2..6).for_each(|n| whole_run(&mut store, n, 10));
    store.take_run_up(aside);
    let site = store.intern_callsite(&callsite("work"));
    let late = span(store.next_id(), site, thread);
    let late = spandrel_storage::SpanRow { start_ns: 600 * SECOND, ..late };
    store.append(&mut Batch { spans: vec![late], ..Batch::default() }).unwrap();
    prune_before(&mut store, 5);
    assert_eq!(threads(&store), [(1, 1), (5, 10)]);
}

#[test]
fn whoever_goes_on_with_a_run_tells_of_its_threads_again_whoever_has_their_ids_by_then() {
    let (_folder, path) = place();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    begin(&mut store, 1);
    let above = store.thread_id(0);
    let thread = store.intern_thread(1, 1, Some("main"));
    append(&mut store, thread, Some(1));
    store.leave_run().unwrap();
    whole_run(&mut store, 2, 1);
    prune_before(&mut store, 2);
    assert_eq!(threads(&store), [(2, 1)]);
    // Somebody else's thread gets the id.
    let conn = Connection::open(&path).unwrap();
    conn.execute("UPDATE thread SET id = ?1", [thread]).unwrap();
    conn.execute("UPDATE span SET thread_id = ?1", [thread]).unwrap();
    // The file of the ring was found.
    assert!(store.threads_can_begin_above(&uuid(1), above).unwrap());
    store.resume_run(&uuid(1), above).unwrap().unwrap();
    let same = store.intern_thread(1, 1, Some("main"));
    let site = store.intern_callsite(&callsite("work"));
    let row = span(store.next_id(), site, same);
    let mut batch = Batch { spans: vec![row], ..Batch::default() };
    assert_eq!(store.append(&mut batch).unwrap_err().kind(), ErrorKind::InvalidBatch);
    store.mend(&mut batch, &mut |above| Some(above + 1)).unwrap();
    store.append(&mut batch).unwrap();
    let sql =
        "SELECT s.run_id, t.run_id, t.name FROM span AS s JOIN thread AS t ON t.id = s.thread_id
               ORDER BY s.id";
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(i64, i64, Option<String>)> = rows.collect::<rusqlite::Result<_>>().unwrap();
    assert_eq!(rows, [(2, 2, None), (1, 1, Some("main".to_owned()))]);
}
