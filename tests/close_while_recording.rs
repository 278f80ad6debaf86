//! The profiler closes while eight threads record at full speed: each span ends in one column of
//! the ledger, and the rows in the file are those that the report tells of.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;

#[test]
fn close_while_eight_threads_record() {
    let rounds = rounds(15);
    let _limit = time_limit(60 + rounds);
    for round in 0..rounds {
        let scratch = scratch();
        let profiler = small(scratch.db()).batch_size(512).build().unwrap();
        let dispatch = dispatch(&profiler);
        let (stop, closing) = (AtomicBool::new(false), Barrier::new(9));
        let (spans, events, report) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (dispatch, stop, closing) = (&dispatch, &stop, &closing);
                    scope.spawn(move || {
                        within(dispatch, || {
                            let (mut spans, mut events) = (0_u64, 0_u64);
                            let long = info_span!("long", thread);
                            closing.wait();
                            while !stop.load(Ordering::Relaxed) {
                                let outer = info_span!(parent: &long, "outer", n = spans).entered();
                                info_span!("inner", text = "some text").in_scope(|| info!("in it"));
                                drop(outer);
                                spans += 2;
                                events += 1;
                            }
                            drop(long);
                            (spans + 1, events)
                        })
                    })
                })
                .collect();
            closing.wait();
            // A different moment each round, by what has been recorded and not by the clock.
            while profiler.stats().recorded < round % 100 * 300 {
                ledger::identity(&profiler.stats());
            }
            let report = profiler.close().unwrap();
            ledger::identity(&profiler.stats());
            stop.store(true, Ordering::Relaxed);
            let (mut spans, mut events) = (0, 0);
            for thread in threads {
                let (s, e) = thread.join().unwrap();
                spans += s;
                events += e;
            }
            (spans, events, report)
        });
        // Not `check_complete`: the ring may have been full. The parents were open at the close.
        ledger::check(scratch.db(), &report);
        let stats = profiler.stats();
        ledger::identity(&stats);
        assert_eq!((stats.recorded, stats.events.recorded), (spans, events), "{stats:?}");
        assert_eq!((stats.stored, stats.events.stored), (report.stored, report.events.stored));
        assert_eq!((stats.in_flight, stats.open), (0, 0), "{stats:?}");
    }
}
