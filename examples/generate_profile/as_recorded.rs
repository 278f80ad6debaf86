//! A generated file must pass what a recorded one passes.

use std::path::PathBuf;

use spandrel_query::Reader;
use spandrel_tests::Database;
use spandrel_tests::{ledger, self_times};
use tempfile::TempDir;

use crate::arguments::Settings;
use crate::recording::{Totals, record};

fn generate(settings: Settings) -> (TempDir, Database, Vec<Totals>) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("generated.db");
    let runs = 1..=settings.runs;
    let totals = runs.map(|run| record(&path, &settings, run, |_| ()).unwrap()).collect();
    let db = Database::open(&path);
    (folder, db, totals)
}

fn small() -> Settings {
    Settings { spans: 20_000, unfinished: 3, ..Settings::default() }
}

/// The counts of the run row, and its report.
fn check_run(db: &Database, run: i64, totals: &Totals) {
    ledger::whole(db, run);
    let count = |sql: &str| db.count(&format!("SELECT {sql} FROM run WHERE id = {run}"));
    let report = |path: &str| count(&format!("report ->> '$.{path}'"));
    assert_eq!(count("ended_unix_ns > started_unix_ns + last_ns"), 1);
    assert_eq!((count("spans"), report("spans.stored")), (totals.stored, totals.stored));
    assert_eq!((count("events"), report("events.stored")), (totals.events, totals.events));
    assert_eq!((count("links"), report("links.stored")), (totals.links, totals.links));
    assert_eq!((count("unfinished"), report("unfinished")), (totals.unfinished, totals.unfinished));
    assert_eq!((count("dropped_spans"), report("spans.dropped")), (totals.lost, totals.lost));
    assert_eq!(report("spans.recorded"), totals.stored + totals.lost);
    assert_eq!(db.count(&format!("SELECT count(*) FROM open_span WHERE run_id = {run}")), 0);
    assert_eq!(
        db.count(&format!(
            "SELECT count(*) FROM loss AS l JOIN run AS r ON r.id = l.run_id
             WHERE r.id = {run} AND NOT (0 <= from_ns AND from_ns <= to_ns AND to_ns <= last_ns)"
        )),
        0
    );
}

#[test]
fn a_generated_file_passes_what_recordings_pass() {
    let (_folder, db, totals) = generate(small());
    check_run(&db, 1, &totals[0]);
    assert_eq!(totals[0].stored, 20_000);
    self_times::check(&db);
    let some = |what: &str, sql: &str| assert!(db.count(sql) > 0, "{what}");
    some("unfinished", "SELECT count(*) FROM span WHERE status = 'unfinished'");
    some("errors", "SELECT count(*) FROM span WHERE status = 'error'");
    some("links", "SELECT count(*) FROM link");
    some("waiting", "SELECT count(*) FROM span WHERE busy_ns < duration_ns / 2 AND entries > 1");
    some(
        "children side by side",
        "SELECT count(*) FROM span AS a JOIN span AS b ON b.parent_id = a.parent_id
         AND b.start_ns > a.start_ns AND b.start_ns < a.start_ns + a.duration_ns",
    );
    some(
        "children that outlive their parents",
        "SELECT count(*) FROM span AS c JOIN span AS p ON p.id = c.parent_id
         WHERE c.start_ns + c.duration_ns > p.start_ns + p.duration_ns",
    );
    let none = |what: &str, sql: &str| assert_eq!(db.count(sql), 0, "{what}");
    none("busier than long", "SELECT count(*) FROM span WHERE busy_ns > duration_ns");
    none(
        "events outside of their spans",
        "SELECT count(*) FROM event AS e JOIN span AS s ON s.id = e.span_id
         WHERE NOT e.at_ns BETWEEN s.start_ns AND s.start_ns + coalesce(s.duration_ns, e.at_ns)",
    );
    none(
        "errors without an event that says so",
        "SELECT count(*) FROM span AS s WHERE status = 'error' AND NOT EXISTS (
           SELECT 1 FROM event AS e JOIN callsite AS c ON c.id = e.callsite_id
           WHERE e.span_id = s.id AND c.level = 'ERROR')",
    );
    none(
        "parents and spans that are followed from, but not there",
        "SELECT (SELECT count(*) FROM span WHERE parent_id NOT IN (SELECT id FROM span))
           + (SELECT count(*) FROM link WHERE follows_id NOT IN (SELECT id FROM span))",
    );
}

#[test]
fn runs_with_losses_of_any_shape_are_whole() {
    for settings in [
        Settings { lose: 1_000, runs: 2, fields: 4, ..small() },
        Settings { names: 4, fields: 0, threads: 1, slow: 1.0, ..small() },
        Settings { names: 5_000, rate: 1_000_000, fields: 1, threads: 64, slow: 0.0, ..small() },
        Settings { spans: 1, unfinished: 0, ..small() },
        Settings { spans: 7, rate: 1, ..small() },
    ] {
        let (_folder, db, totals) = generate(settings.clone());
        for (run, totals) in totals.iter().enumerate() {
            check_run(&db, run as i64 + 1, totals);
            assert_eq!(totals.stored + totals.lost, settings.spans);
            assert_eq!(totals.lost, settings.lose);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_spans_and_another_one_others() {
    let rows = |seed| {
        let settings = Settings { seed, spans: 3_000, ..small() };
        let (folder, db, _) = generate(settings);
        let mut spans = Vec::new();
        let reader = Reader::open(folder.path().join("generated.db")).unwrap();
        reader.spans(1, |span| spans.push(span)).unwrap();
        drop(db);
        format!("{spans:?}")
    };
    assert_eq!(rows(5), rows(5));
    assert_ne!(rows(5), rows(6));
}

#[test]
fn the_time_is_as_long_as_the_rate_says() {
    let (_folder, _db, totals) = generate(Settings { spans: 60_000, rate: 1_000, ..small() });
    let seconds = totals[0].length_ns as f64 / 1e9;
    assert!((57.0..63.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_slower_span_is_slower_in_the_last_run_only_by_its_factor() {
    let slower = vec![("render".to_owned(), 1.5)];
    let (_folder, db, _) = generate(Settings { runs: 2, slower, ..small() });
    let mean = |run: u32, name: &str| {
        let sql = format!(
            "SELECT CAST(avg(duration_ns) AS INTEGER) FROM spans
             WHERE run_id = {run} AND name = '{name}'"
        );
        db.count(&sql) as f64
    };
    let ratio = |name: &str| mean(2, name) / mean(1, name);
    assert!((1.45..1.55).contains(&ratio("render")), "{}", ratio("render"));
    assert!((0.97..1.03).contains(&ratio("auth.verify")), "{}", ratio("auth.verify"));
}

#[test]
fn a_slower_span_is_slower_in_as_many_runs_as_asked() {
    let slower = vec![("render".to_owned(), 1.5)];
    let (_folder, db, _) = generate(Settings { runs: 3, slower, slower_runs: 2, ..small() });
    let mean = |run: u32| {
        let sql = "SELECT CAST(avg(duration_ns) AS INTEGER) FROM spans WHERE name = 'render'";
        db.count(&format!("{sql} AND run_id = {run}")) as f64
    };
    for run in [2, 3] {
        let ratio = mean(run) / mean(1);
        assert!((1.45..1.55).contains(&ratio), "run {run}: {ratio}");
    }
}

#[test]
fn the_share_of_slow_queries_is_as_asked() {
    let (_folder, db, _) = generate(Settings { slow: 0.2, ..small() });
    let slow = "SELECT count(*) FROM spans WHERE name = 'db.query' AND duration_ns > 15e6";
    let all = "SELECT count(*) FROM spans WHERE name = 'db.query' AND duration_ns > 0";
    let share = db.count(slow) as f64 / db.count(all) as f64;
    assert!((0.17..0.23).contains(&share), "{share}");
    let elsewhere = format!("{slow} AND fields ->> '$.shard' <> 7");
    assert_eq!(db.count(&elsewhere), 0, "slow queries on other shards");
}
