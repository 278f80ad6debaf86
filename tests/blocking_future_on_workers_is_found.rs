//! The same with a runtime of several threads, whose blocking pool has the same names.

use spandrel_tests::prelude::*;
use spandrel_tests::stalling;

#[test]
fn on_one_of_the_workers() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let witness = stalling::record(runtime, profiler, &scratch);
    stalling::check(&scratch, &witness);
}
