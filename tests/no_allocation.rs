//! After a thread's first span, recording allocates nothing and frees nothing on that thread.

use spandrel_tests::allocations::Counting;
use spandrel_tests::prelude::*;
use spandrel_tests::unallocated;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_after_a_threads_first_span() {
    unallocated::check_all(|profiler| {
        tracing_subscriber::registry().with(profiler.layer()).init();
    });
}

#[test]
#[cfg(feature = "gauges")]
fn a_gauge_that_is_known_allocates_nothing_however_often_it_is_sampled() {
    use spandrel_tests::allocations::during;
    let scratch = scratch_for(60);
    let builder = small(scratch.db()).gauge_interval(Duration::from_millis(1));
    let profiler = builder.build().unwrap();
    let kept = profiler.gauge("kept");
    let recorded = || profiler.stats().gauges.recorded;
    let set = || {
        kept.set(1);
        kept.add(2.5);
        profiler.gauge("looked up").set(f64::NAN);
    };
    // The tables of the map have their size after some samples.
    while recorded() < 20 {
        set();
    }
    let mut calls = 0;
    let until = recorded() + 100;
    while recorded() < until {
        calls += during(set);
    }
    assert_eq!(calls, 0);
}
