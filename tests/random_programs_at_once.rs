//! Random programs whose threads run freely: whatever the interleaving was, spandrel tells what the
//! model saw of it.

use proptest::prelude::*;
use spandrel_tests::comparison::Sandwich;
use spandrel_tests::programs::{LEVELS, Program, Turns, programs, run};
use spandrel_tests::{ledger, scratch, small, time_limit};
use tracing::Dispatch;
use tracing_subscriber::prelude::*;

fn spandrel_tells_what_the_model_saw(program: &Program) {
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
    run(program, Turns::Free, &dispatch, || {
        if program.close_early {
            early = Some((profiler.close().unwrap(), models.cut()));
        }
    });
    let (report, slices) = early.unwrap_or_else(|| (profiler.close().unwrap(), models.cut()));
    let db = ledger::check_complete(scratch.db(), &report);
    slices.assert_equal(&db, threshold);
}

#[test]
fn spandrel_and_the_model_agree_when_threads_run_freely() {
    let long = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = ProptestConfig::default().cases.min(if long { u32::MAX } else { 40 });
    let _limit = time_limit(90 + u64::from(cases) / 4);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&programs(Turns::Free, 8, 800), |program| {
            spandrel_tells_what_the_model_saw(&program);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
