//! Random programs of which a part of the spans is filtered out for us: by the layer's own levels, by a filter
//! around it, by one that has another mind each time. Whatever is left, spandrel tells what a plain model
//! inside the same filter tells: parents are those that `Context::span(..).parent()` finds there, and events
//! are in the nearest span that is left.

use proptest::prelude::*;
use spandrel::ProfilerLayer;
use spandrel_tests::comparison::Sandwich;
use spandrel_tests::model::Model;
use spandrel_tests::programs::{LEVELS, Program, Turns, is_hidden, programs, run};
use spandrel_tests::{ledger, scratch, small, time_limit};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level};
use tracing_subscriber::filter::{dynamic_filter_fn, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

/// Puts layer and models together under filters, above a model that sees all; spans of this level are kept.
type Install = fn(Model, ProfilerLayer<Base>, Sandwich, Level) -> Dispatch;
type Base = tracing_subscriber::layer::Layered<Model, tracing_subscriber::Registry>;

/// The layer's own level. Only the models have a filter of `tracing-subscriber`'s.
fn own_level(all: Model, ours: ProfilerLayer<Base>, models: Sandwich, level: Level) -> Dispatch {
    let filter = || filter_fn(move |metadata| metadata.is_event() || *metadata.level() <= level);
    let (below, above) = (models.below.with_filter(filter()), models.above.with_filter(filter()));
    let registry = tracing_subscriber::registry().with(all);
    Dispatch::new(registry.with(below.and_then(ours).and_then(above)))
}

fn one_filter(all: Model, ours: ProfilerLayer<Base>, models: Sandwich, level: Level) -> Dispatch {
    let filter = filter_fn(move |metadata| metadata.is_event() || *metadata.level() <= level);
    let layers = models.below.and_then(ours).and_then(models.above).with_filter(filter);
    Dispatch::new(tracing_subscriber::registry().with(all).with(layers))
}

/// Two filters around it, of which one may decide another way each time; and a layer that can be changed.
fn two_filters(all: Model, ours: ProfilerLayer<Base>, models: Sandwich, level: Level) -> Dispatch {
    let by_level = filter_fn(move |metadata| metadata.is_event() || *metadata.level() <= level);
    let by_mood = dynamic_filter_fn(|metadata, _| metadata.is_event() || !is_hidden());
    let (ours, _handle) = reload::Layer::new(ours);
    let layers = models.below.and_then(ours).and_then(models.above);
    let layers = layers.with_filter(by_mood).with_filter(by_level);
    Dispatch::new(tracing_subscriber::registry().with(all).with(layers))
}

fn it_tells_what_the_model_tells(program: &Program, turns: Turns, install: Install, is_own: bool) {
    let scratch = scratch();
    let (threshold, level) = (LEVELS[program.threshold], LEVELS[program.spans]);
    let spans = if is_own { LevelFilter::from_level(level) } else { LevelFilter::TRACE };
    let profiler = small(scratch.db()).spans(spans).events(threshold).build().unwrap();
    let all = Model::default();
    let models = Sandwich::beside(&all);
    let dispatch = install(all, profiler.layer(), models.clone(), level);
    let mut early = None;
    run(program, turns, &dispatch, || {
        if program.close_early {
            early = Some((profiler.close().unwrap(), models.cut()));
        }
    });
    let (report, slices) = early.unwrap_or_else(|| (profiler.close().unwrap(), models.cut()));
    let db = ledger::check_complete(scratch.db(), &report);
    slices.assert_equal(&db, threshold);
}

fn check(turns: Turns, install: Install, is_own: bool) {
    let (most, threads, steps) = match turns {
        Turns::Ordered => (100, 4, 80),
        Turns::Free => (15, 8, 800),
    };
    // PROPTEST_CASES sets another number of cases.
    let is_long = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = ProptestConfig::default().cases.min(if is_long { u32::MAX } else { most });
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
            it_tells_what_the_model_tells(&program, turns, install, is_own);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn by_its_own_level_in_turns() {
    check(Turns::Ordered, own_level, true);
}

#[test]
fn by_its_own_level_at_once() {
    check(Turns::Free, own_level, true);
}

#[test]
fn by_a_filter_in_turns() {
    check(Turns::Ordered, one_filter, false);
}

#[test]
fn by_a_filter_at_once() {
    check(Turns::Free, one_filter, false);
}

#[test]
fn by_two_filters_in_turns() {
    check(Turns::Ordered, two_filters, false);
}

#[test]
fn by_two_filters_at_once() {
    check(Turns::Free, two_filters, false);
}
