//! The disk is full, and has space again: the program is not disturbed, what the ring could not
//! hold is counted, and storing goes on by itself.

use std::time::Instant;

use rusqlite::Connection;
use spandrel::StoreOptions;
use spandrel_tests::prelude::*;
use spandrel_tests::tiny_disk::TinyDisk;

/// Records until the store refuses, and until the ring is full after that. Returns how many spans
/// there were.
fn record_until_refused(profiler: &Profiler) -> u64 {
    let mut n = 0_u64;
    let mut refused = false;
    within(&dispatch(profiler), || {
        let text = "x".repeat(400);
        while profiler.stats().dropped.store_error == 0 {
            drop(info_span!("work", n, text = text.as_str()));
            n += 1;
            ledger::identity(&profiler.stats());
            // However late the writer comes, the ring is not full before the store refuses.
            if !refused && n.is_multiple_of(64) {
                let flushed = profiler.flush(Duration::from_secs(1));
                refused = flushed.is_err() && profiler.stats().last_error.is_some();
            }
        }
    });
    let error = profiler.stats().last_error.expect("the reason is told");
    assert!(error.contains("full"), "{error}");
    n
}

/// Records and flushes until a span is committed; the writer tries again within 5 s. Returns how many
/// there were: what meets a ring that is full still is dropped for the store, like those before.
fn record_until_stored(profiler: &Profiler) -> u64 {
    let dropped = profiler.stats().dropped.total();
    let began = Instant::now();
    let mut n = 0;
    // The flush may tell once or twice that the store refuses: it does not wait for space.
    while {
        within(&dispatch(profiler), || drop(info_span!("after")));
        n += 1;
        profiler.flush(Duration::from_secs(10)).is_err()
            || profiler.stats().dropped.total() == dropped + n
    } {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", profiler.stats());
        std::thread::yield_now();
    }
    n
}

/// As many of those as the ring took are in the file.
fn check_after(db: &Database, after: u64) {
    let stored = db.count("SELECT count(*) FROM spans WHERE name = 'after'");
    assert!((1..=after).contains(&stored), "{stored} of {after}");
}

#[test]
fn a_full_page_limit_and_pages_free_again() {
    alone!();
    let scratch = scratch_for(100);
    // A run, and a table that fills the file; its pages will come free.
    drop(Profiler::builder().database(scratch.db()).build().unwrap());
    let other = Connection::open(scratch.db()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    let fill = "CREATE TABLE filling (x); INSERT INTO filling VALUES (zeroblob(4000000))";
    other.execute_batch(fill).unwrap();
    let pages: u32 = other.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let options = StoreOptions { max_page_count: Some(pages + 8), ..StoreOptions::default() };
    let profiler = Profiler::builder()
        .database(scratch.db())
        .store_options(options)
        .ring_capacity(2_048)
        .partitions(1)
        .build()
        .unwrap();
    let n = record_until_refused(&profiler);
    other.execute_batch("DROP TABLE filling").unwrap();
    let after = record_until_stored(&profiler);
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, n + after);
    assert!(report.dropped.store_error > 0);
    assert_eq!(report.dropped.total(), report.dropped.store_error, "{}", report.dropped);
    let db = Database::open(scratch.db());
    ledger::check_run(&db, 2, &report);
    check_after(&db, after);
}

fn on_a_full_disk(db: &Path, close_timeout: Duration) -> Profiler {
    let options = StoreOptions { max_page_count: Some(40), ..StoreOptions::default() };
    let builder =
        Profiler::builder().database(db).store_options(options).close_timeout(close_timeout);
    builder.ring_capacity(2_048).partitions(1).build().unwrap()
}

#[test]
fn a_disk_that_stays_full_is_told_at_close() {
    alone!();
    let scratch = scratch_for(100);
    let profiler = on_a_full_disk(scratch.db(), Duration::from_secs(1));
    let n = record_until_refused(&profiler);
    let began = Instant::now();
    let report = profiler.close().unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "close took {:?}", began.elapsed());
    ledger::settled(&report);
    assert_eq!(report.recorded, n);
    assert_eq!(report.dropped.total(), report.dropped.store_error, "{}", report.dropped);
    assert!(report.last_error.is_some());
    // The file does not call itself complete: its losses are those of the report.
    let db = ledger::check(scratch.db(), &report);
    let complete = "SELECT count(*) FROM runs WHERE complete = 'yes'";
    assert_eq!(db.count(complete), 0, "{}", report.dropped);
}

#[test]
fn a_disk_that_stays_full_does_not_hold_the_end_of_a_program() {
    alone!();
    // Who waited for the disk as long as he may would never come back.
    let scratch = scratch_for(100);
    let profiler = on_a_full_disk(scratch.db(), Duration::MAX);
    let n = record_until_refused(&profiler);
    let open = within(&dispatch(&profiler), || info_span!("open"));
    let report = profiler.close().unwrap();
    within(&dispatch(&profiler), || drop(open));
    ledger::settled(&report);
    assert!(report.timed_out && report.recorded >= n);
    assert_eq!(report.dropped.total(), report.dropped.store_error, "{}", report.dropped);
    ledger::check(scratch.db(), &report);
}

#[test]
fn a_full_file_system_that_grows() {
    alone!();
    let _limit = time_limit(100);
    let Some(disk) = TinyDisk::mount(1_024) else { return };
    let path = disk.path().join("profile.db");
    let profiler =
        Profiler::builder().database(&path).ring_capacity(2_048).partitions(1).build().unwrap();
    let n = record_until_refused(&profiler);
    disk.resize(16_384);
    let after = record_until_stored(&profiler);
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, n + after);
    assert!(report.dropped.store_error > 0);
    let db = ledger::check(&path, &report);
    check_after(&db, after);
}
