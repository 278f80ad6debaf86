//! A future whose one poll takes 100 ms is the first of what blocked a runtime of one thread, with the length
//! that a witness saw; one of a hundred polls of 1 ms, which is as busy, is not above it.

use spandrel_tests::prelude::*;
use spandrel_tests::stalling;

#[test]
fn on_the_only_thread() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let witness = stalling::record(runtime, profiler, &scratch);
    stalling::check(&scratch, &witness);
}
