//! The profile is renamed, or cut short, while the writer has something in hand for it that the database
//! does not take. What is lost with that is told, and a file that was left does not look like one of a
//! program that was killed.

use std::fs::{self, OpenOptions};

use rusqlite::Connection;
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(60);
const SPANS: u64 = 50;

#[test]
fn the_run_in_a_renamed_file_has_an_end() {
    let (scratch, profiler) = recording_for(60);
    let dispatch = dispatch(&profiler);
    let record = || {
        within(&dispatch, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
        profiler.flush(LONG).unwrap();
    };
    record();
    let other = scratch.path("other.db");
    fs::rename(scratch.db(), &other).unwrap();
    record();
    let db = Database::open(&other);
    assert_eq!(db.count("SELECT count(*) FROM span"), SPANS);
    assert_eq!(db.count("SELECT count(*) FROM run WHERE ended_unix_ns >= started_unix_ns"), 1);
    let why = db.value::<String>("SELECT report ->> 'last_error' FROM run");
    assert!(why.contains("was renamed while it was recorded into"), "{why}");
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (2 * SPANS, 2 * SPANS));
}

#[test]
fn what_was_in_hand_when_the_file_was_renamed_is_told_as_lost() {
    let (scratch, profiler) = recording_for(60);
    let locked = Connection::open(scratch.db()).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    within(&dispatch(&profiler), || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
    while profiler.stats().last_refusal.is_none() {
        std::thread::yield_now();
    }
    fs::rename(scratch.db(), scratch.path("other.db")).unwrap();
    profiler.flush(LONG).unwrap();
    let stats = profiler.stats();
    assert_eq!((stats.recorded, stats.dropped.file_removed), (SPANS, SPANS));
    let error = stats.last_error.unwrap();
    assert!(error.contains("; 50 spans and 0 events are lost with it"), "{error}");
    drop(locked);
    ledger::settled(&profiler.close().unwrap());
}

#[test]
fn a_span_that_is_open_at_the_close_is_counted_if_the_file_is_cut_meanwhile() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).close_timeout(LONG).build().unwrap();
    let dispatch = dispatch(&profiler);
    let open = within(&dispatch, || info_span!("open"));
    let locked = Connection::open(scratch.db()).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    let report = std::thread::scope(|scope| {
        let closing = scope.spawn(|| profiler.close().unwrap());
        while profiler.stats().last_refusal.is_none() {
            std::thread::yield_now();
        }
        OpenOptions::new().write(true).open(scratch.db()).unwrap().set_len(0).unwrap();
        drop(locked);
        closing.join().unwrap()
    });
    assert_eq!((report.recorded, report.dropped.file_removed), (1, 1));
    ledger::settled(&report);
    within(&dispatch, || drop(open));
}
