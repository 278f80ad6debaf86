//! A filter that names targets means the target that a record of the `log` crate was logged with, and not
//! that of the callsite which all such records have in common; under both front ends.

use spandrel::FilterHandle;
use spandrel_tests::prelude::*;
use tracing_subscriber::filter::Targets;

/// The front ends of a profiler, and what changes their filters.
fn front_ends(profiler: &Profiler) -> [(Dispatch, FilterHandle); 2] {
    let layer = profiler.layer();
    let subscriber = profiler.subscriber();
    let (of_layer, of_subscriber) = (layer.filter_handle(), subscriber.filter_handle());
    [
        (Dispatch::new(tracing_subscriber::registry().with(layer)), of_layer),
        (Dispatch::new(subscriber), of_subscriber),
    ]
}

/// A program with a `LogTracer`, as `tracing_subscriber`'s `init` sets it.
fn with_tracer() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // The first subscriber of the whole program wants nothing; it is there for its `LogTracer`.
        tracing_subscriber::registry().with(LevelFilter::TRACE).init();
    });
}

fn log_all() {
    for target in ["my_app", "my_app::db", "h2", "h2::frame", "others"] {
        log::trace!(target: target, "trace");
        log::debug!(target: target, "debug");
        log::info!(target: target, "info");
        log::warn!(target: target, "warn");
    }
}

/// What is stored, as `target level`, sorted.
fn stored(db: &Database) -> Vec<String> {
    let sql = "SELECT target || ' ' || lower(level) FROM events
               WHERE message = lower(level) ORDER BY target, level";
    db.rows(sql, [], |row| row.get(0))
}

fn of(target: &str, levels: &[&str]) -> Vec<String> {
    levels.iter().map(|level| format!("{target} {level}")).collect()
}

#[test]
fn a_filter_means_the_target_that_a_record_was_logged_with() {
    alone!();
    let _limit = time_limit(60);
    with_tracer();
    for front_end in 0..2 {
        let scratch = scratch();
        let profiler = small(scratch.db()).filter("my_app=trace,my_app::db=warn,h2=off");
        let profiler = profiler.build().unwrap();
        let (dispatch, filter) = front_ends(&profiler)[front_end].clone();
        within(&dispatch, log_all);
        profiler.flush(std::time::Duration::from_secs(30)).unwrap();
        let db = Database::open(scratch.db());
        let mut expected = [
            of("my_app", &["debug", "info", "trace", "warn"]),
            of("my_app::db", &["warn"]),
            of("others", &["info", "warn"]),
        ]
        .concat();
        expected.sort();
        assert_eq!(stored(&db), expected);
        drop(db);

        // The same after the filter has changed, to one that names targets and to one that names none.
        let before = expected.len() as u64;
        filter.set("h2=debug".parse::<Targets>().unwrap());
        within(&dispatch, log_all);
        filter.set(Targets::new().with_default(LevelFilter::WARN));
        within(&dispatch, log_all);
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(db.count("SELECT count(*) FROM events"), before + 2 * 3 + 5);
        assert_eq!(db.count("SELECT count(*) FROM events WHERE target = 'h2::frame'"), 3 + 1);
        assert_eq!(db.count("SELECT count(*) FROM events WHERE target = 'log'"), 0);
    }
}

#[test]
fn an_error_record_of_a_target_that_is_off_marks_no_span() {
    alone!();
    let _limit = time_limit(60);
    with_tracer();
    for front_end in 0..2 {
        let scratch = scratch();
        let profiler = small(scratch.db()).events(LevelFilter::OFF).filter("h2=off,db=trace");
        let profiler = profiler.build().unwrap();
        let (dispatch, _filter) = front_ends(&profiler)[front_end].clone();
        within(&dispatch, || {
            info_span!("fine").in_scope(|| log::error!(target: "h2::frame", "connection reset"));
            info_span!("failed").in_scope(|| log::error!(target: "others", "connection reset"));
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(
            (db.span("fine").status, db.span("failed").status),
            ("ok".into(), "error".into())
        );
        assert_eq!(db.events().len(), 0);
    }
}

#[test]
fn filters_without_end_mean_the_target_of_a_record_too() {
    alone!();
    let _limit = time_limit(60);
    with_tracer();
    for front_end in 0..2 {
        let (scratch, profiler) = recording();
        let (dispatch, filter) = front_ends(&profiler)[front_end].clone();
        // More than are kept.
        for n in 0..1_100 {
            filter.set(format!("off,made::up::{n}=info").parse::<Targets>().unwrap());
        }
        within(&dispatch, || {
            log::info!(target: "made::up::1099", "the last");
            log::info!(target: "made::up::1098", "the last but one");
        });
        // One of the first, which is kept.
        filter.set("off,made::up::7=info".parse::<Targets>().unwrap());
        within(&dispatch, || {
            log::info!(target: "made::up::1099", "no more");
            log::info!(target: "made::up::7", "again");
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let messages: Vec<_> = db.events().into_iter().filter_map(|event| event.message).collect();
        assert_eq!(messages, ["the last", "again"]);
    }
}
