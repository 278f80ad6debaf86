//! Random programs of which a part of the spans is filtered out for us: by the layer's own levels, by a filter
//! around it, by one that has another mind each time. Whatever is left, spandrel tells what a plain model
//! inside the same filter tells: parents are those that `Context::span(..).parent()` finds there, and events
//! are in the nearest span that is left.

use spandrel::ProfilerLayer;
use spandrel_tests::comparison::Sandwich;
use spandrel_tests::model::Model;
use spandrel_tests::prelude::*;
use spandrel_tests::programs::{LEVELS, Program, Turns, is_hidden};
use spandrel_tests::random_programs::{compare, for_each};
use tracing_subscriber::filter::{dynamic_filter_fn, filter_fn};
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
    compare(program, turns, &dispatch, &models, (&scratch, &profiler));
}

fn check(turns: Turns, install: Install, is_own: bool) {
    let (cases, size) = match turns {
        Turns::Ordered => (100, (4, 80)),
        Turns::Free => (15, (8, 800)),
    };
    for_each(turns, cases, size, |program| {
        it_tells_what_the_model_tells(program, turns, install, is_own);
    });
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
