//! A collector that keeps what is younger than some age, of programs that begin, go on and end beside each other.

use spandrel::collect::{CollectOptions, Collecting};
use spandrel_query::Reader;
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, record, rings, small_in,
};
use spandrel_tests::prelude::*;

#[test]
fn what_is_too_old_is_deleted_of_each_run_and_nothing_of_those_that_go_on_beside_it() {
    let (scratch, rings) = (scratch_for(120), rings());
    let (hour, hours_ago) = (3_600_000_000_000_i64, Duration::from_secs(3_600));
    // One that ended long ago, and was recorded by itself.
    let alone = Profiler::builder().database(scratch.db()).build().unwrap();
    record(&alone, 0..100);
    alone.close().unwrap();
    let begun_hours_ago = |run: i64, hours: i64| {
        let sql = "UPDATE run SET started_unix_ns = started_unix_ns - ?1 WHERE id = ?2";
        let conn = rusqlite::Connection::open(scratch.db()).unwrap();
        conn.busy_timeout(LONG).unwrap();
        assert_eq!(conn.execute(sql, [hours * hour, run]).unwrap(), 1);
    };
    begun_hours_ago(1, 5);
    let mut options = CollectOptions::default();
    options.store.max_age = Some(hours_ago);
    let collector = Collector::start_with(rings.path(), scratch.db(), options);
    // Three that are collected beside each other, the first of them from before the others until after them.
    let programs = ["first", "second", "third"].map(|label| {
        let profiler = small_in(rings.path()).label(label).build().unwrap();
        record(&profiler, 0..200);
        profiler.mark(label).unwrap();
        profiler.flush(LONG).unwrap();
        profiler
    });
    // What it has recorded was two hours ago, by now.
    begun_hours_ago(3, 2);
    let pruned = |run: i64| {
        let sql = format!("SELECT pruned_spans FROM run WHERE id = {run}");
        Database::open(scratch.db()).value::<i64>(&sql)
    };
    while pruned(1) < 400 || pruned(3) < 800 {
        std::thread::yield_now();
    }
    // They go on; what the second one records is as old.
    for profiler in &programs {
        record(profiler, 200..300);
        profiler.flush(LONG).unwrap();
    }
    while pruned(3) < 1_200 {
        std::thread::yield_now();
    }
    for profiler in programs {
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.dropped.total()), (1_200, 0));
    }
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (3, 0), "{told:?}");
    for told in &told {
        if let Collecting::Ended { spans, .. } = told {
            assert_eq!((spans.recorded, spans.stored), (1_200, 1_200), "{told:?}");
        }
    }
    for run in [2, 4] {
        assert_has(scratch.db(), run, 0..300);
    }
    let db = Database::open(scratch.db());
    let rows = "SELECT spans, pruned_spans, events, pruned_events,
                  (SELECT count(*) FROM span WHERE run_id = r.id),
                  (SELECT count(*) FROM event WHERE run_id = r.id),
                  (SELECT count(*) FROM mark WHERE run_id = r.id),
                  (SELECT count(*) FROM rollup WHERE run_id = r.id) > 0
                FROM run AS r ORDER BY id";
    let rows: Vec<[i64; 8]> = db.rows(rows, [], |row| {
        let mut all = [0; 8];
        all.iter_mut().enumerate().try_for_each(|(at, n)| row.get(at).map(|it| *n = it))?;
        Ok(all)
    });
    let (old, young) = ([1_200, 1_200, 900, 900, 0, 0, 0, 0], [1_200, 0, 900, 0, 1_200, 900, 1, 1]);
    assert_eq!(rows, [[400, 400, 300, 300, 0, 0, 0, 0], young, old, young]);
    let reader = Reader::open(scratch.db()).unwrap();
    for run in 1..=4 {
        let found = reader.contradictions(run).unwrap();
        assert!(found.is_empty(), "{run}: {found:?}");
    }
    let threads = "SELECT count(*) FROM span WHERE thread_id NOT IN (SELECT id FROM thread)";
    assert_eq!(db.count(threads), 0);
    assert_no_files(rings.path());
}
