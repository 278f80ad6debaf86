//! `tracing` is told what is below all levels, so that it is not even made; and no layer beside ours
//! gets less than without it. The most verbose level is that of all subscribers of the process, so this is
//! one test in a process of its own.

use spandrel_tests::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, registry, reload};

/// As `fmt` and most others: says nothing of what it wants, which is everything.
struct NoHint;

impl<S: Subscriber> Layer<S> for NoHint {}

fn no_hint() -> Option<NoHint> {
    Some(NoHint)
}

fn quiet<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    fmt::layer().with_writer(std::io::sink)
}

const DEBUG: LevelFilter = LevelFilter::DEBUG;
const INFO: LevelFilter = LevelFilter::INFO;
const TRACE: LevelFilter = LevelFilter::TRACE;
const WARN: LevelFilter = LevelFilter::WARN;

#[test]
fn what_is_below_all_levels_is_not_made_and_nobody_else_gets_less() {
    alone!();
    let scratch = scratch_for(60);
    let building =
        |set: fn(ProfilerBuilder) -> ProfilerBuilder| set(small(scratch.db())).build().unwrap();
    let check = |what: &str, wanted: LevelFilter, make: &dyn Fn(&Profiler) -> Dispatch| {
        let profiler = building(|builder| builder);
        let dispatch = make(&profiler);
        assert_eq!(LevelFilter::current(), wanted, "{what}");
        drop(dispatch);
        profiler.close().unwrap();
    };

    check("alone", DEBUG, &|p| Dispatch::new(registry().with(p.layer())));
    check("alone, boxed", DEBUG, &|p| Dispatch::new(registry().with(p.layer().boxed())));
    check("alone, as an option", DEBUG, &|p| Dispatch::new(registry().with(Some(p.layer()))));
    check("below one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(NoHint))
    });
    check("above one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(NoHint).with(p.layer()))
    });
    check("below fmt", TRACE, &|p| Dispatch::new(registry().with(p.layer()).with(quiet())));
    check("between two", TRACE, &|p| {
        Dispatch::new(registry().with(NoHint).with(p.layer()).with(NoHint))
    });
    check("below one that is not there", DEBUG, &|p| {
        Dispatch::new(registry().with(p.layer()).with(None::<NoHint>))
    });
    check("below one that is not there and one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(None::<NoHint>).with(no_hint()))
    });
    check("above one that is not there, below one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(None::<NoHint>).with(p.layer()).with(NoHint))
    });
    check("above one that is not there", DEBUG, &|p| {
        Dispatch::new(registry().with(None::<NoHint>).with(p.layer()))
    });

    // A layer with a filter of its own wants what that says.
    check("below a filtered one", DEBUG, &|p| {
        Dispatch::new(registry().with(p.layer()).with(quiet().with_filter(INFO)))
    });
    check("above a filtered one", DEBUG, &|p| {
        Dispatch::new(registry().with(quiet().with_filter(INFO)).with(p.layer()))
    });
    check("below a filtered one that wants all", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(quiet().with_filter(TRACE)))
    });
    check("above a filtered one, below one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(quiet().with_filter(INFO)).with(p.layer()).with(NoHint))
    });
    check("below one without a hint, and that below a filtered one", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(NoHint).with(quiet().with_filter(INFO)))
    });
    check("below a filtered one, and that below one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(quiet().with_filter(INFO)).with(NoHint))
    });

    // A filter of all layers is a limit for those without a hint, too.
    check("with a filter of all at the bottom", DEBUG, &|p| {
        Dispatch::new(registry().with(EnvFilter::new("info")).with(p.layer()).with(NoHint))
    });
    check("with a filter of all in the middle", INFO, &|p| {
        Dispatch::new(registry().with(p.layer()).with(EnvFilter::new("info")).with(NoHint))
    });
    check("with a filter of all at the top", INFO, &|p| {
        Dispatch::new(registry().with(p.layer()).with(NoHint).with(EnvFilter::new("info")))
    });

    // In a tree or under a handle nobody tells it what is beside it.
    check("in a vector with one without a hint", TRACE, &|p| {
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
            vec![p.layer().boxed(), NoHint.boxed()];
        Dispatch::new(registry().with(layers))
    });
    check("put together before", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer().and_then(NoHint)))
    });
    check("put together before, the other way", TRACE, &|p| {
        Dispatch::new(registry().with(NoHint.and_then(p.layer())))
    });
    check("reloadable, below one without a hint", TRACE, &|p| {
        let (layer, _handle) = reload::Layer::new(p.layer());
        Dispatch::new(registry().with(layer).with(NoHint))
    });
    check("two of them below one without a hint", TRACE, &|p| {
        Dispatch::new(registry().with(p.layer()).with(p.layer()).with(NoHint))
    });

    // Our own subscriber is always alone.
    check("a subscriber", DEBUG, &|p| Dispatch::new(p.subscriber()));
    check("a subscriber up to INFO", INFO, &|p| {
        Dispatch::new(p.subscriber().with_max_level(Level::INFO))
    });

    // Levels and filter are in it, whichever is the most verbose.
    for (set, wanted) in [
        (
            (|b| b.spans(WARN).events(LevelFilter::OFF)) as fn(ProfilerBuilder) -> ProfilerBuilder,
            WARN,
        ),
        (|b| b.spans(WARN).events(INFO), INFO),
        (|b| b.filter("my_app=trace,h2=off"), TRACE),
        (|b| b.filter("warn,my_app=info"), INFO),
        (|b| b.spans(LevelFilter::OFF).events(LevelFilter::OFF), LevelFilter::OFF),
    ] {
        let profiler = building(set);
        let dispatch = Dispatch::new(registry().with(profiler.layer()));
        assert_eq!(LevelFilter::current(), wanted);
        drop(dispatch);
        profiler.close().unwrap();
    }

    // It follows the filter.
    let profiler = building(|builder| builder);
    let layer = profiler.layer();
    let filter = layer.filter_handle();
    let dispatch = Dispatch::new(registry().with(layer));
    filter.set_max_level(TRACE);
    assert_eq!(LevelFilter::current(), TRACE);
    filter.set("my_app=warn".parse().unwrap());
    assert_eq!(LevelFilter::current(), WARN);
    drop(dispatch);
    profiler.close().unwrap();

    // A layer that is not there says what `None` says.
    let absent = Profiler::disabled();
    let wants = |make: &dyn Fn() -> Dispatch| {
        let _dispatch = make();
        LevelFilter::current()
    };
    for (with, without) in [
        (
            wants(&|| Dispatch::new(registry().with(absent.layer()).with(NoHint))),
            wants(&|| Dispatch::new(registry().with(NoHint))),
        ),
        (
            wants(&|| {
                Dispatch::new(registry().with(absent.layer()).with(quiet().with_filter(INFO)))
            }),
            wants(&|| Dispatch::new(registry().with(quiet().with_filter(INFO)))),
        ),
        (
            wants(&|| Dispatch::new(registry().with(NoHint).with(absent.layer()))),
            wants(&|| Dispatch::new(registry().with(NoHint))),
        ),
        (
            wants(&|| {
                Dispatch::new(registry().with(quiet().with_filter(INFO)).with(absent.layer()))
            }),
            wants(&|| Dispatch::new(registry().with(quiet().with_filter(INFO)))),
        ),
    ] {
        assert_eq!(with, without);
    }
}
