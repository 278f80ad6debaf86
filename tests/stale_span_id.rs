//! A program records into a span by an id that it has kept for too long, while another thread closes
//! the span and others take its place. That is a fault of the program's, and must not be its end: nobody
//! panics, and no span is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;
use tracing_core::span::Record;

#[test]
fn a_stale_id_that_is_recorded_while_its_span_closes_does_not_panic() {
    for front in Front::BOTH {
        let scratch = scratch_for(300);
        // Few places, and so the same ones again and again.
        let profiler = small(scratch.db()).max_open_spans(1).build().unwrap();
        let dispatch = front.dispatch(&profiler);
        let spans = rounds(3_000);
        let long = "y".repeat(1_000);
        let (barrier, done) = (Barrier::new(2), AtomicBool::new(false));
        let current = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            let stale = scope.spawn(|| {
                barrier.wait();
                while !done.load(Ordering::Relaxed) {
                    let Some((id, metadata)) = current.lock().unwrap().clone() else { continue };
                    let metadata: &'static tracing::Metadata<'static> = metadata;
                    let fields = metadata.fields();
                    let name = fields.field("x").unwrap();
                    let value = [(&name, Some(&long as &dyn field::Value))];
                    let values = fields.value_set(&value);
                    // What the registry makes of a stale id is not what is tested.
                    let recorded = catch_unwind(AssertUnwindSafe(|| {
                        dispatch.record(&id, &Record::new(&values));
                    }));
                    assert!(recorded.is_ok(), "a panic came out of the profiler");
                }
            });
            within(&dispatch, || {
                barrier.wait();
                for n in 0..spans {
                    let span = info_span!("short", n, x = field::Empty);
                    *current.lock().unwrap() = span.id().zip(span.metadata());
                    span.record("x", long.as_str());
                    drop(span);
                    if n % 100 == 99 {
                        profiler.flush(Duration::from_secs(60)).unwrap();
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
            assert!(stale.join().is_ok());
        });
        let report = profiler.close().unwrap();
        assert_eq!((report.stored, report.stats.unfinished), (spans, 0));
        ledger::check_complete(scratch.db(), &report);
    }
}
