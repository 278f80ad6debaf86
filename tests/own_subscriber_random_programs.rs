//! Random programs of span operations under our own subscriber: it answers as a plain model does, and
//! tells the same story. Spans that are below its level are not even made, and so nobody's parent.

use proptest::prelude::*;
use spandrel_tests::comparison::Sandwich;
use spandrel_tests::programs::{LEVELS, Program, Turns, programs, run};
use spandrel_tests::witness::Witness;
use spandrel_tests::{ledger, scratch, small, time_limit};
use tracing::Dispatch;

fn it_tells_what_the_model_tells(program: &Program, turns: Turns) {
    let scratch = scratch();
    let threshold = LEVELS[program.threshold];
    let builder = small(scratch.db()).spans(LEVELS[program.spans]).events(threshold);
    let profiler = builder.build().unwrap();
    let models = Sandwich::default();
    let dispatch = Dispatch::new(Witness::new(profiler.subscriber(), models.clone()));
    let mut early = None;
    run(program, turns, &dispatch, || {
        if program.close_early {
            early = Some((profiler.close().unwrap(), models.cut()));
        }
    });
    let (report, slices) = early.unwrap_or_else(|| (profiler.close().unwrap(), models.cut()));
    let db = ledger::check_complete(scratch.db(), &report);
    slices.assert_equal(&db, threshold);
    ledger::identity(&profiler.stats());
    assert_eq!(profiler.stats().recorded, report.recorded);
}

fn check(turns: Turns, cases: u32, threads: usize, steps: usize) {
    // PROPTEST_CASES sets another number of cases.
    let is_long = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = ProptestConfig::default().cases.min(if is_long { u32::MAX } else { cases });
    let _limit = time_limit(90 + u64::from(cases) / 4);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&programs(turns, threads, steps), |program| {
            it_tells_what_the_model_tells(&program, turns);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn in_turns() {
    check(Turns::Ordered, 150, 4, 80);
}

#[test]
fn at_once() {
    check(Turns::Free, 40, 8, 800);
}
