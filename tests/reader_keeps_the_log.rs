//! A reader sits on a snapshot: the write-ahead log stays below its cap, and when the reader has gone
//! everything that was recorded is stored.

use rusqlite::{Connection, OpenFlags};
use spandrel::StoreOptions;
use spandrel_tests::prelude::*;

const CAP: u64 = 1 << 20;
/// A commit may pass the cap by its own size.
const COMMIT_MAX: u64 = 1 << 20;

#[test]
fn the_log_keeps_to_its_cap_and_nothing_is_lost() {
    let scratch = scratch_for(120);
    let store =
        StoreOptions { wal_bytes_max: CAP, checkpoint_bytes: CAP / 4, ..StoreOptions::default() };
    let profiler = Profiler::builder().database(scratch.db()).store_options(store).build().unwrap();
    let log = scratch.db().with_extension("db-wal");
    let log_bytes = || log.metadata().map_or(0, |log| log.len());
    let wait = Duration::from_secs(10);
    within(&dispatch(&profiler), || {
        drop(info_span!("first"));
        profiler.flush(wait).unwrap();
        let reader =
            Connection::open_with_flags(scratch.db(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = || -> i64 {
            reader.query_row("SELECT count(*) FROM span", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(), 1);
        let is_full = || profiler.stats().last_error.is_some_and(|error| error.contains("its cap"));
        while !is_full() {
            (0..500).for_each(|n| drop(info_span!("work", n)));
            // Fails when the log is full.
            let _tried = profiler.flush(Duration::from_millis(500));
            assert!(log_bytes() <= CAP + COMMIT_MAX, "{} bytes of log", log_bytes());
        }
        (0..5_000).for_each(|n| drop(info_span!("more", n)));
        profiler.flush(Duration::from_millis(100)).unwrap_err();
        assert!(log_bytes() <= CAP + COMMIT_MAX, "{} bytes of log", log_bytes());
        assert_eq!(count(), 1, "the snapshot stays what it was");

        reader.execute_batch("COMMIT").unwrap();
        while profiler.flush(wait).is_err() {
            std::thread::yield_now();
        }
        let stats = profiler.stats();
        assert_eq!((stats.in_flight, stats.dropped.total()), (0, 0), "{stats}");
        // The log begins anew with the commit that follows.
        drop(info_span!("last"));
        profiler.flush(wait).unwrap();
        assert!(log_bytes() < CAP, "{} bytes of log", log_bytes());
    });
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}
