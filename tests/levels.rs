//! What is kept: a level for spans, one for events, and targets of their own; in both front ends, without
//! any filter of `tracing-subscriber`, and changed while the program runs.

use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing::trace;

fn beside_others(profiler: &Profiler) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(profiler.layer()).with(SeesAll))
}

fn alone(profiler: &Profiler) -> Dispatch {
    Dispatch::new(profiler.subscriber())
}

type Install = fn(&Profiler) -> Dispatch;
const FRONT_ENDS: [Install; 3] = [beside_others, dispatch, alone];

fn record(
    set: impl Fn(ProfilerBuilder) -> ProfilerBuilder,
    install: impl Fn(&Profiler) -> Dispatch,
    body: impl Fn(),
) -> (Scratch, Database) {
    let scratch = scratch();
    let profiler = set(small(scratch.db())).build().unwrap();
    within(&install(&profiler), body);
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    (scratch, db)
}

fn names(db: &Database) -> Vec<String> {
    db.rows("SELECT name FROM spans ORDER BY id", [], |row| row.get(0))
}

fn messages(db: &Database) -> Vec<String> {
    db.events().into_iter().filter_map(|event| event.message).collect()
}

fn all_levels() {
    drop(trace_span!("trace"));
    drop(debug_span!("debug"));
    drop(info_span!("info"));
    trace!("trace");
    debug!("debug");
    info!("info");
}

#[test]
fn by_default_spans_are_kept_from_debug_on_and_events_from_info_on() {
    alone!();
    let _limit = time_limit(60);
    for install in FRONT_ENDS {
        let (_scratch, db) = record(|builder| builder, install, all_levels);
        assert_eq!(names(&db), ["debug", "info"]);
        assert_eq!(messages(&db), ["info"]);
    }
}

#[test]
fn spans_and_events_have_a_level_each() {
    alone!();
    let _limit = time_limit(60);
    for install in FRONT_ENDS {
        let set = |builder: ProfilerBuilder| builder.spans(Level::TRACE).events(LevelFilter::OFF);
        let (_scratch, db) = record(set, install, all_levels);
        assert_eq!(names(&db), ["trace", "debug", "info"]);
        assert_eq!(messages(&db), [""; 0]);
        let set = |builder: ProfilerBuilder| builder.spans(LevelFilter::OFF).events(Level::TRACE);
        let (_scratch, db) = record(set, install, all_levels);
        assert_eq!(names(&db), [""; 0]);
        assert_eq!(messages(&db), ["trace", "debug", "info"]);
    }
}

#[test]
fn a_target_that_the_filter_names_has_its_own_level() {
    alone!();
    let _limit = time_limit(60);
    for install in FRONT_ENDS {
        let set = |builder: ProfilerBuilder| builder.filter("mine=trace,h2=off,mine::quiet=warn");
        let (_scratch, db) = record(set, install, || {
            drop(trace_span!(target: "mine", "mine"));
            drop(trace_span!(target: "mine::inner", "inner"));
            drop(info_span!(target: "mine::quiet::below", "quiet"));
            drop(info_span!(target: "h2::codec", "frame"));
            drop(trace_span!(target: "other", "other trace"));
            drop(debug_span!(target: "other", "other debug"));
            trace!(target: "mine", "mine");
            info!(target: "mine::quiet", "quiet");
            error!(target: "h2", "frame");
            debug!(target: "other", "other debug");
            info!(target: "other", "other info");
        });
        assert_eq!(names(&db), ["mine", "inner", "other debug"]);
        assert_eq!(messages(&db), ["mine", "other info"]);
    }
}

#[test]
fn children_of_spans_below_the_level_attach_to_the_nearest_recorded_ancestor() {
    alone!();
    let _limit = time_limit(60);
    for install in FRONT_ENDS {
        let (_scratch, db) = record(
            |builder| builder,
            install,
            || {
                let _outer = info_span!("outer").entered();
                let _below = trace_span!("below").entered();
                let _again = trace_span!("below again").entered();
                info!("event");
                let _inner = info_span!("inner").entered();
                let _between = trace_span!("below the inner one").entered();
                drop(info_span!("innermost"));
            },
        );
        let (outer, inner) = (db.span("outer"), db.span("inner"));
        assert_eq!(inner.parent_id, Some(outer.id));
        assert_eq!(db.span("innermost").parent_id, Some(inner.id));
        assert_eq!(db.event("event").span_id, Some(outer.id));
        assert_eq!(names(&db).len(), 3);
    }
}

/// Only a registry knows the ancestors of a span that nobody has entered.
#[test]
fn a_parent_below_the_level_that_is_named_stands_for_its_nearest_recorded_ancestor() {
    alone!();
    let _limit = time_limit(60);
    let (_scratch, db) = record(
        |builder| builder,
        beside_others,
        || {
            let outer = info_span!("outer");
            let below = trace_span!(parent: &outer, "below");
            let again = trace_span!(parent: &below, "below again");
            let deep = trace_span!(parent: &again, "and deeper");
            drop(info_span!(parent: &deep, "inner"));
            info!(parent: &deep, "event");
            let lonely = trace_span!(parent: None, "below, a root");
            drop(info_span!(parent: &lonely, "root"));
            info!(parent: &lonely, "event in none");
        },
    );
    let outer = db.span("outer");
    assert_eq!(db.span("inner").parent_id, Some(outer.id));
    assert_eq!(db.span("inner").root_id, outer.id);
    assert_eq!(db.event("event").span_id, Some(outer.id));
    assert_eq!(db.span("root").parent_id, None);
    assert_eq!(db.event("event in none").span_id, None);
}

#[test]
fn an_error_marks_its_span_even_if_no_event_is_kept() {
    alone!();
    let _limit = time_limit(60);
    for install in FRONT_ENDS {
        let set =
            |builder: ProfilerBuilder| builder.spans(LevelFilter::ERROR).events(LevelFilter::OFF);
        let (_scratch, db) = record(set, install, || {
            tracing::error_span!("failed").in_scope(|| error!("no"));
            tracing::error_span!("well").in_scope(|| tracing::warn!("yes"));
        });
        assert_eq!(db.span("failed").status, "error");
        assert_eq!(db.span("well").status, "ok");
        assert_eq!(db.events().len(), 0);
    }
}

#[test]
fn the_filter_of_a_layer_changes_while_it_is_installed() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let layer = profiler.layer();
    let filter = layer.filter_handle();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer).with(SeesAll));
    // A callsite is asked about once, and quickly found from then on: all go through the same ones.
    let round = |text: &'static str| {
        drop(trace_span!("trace", text));
        info_span!("info", text).in_scope(|| info!("{text}"));
    };
    within(&dispatch, || {
        (0..3).for_each(|_| round("levels"));
        filter.set("trace".parse().unwrap());
        (0..3).for_each(|_| round("all"));
        filter.set(concat!(module_path!(), "=off").parse().unwrap());
        (0..3).for_each(|_| round("none"));
        filter.set_max_level(Level::DEBUG);
        round("again");
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let count = |name: &str, text: &str| {
        db.count(&format!(
            "SELECT count(*) FROM spans WHERE name = '{name}' AND fields ->> 'text' = '{text}'"
        ))
    };
    assert_eq!([count("trace", "levels"), count("info", "levels")], [0, 3]);
    assert_eq!([count("trace", "all"), count("info", "all")], [3, 3]);
    assert_eq!([count("trace", "none"), count("info", "none")], [0, 0]);
    assert_eq!([count("trace", "again"), count("info", "again")], [0, 1]);
    assert_eq!(messages(&db).len(), 7);
    drop(dispatch);
    while filter.targets().is_some() {
        std::thread::yield_now(); // another test may have `tracing` ask all subscribers right now
    }
}

#[test]
fn the_report_and_the_file_say_how_many_callsites_were_below_the_level() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    within(&beside_others(&profiler), || (0..3).for_each(|_| all_levels()));
    let report = profiler.close().unwrap();
    // `tracing` tells a new subscriber of all callsites that the other tests have met.
    assert!(report.callsites >= 3 && report.callsites_below_level >= 3, "{report}");
    let said = format!("; {} callsites below the level", report.callsites_below_level);
    assert!(report.to_string().contains(&said), "{report}");
    let db = ledger::check_complete(scratch.db(), &report);
    let below = db.count("SELECT report ->> '$.callsites.below_level' FROM run");
    assert_eq!(below, report.callsites_below_level);
}

#[test]
fn a_filter_that_cannot_be_understood_is_named_and_nothing_is_made() {
    alone!();
    let scratch = scratch();
    for (filter, part) in [("my_app=loud", "my_app=loud"), ("info,[span]=trace", "[span]=trace")] {
        let error = small(scratch.db()).filter(filter).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains(&format!("at \"{part}\"")), "{error}");
    }
    assert!(!scratch.db().exists());
}
