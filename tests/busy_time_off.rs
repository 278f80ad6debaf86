//! Without busy time, entries and exits take no reading of the clock; everything else is as ever, and
//! what was not measured is NULL.

use std::thread;

use spandrel_tests::prelude::*;

#[test]
fn entries_are_counted_and_busy_time_is_null() {
    for own in [false, true] {
        let scratch = scratch_for(30);
        let profiler = small(scratch.db()).busy_time(false).build().unwrap();
        let dispatch = if own { Dispatch::new(profiler.subscriber()) } else { dispatch(&profiler) };
        let left_open = within(&dispatch, || {
            let outer = info_span!("outer", n = 1);
            outer.in_scope(|| {
                for _ in 0..3 {
                    info_span!("inner").in_scope(|| outer.in_scope(|| error!("it failed")));
                }
            });
            thread::scope(|scope| {
                let entered = || within(&dispatch, || outer.in_scope(|| drop(info_span!("there"))));
                scope.spawn(entered).join().unwrap();
            });
            outer.in_scope(|| ());
            info_span!("left open")
        });
        left_open.in_scope(|| ());
        let report = profiler.close().unwrap();
        drop(left_open);
        ledger::settled(&report);
        assert_eq!((report.stored, report.unfinished), (6, 1));
        let db = Database::open(scratch.db());
        assert_eq!(db.count("SELECT count(busy_ns) FROM span"), 0);
        assert_eq!(db.count("SELECT count(busy_ns) FROM rollup"), 0);
        let settings = db.count("SELECT settings ->> 'busy_time' FROM run");
        assert_eq!(settings, 0, "false");
        let entries = |name: &str| {
            db.value::<String>(&format!(
                "SELECT group_concat(entries || ' ' || coalesce(parent_id, 0)) FROM spans
                 WHERE name = '{name}'"
            ))
        };
        let outer = db.count("SELECT id FROM spans WHERE name = 'outer'");
        assert_eq!(entries("outer"), "3 0", "own subscriber: {own}");
        assert_eq!(entries("inner"), vec![format!("1 {outer}"); 3].join(","));
        assert_eq!(entries("there"), format!("0 {outer}"));
        assert_eq!(entries("left open"), "1 0");
        let failed = db.count("SELECT count(*) FROM span WHERE status = 'error' AND self_ns >= 0");
        assert_eq!(failed, 3, "the event is in the innermost one");
        // Nobody knows when spans were left, but that this one never was entered.
        let own = |name: &str| {
            db.value::<i64>(&format!("SELECT sum(self_ns) FROM spans WHERE name = '{name}'"))
        };
        assert_eq!(own("there"), 0);
        let inner = db.value::<i64>("SELECT sum(duration_ns) FROM spans WHERE name = 'inner'");
        assert_eq!(own("inner"), inner);
        let outer = db.value::<i64>("SELECT duration_ns FROM spans WHERE name = 'outer'");
        assert_eq!(own("outer"), outer - inner);
        let timed = db.count("SELECT count(*) FROM span WHERE duration_ns > 0");
        assert_eq!(timed, 5);
    }
}
