//! A batch gets lost on its way and nobody counts it: the ledger shows that it is wrong.

use spandrel::Fault;
use spandrel_tests::prelude::*;

#[test]
fn a_batch_that_is_lost_uncounted_does_not_balance() {
    let scratch = scratch_for(60);
    let hour = Duration::from_secs(3_600);
    let profiler =
        small(scratch.db()).flush_interval(hour).fault(Fault::LoseBatch(2)).build().unwrap();
    let dispatch = dispatch(&profiler);
    for round in 0..3 {
        within(&dispatch, || {
            (0..100).for_each(|n| info_span!("work", n).in_scope(|| info!("inside")));
        });
        profiler.flush(Duration::from_secs(10)).unwrap();
        let stats = profiler.stats();
        assert_eq!(stats.balances(), round == 0, "{stats}");
        assert_eq!(stats.recorded, 100 * (round + 1));
    }
    let report = profiler.close().unwrap();
    assert!(!report.spans().balances() && !report.events.balances(), "{report}");
    assert!(report.links.balances());
    assert_eq!((report.recorded, report.stored, report.in_flight), (300, 200, 0), "{report}");
    assert_eq!(Database::open(scratch.db()).count("SELECT count(*) FROM span"), 200);
}
