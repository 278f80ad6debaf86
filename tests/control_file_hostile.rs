//! Somebody puts a trigger, or an enormous text, into the file for requests: the writer drains on, nothing is
//! lost, the ledger says what was found, and one can ask again through a new file.

use rusqlite::Connection;
use spandrel_tests::asking::{mark, sidecar};
use spandrel_tests::prelude::*;

fn record(profiler: &Profiler) {
    within(&dispatch(profiler), || (0..10).for_each(|n| drop(info_span!("work", n))));
    profiler.flush(Duration::from_secs(20)).unwrap();
}

#[test]
fn the_writer_goes_on_and_the_file_is_begun_anew() {
    let _limit = time_limit(100);
    for (spoil, named) in [
        (
            // A stand-in for one that would run for ever.
            "CREATE TRIGGER t AFTER UPDATE ON request BEGIN DELETE FROM request; END;
             INSERT INTO request (at_unix_ns, by, command, arguments, state) VALUES
               (CAST(unixepoch('subsec') * 1e9 AS INTEGER), 'a test', 'flush', '{}', 'asked')",
            "such as a trigger",
        ),
        (
            "INSERT INTO request (at_unix_ns, by, command, arguments, state) VALUES
               (0, 'a test', 'mark', CAST(zeroblob(20000000) AS TEXT), 'asked')",
            "are enough for requests",
        ),
    ] {
        let (scratch, profiler) = recording();
        mark(scratch.db(), "before");
        let other = Connection::open(sidecar(scratch.db())).unwrap();
        other.busy_timeout(Duration::from_secs(20)).unwrap();
        // At once: the recorder may begin anew as soon as it sees something of it.
        other.execute_batch(&format!("BEGIN IMMEDIATE; {spoil}; COMMIT")).unwrap();
        drop(other);
        let mut flushes = 1;
        let error = loop {
            record(&profiler);
            flushes += 1;
            match profiler.stats().control_error {
                Some(error) if error.contains("begun anew") => break error,
                _ => std::thread::yield_now(),
            }
        };
        assert!(error.contains(named) && error.contains("profile.db-ctl"), "{error}");
        record(&profiler);
        mark(scratch.db(), "after");
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.marks, &report.last_error), (flushes * 10, 2, &None));
        ledger::check_complete(scratch.db(), &report);
        assert!(!sidecar(scratch.db()).exists());
    }
}
