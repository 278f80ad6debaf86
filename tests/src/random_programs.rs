//! Random programs under a profiler between two models: it tells what they tell.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::TestRunner;
use spandrel::Profiler;
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

use crate::comparison::Sandwich;
use crate::programs::{LEVELS, Program, Turns, programs, run};
use crate::{Scratch, ledger, scratch, small, time_limit};

/// Checks `cases` programs of at most so many threads and steps, or as many as `PROPTEST_CASES` says.
pub fn for_each(
    turns: Turns,
    cases: u32,
    (threads, steps): (usize, usize),
    check: impl Fn(&Program),
) {
    let is_long = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = ProptestConfig::default().cases.min(if is_long { u32::MAX } else { cases });
    let _limit = time_limit(90 + u64::from(cases) / 4);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let each = |program| {
        check(&program);
        Ok(())
    };
    let result = TestRunner::new(config).run(&programs(turns, threads, steps), each);
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Runs a program under `dispatch`, where both models are beside the profiler; the file says what they say.
pub fn compare(
    program: &Program,
    turns: Turns,
    dispatch: &Dispatch,
    models: &Sandwich,
    (scratch, profiler): (&Scratch, &Profiler),
) {
    let close = || (profiler.close().expect("it was open"), models.cut());
    let mut early = None;
    run(program, turns, dispatch, || early = program.close_early.then(close));
    let (report, slices) = early.unwrap_or_else(close);
    let db = ledger::check_complete(scratch.db(), &report);
    slices.assert_equal(&db, LEVELS[program.threshold]);
    // What closed after the profiler did is no second span.
    ledger::identity(&profiler.stats());
    assert_eq!(profiler.stats().recorded, report.recorded);
}

/// A program under the layer, in a `Registry` with both models.
pub fn under_the_layer(program: &Program, turns: Turns) {
    let scratch = scratch();
    let builder = small(scratch.db()).events(LEVELS[program.threshold]);
    let profiler = builder.build().expect("a profiler");
    let models = Sandwich::default();
    let layers = tracing_subscriber::registry().with(models.below.clone()).with(profiler.layer());
    let dispatch = Dispatch::new(layers.with(models.above.clone()));
    compare(program, turns, &dispatch, &models, (&scratch, &profiler));
}
