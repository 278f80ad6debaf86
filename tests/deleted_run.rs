//! Somebody throws old runs away with SQL, between two recordings or while one goes on: nothing of what
//! is recorded later is lost.

use rusqlite::Connection;
use spandrel_tests::prelude::*;

fn record(profiler: &Profiler) {
    within(&dispatch(profiler), || {
        for n in 0..500 {
            info_span!("outer", n).in_scope(|| {
                drop(info_span!("inner"));
                info!("inside");
            });
        }
    });
    profiler.flush(Duration::from_secs(30)).unwrap();
}

fn is_whole(report: &Report) {
    assert_eq!((report.recorded, report.stored), (1_000, 1_000), "{report:?}");
    assert_eq!(report.last_error, None);
}

#[test]
fn a_deleted_run_does_not_cost_later_recordings_everything() {
    let scratch = scratch_for(60);
    for run in 1..=3 {
        let profiler = small(scratch.db()).build().unwrap();
        record(&profiler);
        is_whole(&profiler.close().unwrap());
        let db = Connection::open(scratch.db()).unwrap();
        assert_eq!(db.execute("DELETE FROM run WHERE id = ?1", [run]).unwrap(), 1);
    }
    let profiler = small(scratch.db()).build().unwrap();
    record(&profiler);
    let report = profiler.close().unwrap();
    is_whole(&report);
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.last_run(), 4);
    assert_eq!(db.count("SELECT count(*) FROM span"), 4_000);
}

#[test]
fn the_row_of_the_run_comes_back_if_it_is_deleted_while_it_goes_on() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).label("still here").build().unwrap();
    let other = Connection::open(scratch.db()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(other.execute("DELETE FROM run", []).unwrap(), 1);
    record(&profiler);
    assert_eq!(other.execute("DELETE FROM run", []).unwrap(), 1);
    let report = profiler.close().unwrap();
    is_whole(&report);
    let db: Database = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.value::<String>("SELECT label FROM run"), "still here");
}
