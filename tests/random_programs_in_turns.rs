//! Random programs of span operations, step by step over several threads: spandrel and a plain
//! model in the same `Registry` tell the same story. Trees, fields, statuses, entries, links, events
//! and the shape of the times are equal; the profiler's clock readings lie between the model's.

use proptest::prelude::*;
use spandrel_tests::comparison::Sandwich;
use spandrel_tests::programs::{LEVELS, Program, Turns, programs, run};
use spandrel_tests::{ledger, scratch, small, time_limit};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

fn spandrel_tells_what_the_model_tells(program: &Program) {
    let scratch = scratch();
    let threshold = LEVELS[program.threshold];
    let profiler = small(scratch.db()).events(threshold).build().unwrap();
    let models = Sandwich::default();
    let dispatch = Dispatch::new(
        tracing_subscriber::registry()
            .with(models.below.clone())
            .with(profiler.layer())
            .with(models.above.clone()),
    );
    let mut early = None;
    run(program, Turns::Ordered, &dispatch, || {
        if program.close_early {
            early = Some((profiler.close().unwrap(), models.cut()));
        }
    });
    let (report, slices) = early.unwrap_or_else(|| (profiler.close().unwrap(), models.cut()));
    let db = ledger::check_complete(scratch.db(), &report);
    slices.assert_equal(&db, threshold);
    // What closed after the profiler did is no second span.
    ledger::identity(&profiler.stats());
    assert_eq!(profiler.stats().recorded, report.recorded);
}

#[test]
fn spandrel_and_the_model_agree_on_random_programs() {
    let _limit = time_limit(90 + u64::from(ProptestConfig::default().cases) / 4);
    // PROPTEST_CASES sets another number of cases.
    let cases = ProptestConfig::default().cases.min(if long() { u32::MAX } else { 150 });
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&programs(Turns::Ordered, 4, 80), |program| {
            spandrel_tells_what_the_model_tells(&program);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn long() -> bool {
    std::env::var_os("PROPTEST_CASES").is_some()
}
