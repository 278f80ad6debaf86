//! Any client of SQLite can follow a recording by the numbers of its commits, as the book says: it gets
//! each span and event once, in whatever order spans close. By the ids of spans it would miss some.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, OpenFlags, named_params};
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(60);
const THREADS: u64 = 8;
const ROUNDS: u64 = 120;

/// The queries of the page: the beginning, how far there is to read, and what came.
fn of_the_book() -> [&'static str; 3] {
    let page = include_str!("../docs/src/howto/follow.md");
    let queries: Vec<_> =
        page.split("```sql\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    queries.try_into().unwrap()
}

/// Whoever follows, by commits and, to compare, by ids.
struct Reader {
    conn: Connection,
    cursor: i64,
    spans: Vec<i64>,
    events: Vec<i64>,
    newest: i64,
    by_id: u64,
}

impl Reader {
    fn new(conn: Connection) -> Self {
        let [begin, ..] = of_the_book();
        let cursor = conn.query_row(begin, [], |row| row.get(0)).unwrap();
        Self { conn, cursor, spans: Vec::new(), events: Vec::new(), newest: 0, by_id: 0 }
    }

    fn poll(&mut self) {
        let [_, until, rows] = of_the_book();
        let tx = self.conn.transaction().unwrap();
        let cursor = self.cursor;
        let until: i64 =
            tx.query_row(until, named_params! {":cursor": cursor}, |row| row.get(0)).unwrap();
        let of_events = rows.replace("span AS", "event AS").replace("'span'", "'event'");
        for (sql, found) in [(rows, &mut self.spans), (&of_events, &mut self.events)] {
            let mut query = tx.prepare(sql).unwrap();
            let values = named_params! {":cursor": cursor, ":until": until};
            let ids = query.query_map(values, |row| row.get::<_, i64>("id")).unwrap();
            found.extend(ids.map(Result::unwrap));
        }
        let newer = "SELECT count(*), coalesce(max(id), ?1) FROM span WHERE id > ?1";
        let (count, newest): (i64, i64) =
            tx.query_row(newer, [self.newest], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        self.by_id += count as u64;
        self.newest = newest;
        self.cursor = until;
    }
}

/// Spans that close in another order than they were made in, some of them rounds later.
fn record(thread: u64) {
    let mut kept: Vec<Span> = Vec::new();
    for round in 0..ROUNDS {
        let mut made: Vec<Span> = (0..6).map(|n| info_span!("work", n)).collect();
        made.iter().for_each(|span| span.in_scope(|| info!(round)));
        let last = made.len() - 1;
        made.swap(0, last);
        if (round + thread).is_multiple_of(7) {
            kept.extend(made.pop());
        }
        if round.is_multiple_of(40) {
            kept.clear();
        }
    }
}

#[test]
fn each_row_is_seen_once_by_the_numbers_of_commits_and_not_by_ids() {
    let scratch = scratch_for(120);
    let spans = THREADS * ROUNDS * 6 + 1;
    let profiler = small(scratch.db())
        .batch_size(64)
        .flush_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let dispatch = dispatch(&profiler);
    let conn = Connection::open_with_flags(scratch.db(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.busy_timeout(LONG).unwrap();
    let mut reader = Reader::new(conn);
    // Open while all the others are recorded and read: no cursor of ids can find it.
    let old = within(&dispatch, || info_span!("old"));
    let (done, start) = (AtomicBool::new(false), Barrier::new(THREADS as usize));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                reader.poll();
                std::thread::yield_now();
            }
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (start, dispatch) = (&start, &dispatch);
                scope.spawn(move || {
                    start.wait();
                    within(dispatch, || record(thread));
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        profiler.flush(LONG).unwrap();
        done.store(true, Ordering::Release);
        reading.join().unwrap();
    });
    reader.poll();
    within(&dispatch, || drop(old));
    profiler.flush(LONG).unwrap();
    reader.poll();
    let distinct: BTreeSet<i64> = reader.spans.iter().copied().collect();
    assert_eq!((reader.spans.len() as u64, distinct.len() as u64), (spans, spans));
    let distinct: BTreeSet<i64> = reader.events.iter().copied().collect();
    assert_eq!((reader.events.len() as u64, distinct.len() as u64), (spans - 1, spans - 1));
    assert!(reader.by_id < spans, "{} of {spans}", reader.by_id);
    let last = "SELECT last_batch_id = (SELECT max(id) FROM batch) FROM run";
    assert!(reader.conn.query_row(last, [], |row| row.get::<_, bool>(0)).unwrap());
    drop(reader);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}

/// So that the cost of a poll is that of what came, however much there is already.
#[test]
fn what_came_is_found_by_ranges_of_ids() {
    let scratch = scratch();
    small(scratch.db()).build().unwrap().close().unwrap();
    let conn = Connection::open(scratch.db()).unwrap();
    let [.., rows] = of_the_book();
    let sql = rows.replace(":cursor", "5").replace(":until", "9");
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<String> = steps.map(Result::unwrap).collect();
    assert!(steps[0].starts_with("SEARCH r USING PRIMARY KEY (batch_id>? AND"), "{steps:?}");
    assert_eq!(steps[1], "SEARCH s USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
}
