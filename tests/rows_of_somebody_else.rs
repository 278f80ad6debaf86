//! Somebody puts rows into the file while it is recorded into, with the ids that would have come next:
//! the recording goes on with others. A row that is refused all the same is counted, alone.

use rusqlite::Connection;
use spandrel_tests::prelude::*;

const WAIT: Duration = Duration::from_secs(30);

fn record(profiler: &Profiler, trees: u64) {
    within(&dispatch(profiler), || {
        for n in 0..trees {
            info_span!("outer", n).in_scope(|| {
                info_span!("inner").in_scope(|| info!("inside"));
            });
        }
    });
}

/// Puts copies of a span and an event there, as rows of a run, at each `step`th of the ids to come.
fn insert(other: &Connection, run: i64, step: i64) -> u64 {
    let last: i64 = other.query_row("SELECT max(last_id) FROM run", [], |row| row.get(0)).unwrap();
    other
        .execute_batch(&format!(
            "WITH RECURSIVE n(id) AS (
               VALUES ({last} + 1) UNION ALL SELECT id + {step} FROM n WHERE id < {last} + 1500)
             INSERT INTO span SELECT n.id, {run}, NULL, n.id, callsite_id, thread_id, start_ns,
               duration_ns, busy_ns, duration_ns, entries, status, NULL, NULL, NULL, NULL, NULL, NULL, NULL
             FROM n, (SELECT * FROM span LIMIT 1);
             INSERT INTO event SELECT s.id, {run}, NULL, e.callsite_id, e.thread_id, at_ns, 'theirs',
               NULL, NULL FROM (SELECT id FROM span WHERE id > {last}) AS s,
               (SELECT * FROM event LIMIT 1) AS e"
        ))
        .unwrap();
    other
        .query_row("SELECT count(*) FROM span WHERE id > ?1", [last], |row| row.get::<_, i64>(0))
        .unwrap() as u64
}

#[test]
fn ids_that_somebody_else_has_taken_cost_nothing() {
    let scratch = scratch_for(60);
    let hour = Duration::from_secs(3_600);
    let profiler = small(scratch.db()).flush_interval(hour).build().unwrap();
    record(&profiler, 100);
    profiler.flush(WAIT).unwrap();
    let other = Connection::open(scratch.db()).unwrap();
    for round in 0..3 {
        let theirs = insert(&other, 77, 1 + round);
        assert!(theirs > 400);
        record(&profiler, 1_000);
        profiler.flush(WAIT).unwrap();
    }
    drop(other);
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (6_200, 6_200), "{report:?}");
    assert_eq!((report.events.recorded, report.events.stored), (3_100, 3_100), "{report:?}");
    let db = ledger::check_complete(scratch.db(), &report);
    let apart = "SELECT count(*) FROM span AS s JOIN span AS p ON p.id = s.parent_id
                 WHERE s.run_id <> p.run_id";
    assert_eq!(db.count(apart), 0);
    let pairs = "SELECT count(*) FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
                 WHERE s.name = 'inner' AND p.name = 'outer' AND s.root_id = p.id";
    assert_eq!(db.count(pairs), 3_100);
}

#[test]
fn a_refused_row_is_counted_alone_and_the_file_tells_of_it() {
    let _limit = time_limit(60);
    // In a batch among others, and in the last one.
    for flushed in [true, false] {
        let scratch = scratch();
        let hour = Duration::from_secs(3_600);
        let profiler = small(scratch.db()).flush_interval(hour).build().unwrap();
        record(&profiler, 100);
        profiler.flush(WAIT).unwrap();
        // Rows of this run, as if it had given an id twice.
        let other = Connection::open(scratch.db()).unwrap();
        let theirs = insert(&other, 1, 50);
        drop(other);
        record(&profiler, 1_000);
        if flushed {
            profiler.flush(WAIT).unwrap();
            record(&profiler, 10);
        }
        let report = profiler.close().unwrap();
        ledger::settled(&report);
        let refused = report.dropped.row_refused;
        assert!(0 < refused && refused <= theirs, "{report:?}");
        assert_eq!(report.dropped.total(), refused, "{report:?}");
        assert!(report.events.dropped.row_refused <= theirs, "{report:?}");
        let db = Database::open(scratch.db());
        assert_eq!(db.count("SELECT count(*) FROM span"), report.stored + theirs);
        let told = "SELECT sum(spans) FROM loss WHERE reason = 'row_refused'";
        assert_eq!(db.count(told), refused);
        let told = "SELECT sum(events) FROM loss WHERE reason = 'row_refused'";
        assert_eq!(db.count(told), report.events.dropped.row_refused);
        assert_eq!(db.count("SELECT dropped_spans FROM run"), refused);
        let error = report.last_error.as_deref().unwrap();
        assert!(error.contains("UNIQUE constraint failed") && error.contains("refused"), "{error}");
    }
}
