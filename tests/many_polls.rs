//! A span that is entered more often than its place counts in one word: every poll is in the row, by
//! its owner and by others, beside ordinary spans.

use spandrel_tests::prelude::*;

const POLLS: u64 = 150_000;

#[test]
fn every_poll_counts() {
    let (scratch, profiler) = recording_for(100);
    let dispatch = dispatch(&profiler);
    let span = within(&dispatch, || {
        let span = info_span!("polled", field = 1);
        for n in 0..POLLS {
            span.in_scope(|| {
                if n % 50_000 == 0 {
                    // Twice inside is one poll.
                    span.in_scope(|| drop(info_span!("below", n)));
                }
            });
        }
        span
    });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                within(&dispatch, || (0..POLLS / 10).for_each(|_| span.in_scope(|| {})));
            });
        }
    });
    within(&dispatch, || drop(span));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let span = db.span("polled");
    assert_eq!(span.entries as u64, POLLS + 2 * (POLLS / 10));
    assert!(span.busy_ns > 0, "{span:?}");
    let below = db.count(&format!("SELECT count(*) FROM span WHERE parent_id = {}", span.id));
    assert_eq!(below, POLLS / 50_000);
}
