//! Sixteen threads close at once: one closing happens, and all get the same report.

use std::sync::Barrier;

use spandrel_tests::prelude::*;

#[test]
fn sixteen_threads_close_at_once_and_get_the_same_report() {
    let rounds = rounds(20);
    let _limit = time_limit(60 + rounds);
    for _ in 0..rounds {
        let (scratch, profiler) = recording();
        let dispatch = dispatch(&profiler);
        within(&dispatch, || (0..100).for_each(|n| drop(info_span!("work", n))));
        let start = Barrier::new(16);
        let reports: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    let profiler = profiler.clone();
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        profiler.close().unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((reports[0].recorded, reports[0].stored), (100, 100));
        for report in &reports {
            assert_eq!(report, &reports[0], "one closing, told sixteen times");
        }
        ledger::check_complete(scratch.db(), &reports[0]);
    }
}
