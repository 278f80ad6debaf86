//! Several runs in one file, one after the other: each keeps its rows, and ids are unique over all.

use spandrel_tests::prelude::*;

#[test]
fn ids_are_unique_over_all_runs_and_each_run_keeps_its_rows() {
    let scratch = scratch_for(60);
    let mut reports = Vec::new();
    for run in 1..=5 {
        let profiler = small(scratch.db()).label(format!("run {run}")).build().unwrap();
        let dispatch = dispatch(&profiler);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let dispatch = &dispatch;
                scope.spawn(move || {
                    within(dispatch, || {
                        for n in 0..20 * run {
                            info_span!("outer", run, thread, n)
                                .in_scope(|| info_span!("inner", run).in_scope(|| info!(run)));
                        }
                    });
                });
            }
        });
        reports.push(profiler.close().unwrap());
    }
    let db = Database::open(scratch.db());
    for (run, report) in (1..).zip(&reports) {
        ledger::check_run(&db, run, report);
        assert_eq!(report.recorded, 120 * run as u64);
        let own = |table: &str| {
            db.count(&format!(
                "SELECT count(*) FROM {table} WHERE run_id = {run} AND fields ->> 'run' <> {run}"
            ))
        };
        assert_eq!((own("span"), own("event")), (0, 0));
    }
    self_times::check(&db);
    for table in ["span", "event"] {
        let twice = format!("SELECT count(*) - count(DISTINCT id) FROM {table}");
        assert_eq!(db.count(&twice), 0);
        // A run is a range of ids.
        let overlaps = format!(
            "SELECT count(*) FROM run AS a JOIN run AS b ON b.id = a.id + 1
             WHERE (SELECT max(id) FROM {table} WHERE run_id = a.id)
                >= (SELECT min(id) FROM {table} WHERE run_id = b.id)"
        );
        assert_eq!(db.count(&overlaps), 0);
    }
    assert_eq!(db.count("SELECT count(DISTINCT uuid) FROM run"), 5);
    // Callsites are shared; threads are not.
    assert_eq!(db.count("SELECT count(*) FROM callsite"), 3);
    assert_eq!(db.count("SELECT count(*) FROM thread"), 15);
}
