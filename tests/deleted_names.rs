//! Somebody deletes rows of callsites and threads with SQL while the program records: what is recorded
//! later has its names all the same, and so has what was recorded before by threads that still live.

use rusqlite::Connection;
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(60);

fn record(dispatch: &Dispatch, profiler: &Profiler) {
    within(dispatch, || {
        for n in 0..100 {
            info_span!("outer", n).in_scope(|| info!("inside"));
        }
    });
    profiler.flush(LONG).unwrap();
}

fn delete(db: &Path, tables: &[&str]) {
    let other = Connection::open(db).unwrap();
    other.busy_timeout(LONG).unwrap();
    for table in tables {
        assert!(other.execute(&format!("DELETE FROM {table}"), []).unwrap() > 0, "{table}");
    }
}

/// Spans and events without a callsite, or without a thread.
fn nameless(db: &Database) -> u64 {
    let count = |table, column, of| {
        db.count(&format!(
            "SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM {of})"
        ))
    };
    count("span", "callsite_id", "callsite")
        + count("event", "callsite_id", "callsite")
        + count("span", "thread_id", "thread")
        + count("event", "thread_id", "thread")
}

#[test]
fn spans_have_their_names_though_somebody_has_deleted_them() {
    alone!();
    for tables in [&["callsite", "thread"][..], &["callsite"], &["thread"]] {
        let (scratch, profiler) = recording_for(120);
        let dispatch = dispatch(&profiler);
        record(&dispatch, &profiler);
        // A thread that has a name, and spans after its row is gone.
        let (go_on, turns) = std::sync::mpsc::channel::<()>();
        let report = std::thread::scope(|scope| {
            let (dispatch, profiler) = (&dispatch, &profiler);
            let named = std::thread::Builder::new().name("the worker".into());
            let worker = move || {
                record(dispatch, profiler);
                turns.into_iter().for_each(|()| record(dispatch, profiler));
            };
            named.spawn_scoped(scope, worker).unwrap();
            while profiler.stats().stored < 200 {
                profiler.flush(LONG).unwrap();
            }
            delete(scratch.db(), tables);
            go_on.send(()).unwrap();
            while profiler.stats().stored < 300 {
                profiler.flush(LONG).unwrap();
            }
            // Without waiting for the close: a running program is asked, too.
            while nameless(&Database::open(scratch.db())) > 0 {
                record(dispatch, profiler);
            }
            delete(scratch.db(), tables);
            record(dispatch, profiler);
            let report = profiler.close().unwrap();
            drop(go_on);
            report
        });
        assert_eq!((report.stored, report.last_error.clone()), (report.recorded, None));
        let db = ledger::check_complete(scratch.db(), &report);
        assert_eq!(nameless(&db), 0, "{tables:?}");
        assert_eq!(db.count("SELECT count(*) FROM thread WHERE name = 'the worker'"), 1);
        assert_eq!(db.count("SELECT count(*) FROM callsite WHERE name = 'outer'"), 1, "{tables:?}");
    }
}
