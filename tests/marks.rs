//! A mark that the program sets is in the file, at its time among spans, and never holds the program up.

use rusqlite::Connection;
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_mark_lies_between_the_spans_that_end_around_it() {
    let (scratch, profiler) = recording_for(60);
    within(&dispatch(&profiler), || {
        for n in 0..200_i64 {
            drop(info_span!("work", n));
            profiler.mark(format!("mark {n}")).unwrap();
            if n == 100 {
                profiler.flush(LONG).unwrap();
            }
        }
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (200, 0));
    let db = ledger::check_complete(scratch.db(), &report);
    let marks = db.rows("SELECT at_ns, until_ns, label, run_id FROM mark ORDER BY id", [], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, Option<i64>>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, i64>(3)?,
        ))
    });
    assert_eq!(marks.len(), 200);
    let spans = db.spans();
    for (n, (at_ns, until_ns, label, run)) in marks.iter().enumerate() {
        assert_eq!((until_ns, label.as_str(), *run), (&None, format!("mark {n}").as_str(), 1));
        assert!(spans[n].end_ns() <= *at_ns, "{:?} and mark at {at_ns}", spans[n]);
        let next = spans.get(n + 1).map_or(i64::MAX, |span| span.start_ns);
        assert!(*at_ns <= next, "mark at {at_ns}, the next span at {next}");
    }
}

#[test]
fn a_flush_covers_the_marks_before_it() {
    let scratch = scratch_for(60);
    // So that nothing but the flush can be the reason for a commit.
    let profiler = small(scratch.db()).flush_interval(HOUR).build().unwrap();
    let db = Database::open(scratch.db());
    for n in 1..=50 {
        profiler.mark("mark").unwrap();
        profiler.flush(LONG).unwrap();
        assert_eq!(db.count("SELECT count(*) FROM mark"), n);
        assert_eq!(profiler.stats().marks, n);
    }
}

#[test]
fn a_mark_alone_is_committed_after_the_flush_interval() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(Duration::from_millis(5)).build().unwrap();
    profiler.mark("alone").unwrap();
    let db = Database::open(scratch.db());
    while db.count("SELECT count(*) FROM mark") == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn what_waits_is_written_by_close() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(HOUR).build().unwrap();
    (0..100).for_each(|n| profiler.mark(n.to_string()).unwrap());
    let report = profiler.close().unwrap();
    assert_eq!(report.marks, 100);
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.count("SELECT count(*) FROM mark"), 100);
    assert_eq!(db.count("SELECT report ->> '$.marks.stored' FROM run"), 100);
}

#[test]
fn marks_that_find_no_room_are_counted() {
    let (scratch, profiler) = recording_for(60);
    let full = |error: spandrel::Error| assert_eq!(error.kind(), ErrorKind::MarksFull, "{error}");
    let mut taken = 0;
    while profiler.stats().marks_dropped == 0 {
        match profiler.mark("again and again") {
            Ok(()) => taken += 1,
            Err(error) => full(error),
        }
    }
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (taken, 1));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.count("SELECT count(*) FROM mark"), taken);
}

#[test]
fn marks_that_wait_for_a_database_that_refuses_to_the_end_are_counted() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).close_timeout(Duration::from_millis(50)).build().unwrap();
    let other = Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    (0..10).for_each(|n| profiler.mark(n.to_string()).unwrap());
    profiler.flush(Duration::from_millis(300)).unwrap_err();
    // Some are in the batch that is refused, and some behind it.
    (10..30).for_each(|n| profiler.mark(n.to_string()).unwrap());
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (0, 30));
    let why = report.last_refusal.as_deref().unwrap();
    assert!(why.contains("another connection holds a lock"), "{why}");
}

#[test]
fn marks_that_found_no_room_are_told_of_while_the_recording_goes_on() {
    let (scratch, profiler) = recording_for(60);
    let other = Connection::open(scratch.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut taken, mut dropped) = (0_u64, 0_u64);
    while dropped < 100 {
        match profiler.mark("again and again") {
            Ok(()) => taken += 1,
            Err(_full) => dropped += 1,
        }
    }
    other.execute_batch("ROLLBACK").unwrap();
    while profiler.flush(LONG).is_err() {
        std::thread::yield_now();
    }
    let db = Database::open(scratch.db());
    let live = "SELECT report ->> '$.marks.dropped' FROM run WHERE ended_unix_ns IS NULL";
    assert_eq!(db.count(live), dropped);
    assert_eq!(db.count("SELECT count(*) FROM mark"), taken);
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (taken, dropped));
}

#[test]
fn many_threads_mark_while_others_record() {
    let (scratch, profiler) = recording_for(60);
    let dispatch = dispatch(&profiler);
    let refused: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    within(&dispatch, || {
                        let mark = |n: u64| {
                            drop(info_span!("work", n));
                            u64::from(profiler.mark(n.to_string()).is_err())
                        };
                        (0..2_000).map(mark).sum::<u64>()
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (8_000 - refused, refused));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_eq!(db.count("SELECT count(*) FROM mark"), 8_000 - refused);
}

#[test]
fn labels_are_data() {
    let (scratch, profiler) = recording_for(60);
    let hostile = "'); DROP TABLE mark; --\u{1b}[2J\r\n\0\u{202e}";
    profiler.mark(hostile).unwrap();
    profiler.mark("").unwrap();
    profiler.mark("\u{1F980}".repeat(100_000)).unwrap();
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let labels = db.rows("SELECT label FROM mark ORDER BY id", [], |row| row.get::<_, String>(0));
    assert_eq!(labels, [hostile, "", &"\u{1F980}".repeat(64)]);
}

#[test]
fn after_close_and_when_switched_off_nothing_happens() {
    let (_scratch, profiler) = recording_for(60);
    profiler.close().unwrap();
    assert_eq!(profiler.mark("late").unwrap_err().kind(), ErrorKind::Closed);
    assert!(!profiler.section("late").is_recorded());
    assert_eq!((profiler.stats().marks, profiler.stats().marks_dropped), (0, 0));
    let off = Profiler::disabled();
    off.mark("off").unwrap();
    assert!(!off.section("off").is_recorded());
    assert_eq!(off.stats().marks, 0);
}

#[test]
fn ids_go_on_in_the_next_run() {
    let scratch = scratch_for(60);
    for run in 1..=3 {
        let profiler = small(scratch.db()).build().unwrap();
        profiler.mark(format!("run {run}")).unwrap();
        drop(profiler.section("section"));
        profiler.close().unwrap();
    }
    let db = Database::open(scratch.db());
    let sound = "SELECT count(*) FROM mark WHERE label = 'run ' || run_id AND id = 2 * run_id - 1
                 OR label = 'section' AND until_ns >= at_ns AND id = 2 * run_id";
    assert_eq!(db.count(sound), 6);
}
