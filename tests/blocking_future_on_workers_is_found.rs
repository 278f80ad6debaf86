//! The same with a runtime of several threads, whose blocking pool has the same names.

use spandrel_tests::{scratch, small, stalling, time_limit};

#[test]
fn on_one_of_the_workers() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let witness = stalling::record(runtime, profiler, &scratch);
    stalling::check(&scratch, &witness);
}
