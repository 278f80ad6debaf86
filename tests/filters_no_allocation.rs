//! Under spans that are filtered out, too, recording allocates nothing after a thread's first span.

use spandrel_tests::allocations::{Counting, during};
use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing_subscriber::Layer;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn round(n: u64) {
    let outer = info_span!("outer", n);
    let hidden = outer.in_scope(|| debug_span!("hidden", n));
    hidden.in_scope(|| {
        info!(n, "event");
        info_span!("plain").in_scope(|| drop(info_span!("fields", n, text = "some text")));
        debug_span!("hidden too").in_scope(|| {
            hidden.in_scope(|| drop(info_span!("inner", n, flag = true)));
            info!(parent: &hidden, n, "event");
        });
        drop(info_span!(parent: &hidden, "named"));
    });
}

#[test]
fn nothing_is_allocated_under_spans_that_are_filtered_out() {
    const ROUNDS: u64 = 500;
    for is_own in [true, false] {
        let scratch = scratch_for(60);
        let level = if is_own { LevelFilter::INFO } else { LevelFilter::TRACE };
        let profiler = small(scratch.db()).spans(level).events(LevelFilter::INFO).build().unwrap();
        let registry = tracing_subscriber::registry();
        let dispatch = match is_own {
            true => Dispatch::new(registry.with(profiler.layer()).with(SeesAll)),
            false => Dispatch::new(
                registry.with(profiler.layer().with_filter(LevelFilter::INFO)).with(SeesAll),
            ),
        };
        let count = within(&dispatch, || {
            round(0); // the thread's first spans, and the first of each callsite
            during(|| (0..ROUNDS).for_each(round))
        });
        assert_eq!(
            count, 0,
            "calls of the allocator in {ROUNDS} rounds, by its own level: {is_own}"
        );
        let (report, db) = ledger::closed(&scratch, &profiler);
        assert_eq!(report.stored, (ROUNDS + 1) * 5);
        let roots = db.count("SELECT count(*) FROM span WHERE parent_id IS NULL");
        assert_eq!(roots, ROUNDS + 1, "only the outer ones");
    }
}
