//! The store stands still while more is recorded than the ring holds: the oldest are kept and the
//! others counted, with their reason and their window; once it goes on, the writer catches up in
//! batches larger than usual, and whoever reads meanwhile is answered.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags};
use spandrel_tests::prelude::*;

const BATCH: u64 = 16;

/// Holds the write lock, so that the store refuses.
fn lock(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Waits until the writer has a batch in hand that the store does not take: from then on it takes
/// nothing from the ring.
fn stall(profiler: &Profiler) {
    drop(info_span!("first"));
    while profiler.stats().last_error.is_none() {
        profiler.flush(Duration::from_millis(10)).unwrap_err();
    }
}

/// Looks at the file again and again, as a new reader each time, until it is told to stop. Returns how
/// often it was answered.
fn poll(path: &Path, stop: &AtomicBool) -> u64 {
    let (mut looks, mut stored) = (0, 0);
    // Relaxed: only says that it is time to go.
    while !stop.load(Ordering::Relaxed) {
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let now: i64 = reader.query_row("SELECT count(*) FROM span", [], |row| row.get(0)).unwrap();
        assert!(now >= stored, "{now} spans after {stored}");
        (looks, stored) = (looks + 1, now);
    }
    looks
}

#[test]
fn the_oldest_are_kept_and_the_writer_catches_up() {
    alone!();
    let scratch = scratch_for(120);
    let profiler = small(scratch.db())
        .ring_capacity(4096)
        .partitions(1)
        .batch_size(BATCH as usize)
        .build()
        .unwrap();
    let stop = AtomicBool::new(false);
    let (path, polling) = (scratch.db(), &stop);
    let kept = std::thread::scope(|scope| {
        let reader = scope.spawn(move || poll(path, polling));
        let kept = within(&dispatch(&profiler), || {
            let lock = lock(path);
            stall(&profiler);
            (0..20_000).for_each(|n| drop(info_span!("backlog", n)));
            let stats = profiler.stats();
            ledger::identity(&stats);
            assert_eq!((stats.recorded, stats.stored), (20_001, 0), "{stats}");
            // In the ring, and the one that is in hand.
            let kept = stats.in_flight - 1;
            assert!(kept > 1_000 && stats.dropped.store_error == 20_000 - kept, "{stats}");

            lock.execute_batch("ROLLBACK").unwrap();
            while profiler.flush(Duration::from_secs(10)).is_err() {
                std::thread::yield_now();
            }
            let stats = profiler.stats();
            assert_eq!((stats.stored, stats.in_flight), (kept + 1, 0), "{stats}");
            assert!(stats.batches * BATCH < stats.stored, "{} batches", stats.batches);
            (0..100).for_each(|n| drop(info_span!("after", n)));
            kept
        });
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        kept
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.stored), (20_101, kept + 101), "{report}");
    let db = ledger::check(scratch.db(), &report);
    let spans = db.spans();
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (backlog, after) = (of("backlog"), of("after"));
    let numbers: Vec<_> = backlog.iter().map(|span| span.n()).collect();
    assert_eq!(numbers, (0..kept as i64).collect::<Vec<_>>(), "the oldest, and no other");
    assert_eq!(after.len(), 100);
    // What is missing was lost between the last that was kept and the first that came after.
    let (last, next) = (backlog[backlog.len() - 1], after[0]);
    for loss in db.losses() {
        assert_eq!(loss.reason, "store_error");
        assert!(loss.from_ns <= next.start_ns && loss.to_ns >= last.start_ns, "{loss:?}");
    }
}

#[test]
fn children_far_behind_their_parents_in_a_backlog_are_known_to_them() {
    alone!();
    let scratch = scratch_for(120);
    let profiler = small(scratch.db())
        .ring_capacity(65_536)
        .partitions(3)
        .batch_size(BATCH as usize)
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        let lock = lock(scratch.db());
        stall(&profiler);
        // The children close on threads of their own: so they lie in other partitions than their
        // parents, some thousand records into each, of which a batch takes a few at a time.
        for round in 0..20 {
            let parents: Vec<_> = (0..50).map(|n| info_span!("parent", round, n)).collect();
            std::thread::scope(|scope| {
                for thread in 0..2 {
                    let (parents, dispatch) = (&parents, &dispatch);
                    scope.spawn(move || {
                        within(dispatch, || {
                            for parent in parents {
                                let child = info_span!(parent: parent, "child", thread);
                                child.in_scope(|| info_span!("grandchild").in_scope(|| ()));
                            }
                        });
                    });
                }
            });
            parents.into_iter().for_each(|parent| parent.in_scope(|| ()));
        }
        lock.execute_batch("ROLLBACK").unwrap();
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 1 + 20 * 50 * 5, "{report}");
    // Computes each self time again.
    let db = ledger::check_complete(scratch.db(), &report);
    let with_children = "self_ns < first_entry_ns + busy_ns"; // they were entered once
    assert!(db.count(&format!("SELECT count(*) FROM span WHERE {with_children}")) > 1_000);
}

#[test]
fn a_backlog_that_close_has_no_time_for_is_counted() {
    alone!();
    let scratch = scratch_for(120);
    let profiler = small(scratch.db())
        .ring_capacity(1 << 18)
        .partitions(1)
        .batch_size(BATCH as usize)
        .close_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let open = within(&dispatch(&profiler), || {
        let lock = lock(scratch.db());
        stall(&profiler);
        (0..100_000).for_each(|n| drop(info_span!("backlog", n)));
        lock.execute_batch("ROLLBACK").unwrap();
        // From here on the store takes what it is given.
        while profiler.stats().stored == 0 {
            std::thread::yield_now();
        }
        info_span!("open")
    });
    let mut report = profiler.close().unwrap();
    // How far the writer has come is a matter of luck; that the file and the ledger agree, losses and
    // all, is not.
    if report.in_flight == 0 {
        assert_eq!(report.timed_out, report.dropped.total() > 0, "{report:?}");
    }
    // Where others keep the writer from its processor for more than a second, `close` does not wait for its end, and says so.
    while report.in_flight > 0 {
        assert!(report.timed_out, "{report:?}");
        std::thread::sleep(Duration::from_millis(20));
        report = profiler.close().unwrap();
    }
    assert_eq!(report.recorded, 100_002, "{report}");
    assert_eq!((report.unfinished, report.dropped.store_error), (1, report.dropped.total()));
    ledger::check(scratch.db(), &report);
    within(&dispatch(&profiler), || drop(open));
}
