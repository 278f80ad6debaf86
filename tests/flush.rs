//! When `flush` returns, everything recorded before the call is committed: a second connection sees
//! it, while the program goes on.

use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn what_was_flushed_is_visible_to_another_connection() {
    let scratch = scratch_for(60);
    // So that nothing but the flush can be the reason for a commit.
    let hour = Duration::from_secs(3_600);
    let profiler = small(scratch.db()).flush_interval(hour).batch_size(1_000_000).build().unwrap();
    let dispatch = dispatch(&profiler);
    let db = Database::open(scratch.db());
    for n in 1..=50_u64 {
        within(&dispatch, || info_span!("work", n).in_scope(|| info!(n)));
        profiler.flush(LONG).unwrap();
        assert_eq!(db.count("SELECT count(*) FROM span"), n);
        assert_eq!(db.count("SELECT count(*) FROM event"), n);
        assert_eq!(db.count("SELECT max(fields ->> 'n') FROM span"), n);
        let stats = profiler.stats();
        ledger::identity(&stats);
        assert_eq!((stats.stored, stats.in_flight), (n, 0));
    }
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}

#[test]
fn a_flush_covers_what_other_threads_recorded_before_it() {
    let (scratch, profiler) = recording_for(60);
    let dispatch = dispatch(&profiler);
    let db = Database::open(scratch.db());
    for round in 1..=20_u64 {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    within(&dispatch, || (0..50_u64).for_each(|n| drop(info_span!("work", n))));
                });
            }
        });
        profiler.flush(LONG).unwrap();
        assert_eq!(db.count("SELECT count(*) FROM span"), round * 300);
    }
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}

#[test]
fn many_threads_flush_at_once() {
    let (scratch, profiler) = recording_for(60);
    let dispatch = dispatch(&profiler);
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let (profiler, dispatch, path) = (profiler.clone(), &dispatch, scratch.db());
            scope.spawn(move || {
                let db = Database::open(path);
                for n in 1..=20_u64 {
                    within(dispatch, || drop(info_span!("work", thread, n)));
                    profiler.flush(LONG).unwrap();
                    let own =
                        format!("SELECT count(*) FROM span WHERE fields ->> 'thread' = {thread}");
                    assert_eq!(db.count(&own), n);
                }
            });
        }
    });
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}

#[test]
fn an_idle_profiler_commits_after_the_interval_by_itself() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(Duration::from_millis(20)).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    let db = Database::open(scratch.db());
    while db.count("SELECT count(*) FROM span") == 0 {
        std::thread::yield_now();
    }
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}
