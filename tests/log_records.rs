//! Records of the `log` crate under our own subscriber: they are events that say where they come from.

use log::{Level, Record, debug, info, trace, warn};
use spandrel_tests::prelude::*;

/// More than are remembered, and each in a record of its own.
const TARGETS: usize = 4_200;
const FLUSH: std::time::Duration = std::time::Duration::from_secs(30);

#[test]
fn records_of_the_log_crate_come_from_where_they_were_logged() {
    alone!();
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).events(LevelFilter::TRACE).build().unwrap();
    let subscriber = profiler.subscriber().with_max_level(LevelFilter::DEBUG);
    let filter = subscriber.filter_handle();
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    subscriber.init().unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);

    let span = tracing::info_span!("request");
    let line = i64::from(line!()) + 1;
    span.in_scope(|| info!("inside {}", 1));
    for n in 0..10 {
        debug!(target: "db::pool", "again {n}");
    }
    trace!("below the level");
    filter.set("info,db::pool=off".parse::<tracing_subscriber::filter::Targets>().unwrap());
    assert_eq!(log::max_level(), log::LevelFilter::Info);
    warn!(target: "db::pool", "switched off");
    warn!("{}", "long ".repeat(10_000));
    let logger = log::logger();
    logger.log(
        &Record::builder()
            .level(Level::Error)
            .args(format_args!("from nowhere"))
            .target("")
            .build(),
    );
    for n in 0..TARGETS {
        let target = format!("made::up::{n}");
        info!(target: &target, "one of many");
        if n % 20 == 0 {
            profiler.flush(FLUSH).unwrap();
        }
    }
    drop(span);

    let (report, db) = ledger::closed(&scratch, &profiler);
    let inside = db.event("inside 1");
    assert_eq!((inside.target.as_str(), inside.level.as_str()), (module_path!(), "INFO"));
    assert_eq!(inside.span_id, Some(db.span("request").id));
    assert!(inside.fields.names().is_empty());
    assert_eq!(place(&db, "inside 1"), (Some(file!().into()), Some(line), 1));
    assert_eq!(place(&db, "again 7"), (Some(file!().into()), Some(line + 2), 1));
    let again =
        "SELECT count(*), count(DISTINCT callsite_id) FROM events WHERE target = 'db::pool'";
    let again = db.rows(again, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(again, [(10_i64, 1_i64)]);
    assert_eq!(db.event("from nowhere").target, "");
    assert_eq!(place(&db, "from nowhere"), (None, None, 1));
    let cut =
        "SELECT count(*) FROM events WHERE length(message) > 100 AND target LIKE '%log_records'
               AND fields NOT LIKE '%log.%'";
    assert_eq!(db.count(cut), 1, "a message that was cut says so, and from where it comes");

    // What is beyond what is remembered keeps its fields.
    assert_eq!(db.count("SELECT count(*) FROM events WHERE message = 'one of many'"), 4_200);
    let known = db.count("SELECT count(*) FROM events WHERE target LIKE 'made::up::%'");
    assert!((4_000..4_200).contains(&known), "{known}");
    let others = "SELECT count(*) FROM events WHERE target = 'log'
                  AND fields LIKE '%\"log.target\":\"made::up::%'";
    assert_eq!(db.count(others), 4_200 - known);
    let callsites = "SELECT count(*) FROM callsite AS c WHERE c.target = 'log'
                     AND EXISTS (SELECT 1 FROM event AS e WHERE e.callsite_id = c.id)";
    assert_eq!(db.count(callsites), 1, "they share one, and are counted");
    assert_eq!(report.log_unplaced, 4_200 - known);
    assert_eq!(db.count("SELECT report->>'log_unplaced' FROM run"), 4_200 - known);
}

/// File and line of an event, and how many callsites have them.
fn place(db: &Database, message: &str) -> (Option<String>, Option<i64>, i64) {
    let sql = "SELECT e.file, e.line, (SELECT count(*) FROM callsite AS c WHERE c.target = e.target
                 AND c.line IS e.line AND c.file IS e.file)
               FROM events AS e WHERE e.message = ?1";
    let mut rows = db.rows(sql, [message], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    assert_eq!(rows.len(), 1, "{message}");
    rows.remove(0)
}
