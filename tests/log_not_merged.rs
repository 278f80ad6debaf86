//! Somebody reads the file when the recording is closed: what is stored is in two files then, and whoever
//! looks is told so; merging makes one of them.

use std::fs;

use rusqlite::{Connection, OpenFlags};
use spandrel_storage::{ErrorKind, merge};
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(60);
const SPANS: u64 = 1_000;

/// Python's connection that was left open, or a dashboard that reads for an hour.
#[test]
fn a_reader_at_the_close_leaves_two_files_and_the_report_says_so() {
    let scratch = scratch_for(120);
    let profiler = small(scratch.db()).ring_capacity(1 << 14).build().unwrap();
    profiler.flush(LONG).unwrap();
    let reader =
        Connection::open_with_flags(scratch.db(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM span").unwrap();
    let seen: i64 = reader.query_row("SELECT count(*) FROM span", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 0);
    within(&dispatch(&profiler), || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
    let report = profiler.close().unwrap();
    assert_eq!((report.stored, report.timed_out), (SPANS, false), "{report}");
    assert!(report.log_bytes > 0, "the log is there");
    assert!(
        report
            .to_string()
            .ends_with("; log not merged, copy both files (the profile and its -wal)")
    );
    assert_eq!(profiler.close().unwrap().log_bytes, report.log_bytes, "and says so again");

    // The main file alone is what the report must not let anybody take for the profile.
    let alone = scratch.db().with_file_name("alone.db");
    fs::copy(scratch.db(), &alone).unwrap();
    assert_eq!(Database::open(&alone).count("SELECT count(*) FROM span"), 0);

    let error = merge(scratch.db()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    let log = scratch.db().with_extension("db-wal");
    let merged = merge(scratch.db()).unwrap();
    assert!(merged.log_bytes > 0 || !log.exists());
    assert!(!log.exists(), "one file again");
    fs::copy(scratch.db(), &alone).unwrap();
    ledger::check_complete(&alone, &report);
    let nothing = merge(scratch.db()).unwrap();
    assert_eq!((nothing.log_bytes, nothing.bytes_before), (0, nothing.bytes_after));
}

#[test]
fn the_log_of_a_killed_recording_is_merged() {
    if child::role().is_some() {
        let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
        let profiler = small(Path::new(&path)).build().unwrap();
        within(&dispatch(&profiler), || (0..100).for_each(|n| drop(info_span!("work", n))));
        profiler.flush(LONG).unwrap();
        child::say("flushed");
        child::listen();
        return;
    }
    let scratch = scratch_for(120);
    let plan = child::plan("recorder");
    let mut recorder = plan.env("SPANDREL_TEST_PATH", scratch.db()).start();
    recorder.expect("flushed");
    assert_eq!(merge(scratch.db()).unwrap_err().kind(), ErrorKind::InUse);
    recorder.kill();
    let merged = merge(scratch.db()).unwrap();
    assert!(merged.log_bytes > 0 && !scratch.db().with_extension("db-wal").exists());
    let alone = scratch.db().with_file_name("alone.db");
    fs::copy(scratch.db(), &alone).unwrap();
    assert_eq!(Database::open(&alone).count("SELECT count(*) FROM span"), 100);
}

#[test]
fn a_recording_is_not_merged_and_one_without_a_log_is_one_file() {
    let (scratch, profiler) = recording_for(120);
    within(&dispatch(&profiler), || drop(info_span!("work")));
    assert_eq!(merge(scratch.db()).unwrap_err().kind(), ErrorKind::InUse);
    let report = profiler.close().unwrap();
    assert_eq!(report.log_bytes, 0);
    assert!(!report.to_string().contains("log"), "{report}");
    ledger::check_complete(scratch.db(), &report);
    let other = scratch.db().with_file_name("text");
    fs::write(&other, "no database, and longer than a header of one would be".repeat(4)).unwrap();
    assert_eq!(merge(&other).unwrap_err().kind(), ErrorKind::NotADatabase);
    assert_eq!(merge(other.with_file_name("none")).unwrap_err().kind(), ErrorKind::NotFound);
}
