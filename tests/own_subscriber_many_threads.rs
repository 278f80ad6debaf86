//! Our own subscriber has no limit to the threads: where `Registry` panics above 4,096 live ones, it
//! records. And what threads leave behind when they end is there for others.

use std::sync::Barrier;
use std::thread;

use spandrel_tests::prelude::*;

/// More than `Registry` can tell apart.
const THREADS: usize = 4_500;

#[test]
fn thousands_of_threads_are_in_a_span_at_once() {
    let scratch = scratch_for(120);
    let profiler = small(scratch.db()).max_open_spans(2 * THREADS).build().unwrap();
    let dispatch = Dispatch::new(profiler.subscriber());
    let all_inside = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let spawned = thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, || {
                within(&dispatch, || {
                    info_span!("outer").in_scope(|| {
                        all_inside.wait();
                        info_span!("inner", n = 1).in_scope(|| ());
                    });
                });
            });
            spawned.expect("so many threads");
        }
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.stored, 2 * THREADS as u64);
    assert_eq!(db.count("SELECT count(DISTINCT thread_id) FROM span"), THREADS as u64);
    let wrong = db.count(
        "SELECT count(*) FROM span AS s JOIN span AS p ON p.id = s.parent_id
         WHERE s.thread_id <> p.thread_id",
    );
    assert_eq!(wrong, 0);
}

/// Places go from hand to hand: spans are closed by other threads, which end.
#[test]
fn places_come_back_whoever_closes_the_span() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).max_open_spans(64).build().unwrap();
    let dispatch = Dispatch::new(profiler.subscriber());
    within(&dispatch, || {
        for round in 0..500 {
            let spans: Vec<_> = (0..40).map(|n| info_span!("moved", round, n)).collect();
            thread::scope(|scope| {
                scope.spawn(|| within(&dispatch, || drop(spans)));
            });
        }
    });
    let (report, _) = ledger::closed(&scratch, &profiler);
    assert_eq!((report.stored, report.stats.open), (20_000, 0));
}
