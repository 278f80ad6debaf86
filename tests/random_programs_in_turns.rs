//! Random programs of span operations, step by step over several threads: spandrel and a plain
//! model in the same `Registry` tell the same story. Trees, fields, statuses, entries, links, events
//! and the shape of the times are equal; the profiler's clock readings lie between the model's.

use spandrel_tests::programs::Turns;
use spandrel_tests::random_programs::{for_each, under_the_layer};

#[test]
fn spandrel_and_the_model_agree_on_random_programs() {
    for_each(Turns::Ordered, 150, (4, 80), |program| under_the_layer(program, Turns::Ordered));
}
