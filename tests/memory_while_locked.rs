//! The database is locked for long: what is recorded, asked for and marked meanwhile takes memory up to a
//! bound, however many threads come and go.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use spandrel::Stats;
use spandrel_tests::allocations::{Counting, live_bytes};
use spandrel_tests::prelude::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// More than the threads that are remembered until the writer hears of them.
const MANY: u64 = 17_000;
const ROUND: u64 = 16_000;
const ROUNDS: usize = 6;
/// What may differ without being kept for each thread: less than 9 bytes of each.
const SLACK: u64 = 128 * 1024;

/// So many threads one after the other, each with a span and an event, a mark of each, and now and then a
/// flush in vain. `numbers` counts them.
fn come_and_go(threads: u64, profiler: &Profiler, dispatch: &Dispatch, numbers: &AtomicU64) {
    for _ in 0..threads {
        let n = numbers.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name(format!("short-{n}"));
        let record = || {
            within(dispatch, || {
                info_span!("short", n).in_scope(|| tracing::info!("in it"));
            });
        };
        std::thread::scope(|scope| {
            thread.spawn_scoped(scope, record).unwrap().join().unwrap();
        });
        // Most of them find no room, and are counted.
        let _full = profiler.mark("a thread has ended");
        if n.is_multiple_of(20) {
            assert!(profiler.flush(Duration::ZERO).is_err(), "the file is locked");
        }
    }
}

/// Spans of threads that stay, until the writer takes no more and the ring holds no more.
fn fill_up(profiler: &Profiler, dispatch: &Dispatch) {
    const SPANS: u64 = 2_000;
    let mut full_rounds = 0;
    while full_rounds < 2 {
        let before = profiler.stats();
        for _ in 0..4 {
            let fill = || within(dispatch, || (0..SPANS).for_each(|n| drop(info_span!("fill", n))));
            std::thread::scope(|scope| scope.spawn(fill).join().unwrap());
        }
        // It has been round since.
        assert!(profiler.flush(Duration::from_millis(300)).is_err(), "the file is locked");
        let dropped = |stats: &Stats| stats.dropped.store_error + stats.dropped.ring_full;
        let all_dropped = dropped(&profiler.stats()) - dropped(&before) == 4 * SPANS;
        full_rounds = if all_dropped { full_rounds + 1 } else { 0 };
    }
}

#[test]
fn memory_does_not_grow_while_the_database_is_locked() {
    let scratch = scratch_for(300);
    let profiler = small(scratch.db()).ring_capacity(1 << 18).build().unwrap();
    let dispatch = dispatch(&profiler);
    let numbers = AtomicU64::new(0);
    // One that lives as long as the recording, of which the file hears before and after.
    within(&dispatch, || drop(info_span!("before")));
    profiler.flush(Duration::from_secs(60)).unwrap();

    let other = Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // A batch that the store refuses, so that the writer asks for no threads from here on.
    within(&dispatch, || drop(info_span!("refused")));
    assert!(profiler.flush(Duration::from_millis(300)).is_err(), "the file is locked");
    come_and_go(MANY, &profiler, &dispatch, &numbers);
    fill_up(&profiler, &dispatch);
    let stored_at_most = profiler.stats().in_flight;

    let grown_by = |threads| {
        let before = live_bytes();
        come_and_go(threads, &profiler, &dispatch, &numbers);
        live_bytes().saturating_sub(before)
    };
    // What is kept of each thread is kept in every round. What grows to its bound, or is in the writer's
    // hands at that moment, is not.
    let mut grown = Vec::new();
    while grown.len() < ROUNDS && grown.last().is_none_or(|bytes| *bytes >= SLACK) {
        grown.push(grown_by(ROUND));
    }
    let last = grown.last().copied();
    assert!(
        last.is_some_and(|bytes| bytes < SLACK),
        "{grown:?} bytes more after {ROUND} threads each"
    );

    other.execute_batch("ROLLBACK").unwrap();
    while profiler.flush(Duration::from_secs(60)).is_err() {
        std::thread::yield_now();
    }
    // A new thread has its name again.
    let last = std::thread::Builder::new().name("last".to_owned());
    std::thread::scope(|scope| {
        let record = || within(&dispatch, || drop(info_span!("after")));
        last.spawn_scoped(scope, record).unwrap().join().unwrap();
    });
    within(&dispatch, || drop(info_span!("after")));
    let report = profiler.close().unwrap();
    let db = ledger::check(scratch.db(), &report);
    assert!(report.stored >= stored_at_most, "what was in the ring is stored: {report}");
    let short = |what: &str| {
        db.count(&format!(
            "SELECT {what} FROM span AS s JOIN callsite AS c ON c.id = s.callsite_id
             JOIN thread AS t ON t.id = s.thread_id WHERE c.name = 'short'"
        ))
    };
    let all = short("count(*)");
    assert_eq!(short("count(DISTINCT t.id)"), all, "each span has a thread of its own");
    let named = short("count(*) FILTER (WHERE t.name = 'short-' || (s.fields ->> 'n'))");
    let nameless = short("count(*) FILTER (WHERE t.name IS NULL)");
    assert!(named > 0, "those that came first have their names");
    assert!(nameless > 0, "of others no more is known than that they are others");
    assert_eq!(named + nameless, all, "none has the name of another one");
    let after = "SELECT count(DISTINCT thread_id) FROM span AS s
                 JOIN callsite AS c ON c.id = s.callsite_id WHERE c.name IN ('before', 'after')";
    assert_eq!(db.count(after), 2, "the thread that stayed is still the same one");
    assert_eq!(db.count("SELECT count(*) FROM thread WHERE name = 'last'"), 1);
}
