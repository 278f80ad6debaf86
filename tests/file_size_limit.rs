//! A limit on the length of files (`ulimit -f`), which usually ends a program by a signal: it goes on,
//! what could not be stored is counted, the error names the limit, and storing goes on when it is lifted.

use std::time::Instant;

use spandrel_tests::prelude::*;
use spandrel_tests::system;
use spandrel_tests::tiny_disk::TinyDisk;

const LIMIT: u64 = 1_500_000;

fn database() -> std::path::PathBuf {
    std::env::var_os("SPANDREL_DB").unwrap().into()
}

fn build(path: &Path, close_timeout: Duration) -> Profiler {
    Profiler::builder()
        .database(path)
        .ring_capacity(2_048)
        .partitions(1)
        .close_timeout(close_timeout)
        .build()
        .unwrap()
}

/// Records until the store refuses and the ring is full after that. Returns how many spans there were.
fn record_until_refused(profiler: &Profiler) -> u64 {
    let mut n = 0_u64;
    let mut refused = false;
    let text = "x".repeat(400);
    within(&dispatch(profiler), || {
        while profiler.stats().dropped.store_error == 0 {
            drop(info_span!("work", n, text = text.as_str()));
            n += 1;
            // However late the writer comes, the ring is not full before the store refuses. That the log
            // does not fit into the main file comes before that.
            if !refused && n.is_multiple_of(64) {
                let flushed = profiler.flush(Duration::from_secs(1));
                let error = profiler.stats().last_error;
                refused = flushed.is_err() && error.is_some_and(|why| !why.contains("checkpoint:"));
            }
        }
    });
    let error = profiler.stats().last_error.unwrap();
    assert!(error.contains("ulimit -f") && error.contains(&LIMIT.to_string()), "{error}");
    n
}

#[test]
fn storing_goes_on_when_the_limit_is_lifted() {
    alone!();
    if child::role().is_some() {
        let path = database();
        system::limit_file_size(Some(LIMIT)).unwrap();
        let profiler = build(&path, Duration::from_secs(30));
        let n = record_until_refused(&profiler);
        system::limit_file_size(None).unwrap();
        let began = Instant::now();
        within(&dispatch(&profiler), || drop(info_span!("after")));
        while profiler.flush(Duration::from_secs(10)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", profiler.stats());
        }
        let report = profiler.close().unwrap();
        assert_eq!(report.recorded, n + 1);
        assert!(report.dropped.store_error > 0);
        let db = ledger::check(&path, &report);
        assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'after'"), 1);
        return;
    }
    let scratch = scratch_for(100);
    child::plan("record").env("SPANDREL_DB", scratch.db()).start().succeed();
}

#[test]
fn a_limit_that_stays_is_told_at_close() {
    alone!();
    if child::role().is_some() {
        let path = database();
        system::limit_file_size(Some(LIMIT)).unwrap();
        let profiler = build(&path, Duration::from_secs(1));
        let n = record_until_refused(&profiler);
        let report = profiler.close().unwrap();
        ledger::settled(&report);
        assert_eq!(report.recorded, n);
        assert_eq!(report.dropped.total(), report.dropped.store_error, "{}", report.dropped);
        child::say(report.stored);
        return;
    }
    let scratch = scratch_for(100);
    let mut child = child::plan("record").env("SPANDREL_DB", scratch.db()).start();
    let stored: u64 = child.hear().unwrap().parse().unwrap();
    child.succeed();
    let db = Database::open(scratch.db());
    ledger::whole(&db, 1);
    assert!(stored > 0);
    assert_eq!(db.count("SELECT count(*) FROM span"), stored);
}

#[test]
fn a_limit_that_leaves_no_room_for_the_tables_is_an_error_of_build() {
    alone!();
    if child::role().is_some() {
        let path = database();
        // The last one is reached when most of the tables are there.
        for limit in [20_000, 100_000, 200_000] {
            system::limit_file_size(Some(limit)).unwrap();
            let error = Profiler::builder().database(&path).build().unwrap_err().to_string();
            assert!(error.contains(&format!("{limit} bytes (ulimit -f)")), "{error}");
            assert!(!path.exists(), "half a file");
        }
        return;
    }
    let scratch = scratch_for(100);
    child::plan("build").env("SPANDREL_DB", scratch.db()).start().succeed();
}

/// With a limit that leaves room for the tables, on a disk that does not.
#[test]
fn a_full_disk_is_not_put_down_to_the_limit() {
    alone!();
    if child::role().is_some() {
        system::limit_file_size(Some(900_000)).unwrap();
        let error = Profiler::builder().database(database()).build().unwrap_err().to_string();
        assert!(!error.contains("ulimit"), "{error}");
        assert!(error.contains("the disk or the limit on pages is full"), "{error}");
        return;
    }
    let _limit = time_limit(100);
    let Some(disk) = TinyDisk::mount(128) else { return };
    child::plan("build").env("SPANDREL_DB", disk.path().join("profile.db")).start().succeed();
}
