//! Callsites that several threads meet at the same moment: each is counted once, kept or below the level.

use std::sync::Barrier;
use std::thread;

use spandrel_tests::database::Database;
use spandrel_tests::made::{make, use_callsite};
use spandrel_tests::prelude::*;
use tracing::Metadata;
use tracing::dispatcher::Dispatch;
use tracing::metadata::{Kind, Level};

/// Of these every fifth is below the level.
const CALLSITES: usize = 2_000;
const BELOW: u64 = CALLSITES as u64 / 5;
const THREADS: usize = 4;
/// As some meet, and not all.
const ROUNDS: usize = 5;

fn callsites() -> Vec<&'static Metadata<'static>> {
    let level = |n| if n % 5 == 0 { Level::TRACE } else { Level::INFO };
    (0..CALLSITES).map(|n| make(format!("site {n}"), level(n), Kind::SPAN)).collect()
}

/// Has all threads come to all callsites, side by side, each as a macro does. Whoever is first at one waits for
/// nobody, so that all of them are at the front again and again.
fn meet(dispatch: &Dispatch, callsites: &[&'static Metadata<'static>], meanwhile: impl FnOnce()) {
    let together = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                callsites.iter().for_each(|metadata| use_callsite(dispatch, metadata));
            });
        }
        together.wait();
        meanwhile();
    });
}

/// Kept, and below the level; what the report says, the file says, too.
fn counted(scratch: &Scratch, report: &Report) -> (u64, u64) {
    let db = Database::open(scratch.db());
    let stored = |what| db.count(&format!("SELECT report ->> '$.callsites.{what}' FROM run"));
    assert_eq!(stored("kept"), report.callsites);
    assert_eq!(stored("below_level"), report.callsites_below_level);
    (report.callsites, report.callsites_below_level)
}

fn record(install: fn(&Profiler) -> Dispatch) {
    for _ in 0..ROUNDS {
        let (scratch, profiler) = recording();
        meet(&install(&profiler), &callsites(), || ());
        let report = profiler.close().unwrap();
        assert_eq!(counted(&scratch, &report), (CALLSITES as u64 - BELOW, BELOW));
        assert_eq!(report.stored, THREADS as u64 * report.callsites, "{report}");
    }
}

#[test]
fn a_callsite_that_several_threads_meet_at_once_is_counted_once() {
    alone!();
    let _limit = time_limit(300);
    record(dispatch);
}

#[test]
fn nor_does_our_own_subscriber_count_it_twice() {
    alone!();
    let _limit = time_limit(300);
    record(|profiler| Dispatch::new(profiler.subscriber()));
}

#[test]
fn nor_is_one_counted_twice_whose_level_is_changed_meanwhile() {
    alone!();
    let (scratch, profiler) = recording_for(300);
    let subscriber = profiler.subscriber();
    let filter = subscriber.filter_handle();
    let dispatch = Dispatch::new(subscriber);
    meet(&dispatch, &callsites(), || {
        for level in [LevelFilter::OFF, LevelFilter::INFO].into_iter().cycle().take(100) {
            filter.set_max_level(level);
            let stats = profiler.stats();
            let most = stats.callsites.max(stats.callsites_below_level);
            assert!(most <= CALLSITES as u64, "{stats:?}");
        }
    });
    let report = profiler.close().unwrap();
    assert_eq!(counted(&scratch, &report), (CALLSITES as u64 - BELOW, BELOW));
}
