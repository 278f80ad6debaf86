//! A full ring: the newest is dropped and counted, the program is never held up, the identity holds
//! at every look, and the losses stand in the file with their windows.

use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;

#[test]
fn a_full_ring_drops_and_counts() {
    let rounds = rounds(1);
    let _limit = time_limit(60 * rounds);
    (0..rounds).for_each(|_| fill_a_ring());
}

fn fill_a_ring() {
    let scratch = scratch();
    let profiler = spandrel::Profiler::builder()
        .database(scratch.db())
        .partitions(2)
        .ring_capacity(16)
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    let done = AtomicBool::new(false);
    let (spans, events) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (profiler, dispatch, done) = (&profiler, &dispatch, &done);
                scope.spawn(move || {
                    within(dispatch, || {
                        let mut n = 0_u64;
                        // Each commit of a batch takes the writer away long enough.
                        while n < 10_000 || profiler.stats().dropped.ring_full == 0 {
                            info_span!("work", thread, n).in_scope(|| info!(n));
                            n += 1;
                        }
                        done.store(true, Ordering::Relaxed);
                        (n, n)
                    })
                })
            })
            .collect();
        while !done.load(Ordering::Relaxed) {
            ledger::identity(&profiler.stats());
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    });
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    assert_eq!((report.recorded, report.events.recorded), (spans, events));
    assert!(report.dropped.ring_full > 0 && report.stored > 0, "{report}");
    let dropped = report.dropped;
    assert_eq!(dropped.total(), dropped.ring_full + dropped.contended, "{dropped}");
    // A span is stored whole or not at all.
    for span in db.spans() {
        assert_eq!((span.status.as_str(), span.entries), ("ok", 1));
        assert_eq!(span.fields.names(), ["n", "thread"]);
    }
    // The view for people says the same.
    let seen = db.count("SELECT sum(spans) FROM losses");
    assert_eq!(seen, report.dropped.total());
    assert_eq!(db.value::<String>("SELECT complete FROM runs"), "no");
}
