//! Several threads enter a span that lives long at the same time: it has as many calls as it has entries, and they are
//! as long as it was busy, whichever thread began to count when, and whatever was dropped.

use std::sync::{Barrier, Mutex};

use rusqlite::Connection;
use spandrel::{Entries, Fault};
use spandrel_query::{CountedBy, Reader};
use spandrel_tests::prelude::*;

const THREADS: u64 = 4;

/// Which entries of a span are recorded.
const RULES: [fn(ProfilerBuilder) -> ProfilerBuilder; 3] = [
    |builder| builder,
    |builder| builder.entries(Entries::All),
    |builder| builder.entries_of("shared", Entries::All),
];

/// A recording that goes on.
struct Recording {
    scratch: Scratch,
    profiler: Profiler,
    dispatch: Dispatch,
}

impl Recording {
    fn new(front: Front, set: impl FnOnce(ProfilerBuilder) -> ProfilerBuilder) -> Self {
        let scratch = scratch();
        let profiler = set(small(scratch.db())).build().unwrap();
        let dispatch = front.dispatch(&profiler);
        Self { scratch, profiler, dispatch }
    }

    /// Each thread enters the span so often, the one that made it among them, sometimes with another span or itself
    /// inside.
    fn enter(&self, span: &Span, times: u64) {
        let barrier = Barrier::new(THREADS as usize);
        let body = || {
            within(&self.dispatch, || {
                barrier.wait();
                (0..times).for_each(|n| span.in_scope(|| inside(span, n)));
            });
        };
        std::thread::scope(|scope| {
            (1..THREADS).for_each(|_| drop(scope.spawn(body)));
            body();
        });
    }

    fn flush(&self) {
        self.profiler.flush(Duration::from_secs(60)).unwrap();
    }

    fn close(self) -> (Scratch, Report) {
        let Self { scratch, profiler, dispatch } = self;
        drop(dispatch);
        let report = profiler.close().unwrap();
        (scratch, report)
    }
}

fn inside(span: &Span, n: u64) {
    match n % 64 {
        0 => info_span!("child").in_scope(|| {}),
        // The same once more is no entry.
        1 => span.in_scope(|| {}),
        _ => {}
    }
}

/// The calls and their sum by the rollups, and by the rows; and what the span itself says.
fn figures(db: &Database, reader: &Reader) -> [(u64, i64); 3] {
    let pair =
        |sql: &str| db.rows(sql, [], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))[0];
    let rows = pair(
        "SELECT coalesce(sum(1 + coalesce(earlier_entries, 0)), 0),
           coalesce(sum(duration_ns + coalesce(earlier_ns, 0)), 0)
         FROM entry AS e JOIN callsite AS c ON c.id = e.callsite_id AND c.name = 'shared'
         WHERE self_ns IS NOT NULL",
    );
    let span = pair(
        "SELECT sum(entries), sum(busy_ns) FROM (
           SELECT entries, busy_ns, callsite_id FROM span
           UNION ALL SELECT entries, busy_ns, callsite_id FROM open_span)
         WHERE callsite_id IN (SELECT id FROM callsite WHERE name = 'shared')",
    );
    let run = reader.latest_run().unwrap().unwrap().id;
    let top = reader.top_named(run, "shared").unwrap();
    let by_entries = top.iter().find(|top| top.counted == CountedBy::Entries);
    [by_entries.map_or((0, 0), |top| (top.calls, top.sum_ns)), rows, span]
}

fn check_closed(scratch: &Scratch, report: &Report, entries: u64) {
    let db = ledger::check(scratch.db(), report);
    let [top, rows, span] = figures(&db, &Reader::open(scratch.db()).unwrap());
    assert_eq!(span.0, entries, "entries of the span itself");
    assert_eq!((top, rows), (span, span), "calls and sum: top, rows; entries and busy");
}

#[test]
fn calls_of_a_span_that_several_threads_enter_at_once_are_its_entries() {
    let _limit = time_limit(300);
    for (front, rule) in Front::BOTH.into_iter().flat_map(|front| RULES.map(|rule| (front, rule))) {
        for _ in 0..rounds(2) {
            let recording = Recording::new(front, rule);
            let shared = within(&recording.dispatch, || info_span!("shared"));
            recording.enter(&shared, 3_000);
            drop(shared);
            let (scratch, report) = recording.close();
            assert_eq!(report.entries.dropped.total(), 0);
            check_closed(&scratch, &report, 3_000 * THREADS);
        }
    }
}

/// All that was recorded is drained, so that the figures are those of the last entry: no more than there were.
#[test]
fn calls_of_a_span_that_is_open_are_never_more_than_its_entries() {
    let _limit = time_limit(300);
    for front in Front::BOTH {
        let recording = Recording::new(front, |builder| builder);
        let shared = within(&recording.dispatch, || info_span!("shared"));
        let db = Database::open(recording.scratch.db());
        let reader = Reader::open(recording.scratch.db()).unwrap();
        for n in 1..=4 {
            recording.enter(&shared, 1_500);
            recording.flush();
            let [top, rows, span] = figures(&db, &reader);
            assert_eq!(top, rows);
            let all = 1_500 * THREADS * n;
            assert!(top.0 >= all - all / 100 - 16, "nothing was dropped: {top:?}");
            assert!(span.0 == 0 || top.0 <= span.0, "{top:?}, {span:?}");
            assert!(top.0 <= all, "{top:?}");
        }
        drop(shared);
        let (scratch, report) = recording.close();
        check_closed(&scratch, &report, 6_000 * THREADS);
    }
}

/// The file is locked while the threads enter, so that the ring can only fill up.
#[test]
fn entries_that_are_dropped_are_calls_all_the_same() {
    let _limit = time_limit(300);
    for (front, rule) in Front::BOTH.into_iter().flat_map(|front| RULES.map(|rule| (front, rule))) {
        let recording =
            Recording::new(front, |builder| rule(builder).ring_capacity(1_024).batch_size(256));
        let shared = within(&recording.dispatch, || info_span!("shared"));
        recording.enter(&shared, 1_200);
        recording.flush();
        let lock = Connection::open(recording.scratch.db()).unwrap();
        lock.busy_timeout(Duration::from_secs(60)).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        recording.enter(&shared, 2_000);
        lock.execute_batch("ROLLBACK").unwrap();
        recording.flush();
        recording.enter(&shared, 50);
        drop(shared);
        let (scratch, report) = recording.close();
        assert!(report.entries.dropped.total() > 0, "{report}");
        check_closed(&scratch, &report, 3_250 * THREADS);
    }
}

/// The writer panics over one of the batches.
#[test]
fn entries_of_a_batch_that_is_lost_are_calls_all_the_same() {
    let _limit = time_limit(300);
    for front in Front::BOTH {
        for batch in 1..=4 {
            let hour = Duration::from_secs(3_600);
            let recording = Recording::new(front, |builder| {
                builder.flush_interval(hour).batch_size(1 << 16).fault(Fault::PanicInBatch(batch))
            });
            let shared = within(&recording.dispatch, || info_span!("shared"));
            for _ in 0..6 {
                recording.enter(&shared, 800);
                // That of the batch may say so.
                let _ = recording.profiler.flush(Duration::from_secs(60));
            }
            drop(shared);
            let (scratch, report) = recording.close();
            assert!(report.entries.dropped.writer_panic > 0, "{report}");
            check_closed(&scratch, &report, 4_800 * THREADS);
        }
    }
}

/// One thread after the other, so that some of them begin to count when others have ended, and many spans of which some
/// close while others are entered.
#[test]
fn spans_that_close_while_others_are_entered_have_all_their_calls() {
    let _limit = time_limit(300);
    for front in Front::BOTH {
        let recording = Recording::new(front, |builder| builder.batch_size(512));
        let open = Mutex::new(Vec::new());
        within(&recording.dispatch, || {
            open.lock().unwrap().extend((0..6).map(|_| info_span!("shared")));
        });
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (open, recording) = (&open, &recording);
                scope.spawn(move || {
                    within(&recording.dispatch, || {
                        for round in 0..6 {
                            let span = open.lock().unwrap()[(thread as usize + round) % 6].clone();
                            for n in 0..700 + 100 * thread {
                                span.in_scope(|| inside(&span, n));
                            }
                        }
                    });
                });
            }
        });
        open.lock().unwrap().clear();
        let (scratch, report) = recording.close();
        let db = ledger::check(scratch.db(), &report);
        let long = db.count(
            "SELECT count(*) FROM span WHERE self_ns IS NULL AND entries = 3400
             AND (SELECT sum(1 + coalesce(earlier_entries, 0)) FROM entry WHERE span_id = span.id) = 3400",
        );
        assert!(long == 6, "{front:?}: {long}");
    }
}

/// A span that is open when the recording ends.
#[test]
fn calls_of_a_span_that_is_never_closed_are_its_entries() {
    let _limit = time_limit(300);
    for front in Front::BOTH {
        let recording = Recording::new(front, |builder| builder);
        let shared = within(&recording.dispatch, || info_span!("shared"));
        recording.enter(&shared, 2_000);
        let (scratch, report) = recording.close();
        assert_eq!(report.unfinished, 1);
        check_closed(&scratch, &report, 2_000 * THREADS);
        drop(shared);
    }
}

/// The second file has none of the entries that are in the first one, and the span.
#[test]
fn a_file_that_is_begun_anew_has_all_calls_of_a_span_that_closes_there() {
    let _limit = time_limit(300);
    for front in Front::BOTH {
        let recording = Recording::new(front, |builder| builder);
        let shared = within(&recording.dispatch, || info_span!("shared"));
        recording.enter(&shared, 1_500);
        recording.flush();
        for name in ["", "-wal", "-shm"] {
            let mut path = recording.scratch.db().as_os_str().to_owned();
            path.push(name);
            std::fs::remove_file(path).unwrap();
        }
        recording.flush();
        recording.enter(&shared, 1_000);
        drop(shared);
        let (scratch, _report) = recording.close();
        let db = Database::open(scratch.db());
        let [top, rows, span] = figures(&db, &Reader::open(scratch.db()).unwrap());
        assert_eq!(span.0, 2_500 * THREADS);
        assert_eq!((top, rows), (span, span));
    }
}
