//! Random programs whose threads run freely: whatever the interleaving was, spandrel tells what the
//! model saw of it.

use spandrel_tests::programs::Turns;
use spandrel_tests::random_programs::{for_each, under_the_layer};

#[test]
fn spandrel_and_the_model_agree_when_threads_run_freely() {
    for_each(Turns::Free, 40, (8, 800), |program| under_the_layer(program, Turns::Free));
}
