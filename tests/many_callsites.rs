//! More callsites than any table was made for: no span is lost for it, and each has the name of its own
//! callsite.

use spandrel_tests::made::{make, use_callsite};
use spandrel_tests::prelude::*;
use tracing::dispatcher::Dispatch;
use tracing::metadata::{Kind, Level};

/// So many callsites, of which the first and the last ones get spans.
const CALLSITES: usize = 70_000;
const USED: usize = 5_000;

fn record(install: fn(&Profiler) -> Dispatch) {
    let (scratch, profiler) = recording();
    let dispatch = install(&profiler);
    // Events that nobody keeps come first, and take nothing from anybody.
    for n in 0..5_000 {
        use_callsite(&dispatch, make(format!("event {n}"), Level::TRACE, Kind::EVENT));
    }
    let made: Vec<_> =
        (0..CALLSITES).map(|n| make(format!("site {n}"), Level::INFO, Kind::SPAN)).collect();
    for metadata in &made {
        assert!(!dispatch.register_callsite(metadata).is_never());
    }
    let used = || (0..USED).chain(CALLSITES - USED..CALLSITES);
    used().for_each(|n| use_callsite(&dispatch, made[n]));
    profiler.flush(Duration::from_secs(60)).unwrap();
    // Once more: they are all known now.
    used().rev().for_each(|n| use_callsite(&dispatch, made[n]));
    if profiler.stats().is_crash_proof {
        // A ring file has room for the names of some twenty thousand; what finds none is dropped, and counted.
        let report = profiler.close().unwrap();
        assert_eq!(
            (report.stored, report.dropped.callsites_full),
            (2 * USED as u64, 2 * USED as u64)
        );
        ledger::check(scratch.db(), &report);
        return;
    }
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.stored, 4 * USED as u64);
    assert_eq!(report.callsites, CALLSITES as u64);
    // Ids grow with time: the first round, and then the second one, backwards.
    let names = db.rows("SELECT name FROM spans ORDER BY id", [], |row| row.get::<_, String>(0));
    let wanted = used().chain(used().rev()).map(|n| format!("site {n}"));
    assert!(names.into_iter().eq(wanted));
}

#[test]
fn no_span_is_lost_for_want_of_a_number_of_its_callsite() {
    alone!();
    let _limit = time_limit(300);
    record(dispatch);
}

#[test]
fn nor_in_our_own_subscriber() {
    alone!();
    let _limit = time_limit(300);
    record(|profiler| Dispatch::new(profiler.subscriber()));
}
