//! A panic in the writer costs the batch in which it happens, and nothing else.

use spandrel::Fault;
use spandrel_tests::prelude::*;

#[test]
fn a_panic_in_a_batch_costs_that_batch_only() {
    for batch in 1..=4 {
        let scratch = scratch_for(60);
        let hour = Duration::from_secs(3_600);
        let profiler = small(scratch.db())
            .flush_interval(hour)
            .fault(Fault::PanicInBatch(batch))
            .build()
            .unwrap();
        let dispatch = dispatch(&profiler);
        for round in 0..6 {
            within(&dispatch, || {
                for n in 0..100 {
                    info_span!("work", round, n).in_scope(|| info!("inside"));
                }
            });
            // The flush of the batch that panics may say so.
            let _ = profiler.flush(Duration::from_secs(10));
            ledger::identity(&profiler.stats());
        }
        let error = profiler.stats().last_error.expect("the panic is told");
        assert!(error.contains("panic"), "{error}");
        let report = profiler.close().unwrap();
        let db = ledger::check(scratch.db(), &report);
        assert_eq!((report.recorded, report.events.recorded), (600, 600));
        let dropped = report.dropped;
        assert!(dropped.writer_panic > 0 && report.stored >= 300, "{report}");
        assert_eq!(dropped.total(), dropped.writer_panic, "{dropped}");
        let last = "SELECT count(*) FROM span WHERE fields ->> 'round' = 5";
        assert_eq!(db.count(last), 100, "the writer goes on");
    }
}

#[test]
fn a_panic_in_the_last_batch_does_not_reach_close() {
    let scratch = scratch_for(60);
    let hour = Duration::from_secs(3_600);
    let profiler =
        small(scratch.db()).flush_interval(hour).fault(Fault::PanicInBatch(1)).build().unwrap();
    within(&dispatch(&profiler), || (0..100).for_each(|n| drop(info_span!("work", n))));
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 100);
    ledger::check(scratch.db(), &report);
}
