//! Threads that find no free partition share one: nobody is refused for that, and the partitions of
//! threads that have ended are taken again.

use std::sync::Barrier;

use spandrel_tests::prelude::*;

#[test]
fn forty_threads_record_through_two_partitions_and_the_shared_one() {
    let scratch = scratch_for(60);
    let profiler = spandrel::Profiler::builder()
        .database(scratch.db())
        .partitions(2)
        .ring_capacity(65_536)
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    for _ in 0..3 {
        let start = Barrier::new(40);
        std::thread::scope(|scope| {
            for thread in 0..40 {
                let (dispatch, start) = (&dispatch, &start);
                scope.spawn(move || {
                    within(dispatch, || {
                        // All hold what they have leased when the last one comes.
                        drop(info_span!("first", thread));
                        start.wait();
                        for n in 0..100 {
                            info_span!("outer", thread, n)
                                .in_scope(|| drop(info_span!("inner", thread, n)));
                        }
                        start.wait();
                    });
                });
            }
        });
    }
    let stats = profiler.stats();
    ledger::identity(&stats);
    assert_eq!(stats.recorded, 3 * 40 * 201);
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    // Contention and a full ring are allowed, and counted; nothing else is.
    let dropped = report.dropped;
    assert_eq!(dropped.total(), dropped.contended + dropped.ring_full, "{dropped}");
    assert!(report.stored > report.recorded / 2, "{report}");
    assert_eq!(db.count("SELECT count(DISTINCT thread_id) FROM span"), 120);
}
