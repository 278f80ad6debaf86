//! What the filter of our own subscriber lets through, and how it changes.

use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;
use tracing_subscriber::filter::Targets;

#[test]
fn levels_and_targets() {
    let scratch = scratch_for(30);
    let profiler = small(scratch.db()).events(LevelFilter::TRACE).build().unwrap();
    let targets: Targets = "warn,db=debug,db::pool=off".parse().unwrap();
    let subscriber = profiler.subscriber().with_filter(targets.clone());
    let filter = subscriber.filter_handle();
    assert_eq!(filter.targets(), Some(targets));
    within(&Dispatch::new(subscriber), || {
        let open = |target: &str| match target {
            "db" => debug_span!(target: "db", "query", n = 1),
            "db::pool" => debug_span!(target: "db::pool", "wait"),
            _ => info_span!("other"),
        };
        assert!(!open("db").is_disabled());
        assert!(open("db::pool").is_disabled() && open("").is_disabled());
        info!("not this");
        warn!("this");
        assert!(tracing::enabled!(target: "db", Level::DEBUG));
        assert!(!tracing::enabled!(target: "db", Level::TRACE));

        filter.set_max_level(Level::INFO);
        assert!(open("db").is_disabled() && !open("").is_disabled());
        let outer = info_span!("outer");
        let in_outer = outer.enter();
        filter.set_max_level(LevelFilter::OFF);
        assert!(open("").is_disabled());
        warn!("nor this");
        drop(in_outer); // what is open goes on
        drop(outer);
        filter.set(Targets::new().with_target("db", LevelFilter::TRACE));
        assert!(!open("db").is_disabled() && open("").is_disabled());
    });
    // Whoever has `tracing` ask again (the other test here) holds all subscribers for that long.
    while filter.targets().is_some() {
        std::thread::yield_now(); // within the time limit
    }
    filter.set_max_level(Level::INFO);
    let (report, db) = ledger::closed(&scratch, &profiler);
    let names = db.rows("SELECT name FROM spans ORDER BY id", [], |row| row.get::<_, String>(0));
    assert_eq!(names, ["query", "other", "outer", "query"]);
    assert_eq!((report.events.stored, db.span("outer").entries), (1, 1));
    assert_eq!(db.event("this").message.as_deref(), Some("this"));
}

/// The filter goes up and down while threads record: each span is recorded whole or not at all.
#[test]
fn changes_while_threads_record() {
    let (scratch, profiler) = recording_for(60);
    let subscriber = profiler.subscriber().with_max_level(Level::INFO);
    let filter = subscriber.filter_handle();
    let dispatch = Dispatch::new(subscriber);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    within(&dispatch, || {
                        for n in 0..3_000_u32 {
                            info_span!("always", n).in_scope(|| {
                                trace_span!("sometimes").in_scope(|| drop(info_span!("below")));
                            });
                        }
                    });
                })
            })
            .collect();
        scope.spawn(|| {
            // Acquire: pairs with the Release below.
            while !done.load(Ordering::Acquire) {
                filter.set_max_level(Level::TRACE);
                filter.set_max_level(Level::INFO);
            }
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Release);
    });
    let (report, db) = ledger::closed(&scratch, &profiler);
    let count = |name: &str| db.count(&format!("SELECT count(*) FROM spans WHERE name = '{name}'"));
    assert_eq!((count("always"), count("below")), (9_000, 9_000));
    assert_eq!(report.stored, 18_000 + count("sometimes"));
    let strangers = db.count(
        "SELECT count(*) FROM spans AS s JOIN spans AS p ON p.id = s.parent_id
         WHERE s.name = 'below' AND p.name = 'below'",
    );
    assert_eq!(strangers, 0);
}
