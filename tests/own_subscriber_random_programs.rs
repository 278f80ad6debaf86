//! Random programs of span operations under our own subscriber: it answers as a plain model does, and
//! tells the same story. Spans that are below its level are not even made, and so nobody's parent.

use spandrel_tests::comparison::Sandwich;
use spandrel_tests::prelude::*;
use spandrel_tests::programs::{LEVELS, Program, Turns};
use spandrel_tests::random_programs::{compare, for_each};
use spandrel_tests::witness::Witness;

fn it_tells_what_the_model_tells(program: &Program, turns: Turns) {
    let scratch = scratch();
    let (spans, events) = (LEVELS[program.spans], LEVELS[program.threshold]);
    let profiler = small(scratch.db()).spans(spans).events(events).build().unwrap();
    let models = Sandwich::default();
    let dispatch = Dispatch::new(Witness::new(profiler.subscriber(), models.clone()));
    compare(program, turns, &dispatch, &models, (&scratch, &profiler));
}

fn check(turns: Turns, cases: u32, size: (usize, usize)) {
    for_each(turns, cases, size, |program| it_tells_what_the_model_tells(program, turns));
}

#[test]
fn in_turns() {
    check(Turns::Ordered, 150, (4, 80));
}

#[test]
fn at_once() {
    check(Turns::Free, 40, (8, 800));
}
