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
