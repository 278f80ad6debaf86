//! How much retention reads, counted in steps of SQLite's virtual machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::*;

use crate::compat::Settled as _;
use crate::record::{Batch, SpanRow};
use crate::schema;

const SECOND: i64 = 1_000_000_000;

struct Profile {
    conn: Connection,
    steps: Arc<AtomicU64>,
    known: Known,
    in_hand: InHand,
}

impl Profile {
    fn new() -> Self {
        let mut conn = Connection::open_in_memory().unwrap();
        let tx = conn.transaction().unwrap();
        schema::create(&tx).unwrap();
        tx.commit().unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&steps);
        let count = move || {
            own.fetch_add(1, Ordering::Relaxed);
            false
        };
        conn.progress_handler(1, Some(count)).settled().unwrap();
        Self {
            conn,
            steps,
            known: Known::default(),
            in_hand: InHand { run_id: None, aside: vec![1, 2] },
        }
    }

    fn run(&self, id: i64, first_id: i64) {
        let sql = "INSERT INTO run (id, uuid, started_unix_ns, pid, program, args, host, os, cpus, clock, settings, first_id,
                     last_id, last_ns, spans, unfinished, events, links, dropped_spans, dropped_events, pruned_spans,
                     pruned_events)
                   VALUES (?1, ?1, 0, 1, '', '[]', '', '', 1, '', '{}', ?2, ?2, 0, 0, 0, 0, 0, 0, 0, 0, 0)";
        assert_eq!(self.conn.execute(sql, [id, first_id]).unwrap(), 1);
    }

    /// So many spans of a run, all of which begin at this moment.
    fn spans(&self, run_id: i64, first_id: i64, count: i64, start_ns: i64) {
        let sql = "INSERT INTO span (id, run_id, root_id, callsite_id, thread_id, start_ns, entries, status)
                   WITH RECURSIVE n (id) AS (SELECT ?2 UNION ALL SELECT id + 1 FROM n WHERE id < ?2 + ?3 - 1)
                   SELECT id, ?1, id, 1, 1, ?4, 1, 'ok' FROM n";
        let rows = self.conn.execute(sql, [run_id, first_id, count, start_ns]).unwrap();
        assert_eq!(rows as i64, count);
        let sql = "UPDATE run SET spans = spans + ?2, last_id = max(last_id, ?3),
                     last_ns = max(last_ns, ?4) WHERE id = ?1";
        let last = first_id + count - 1;
        self.conn.execute(sql, [run_id, count, last, start_ns]).unwrap();
    }

    /// A commit of a run with so many spans.
    fn commit(&self, run_id: i64, first_id: i64, count: i64, start_ns: i64) {
        self.spans(run_id, first_id, count, start_ns);
        let sql = "INSERT INTO batch (run_id, at_unix_ns, spans, events, links, entries) VALUES (?1, 0, ?2, 0, 0, 0)";
        self.conn.execute(sql, [run_id, count]).unwrap();
        let batch_id = self.conn.last_insert_rowid();
        let sql = "INSERT INTO batch_range VALUES (?1, 'span', ?2, ?3, ?3 - ?2 + 1, 0)";
        self.conn.execute(sql, [batch_id, first_id, first_id + count - 1]).unwrap();
        let sql = "UPDATE span SET batch_id = ?1 WHERE id BETWEEN ?2 AND ?3";
        self.conn.execute(sql, [batch_id, first_id, first_id + count - 1]).unwrap();
    }

    /// So many marks, gauges, threads and open spans of a run, of this moment.
    fn others(&self, run_id: i64, first_id: i64, count: i64, at_ns: i64) {
        for insert in [
            "mark (id, run_id, at_ns, label) SELECT id, ?1, ?4, 'label'",
            "gauge (id, run_id, at_ns, name, version, updates) SELECT id, ?1, ?4, 'name', 1, 1",
            "thread (id, run_id, os_id) SELECT id, ?1, ?4 - ?4",
            "open_span (id, run_id, root_id, callsite_id, thread_id, start_ns, entries, seen_ns)
               SELECT id, ?1, id, 1, 1, ?4, 1, ?4",
        ] {
            let sql = format!(
                "WITH RECURSIVE n (id) AS (SELECT ?2 UNION ALL SELECT id + 1 FROM n WHERE id < ?2 + ?3 - 1)
                 INSERT INTO {insert} FROM n"
            );
            let rows = self.conn.execute(&sql, [run_id, first_id, count, at_ns]).unwrap();
            assert_eq!(rows as i64, count);
        }
        let sql = "UPDATE run SET last_ns = max(last_ns, ?2) WHERE id = ?1";
        self.conn.execute(sql, [run_id, at_ns]).unwrap();
    }

    /// How many of those a run has.
    fn others_of(&self, run_id: i64) -> [i64; 4] {
        ["mark", "gauge", "thread", "open_span"].map(|table| {
            let sql = format!("SELECT count(*) FROM {table} WHERE run_id = ?1");
            self.conn.query_row(&sql, [run_id], |row| row.get(0)).unwrap()
        })
    }

    /// Deletes what is from before this moment; returns the steps that it took as well.
    fn prune(&mut self, before_ns: i64) -> (Pruned, u64) {
        self.prune_to(&Limits::before(before_ns))
    }

    fn prune_to(&mut self, limits: &Limits) -> (Pruned, u64) {
        let Self { conn, steps, known, in_hand } = self;
        steps.store(0, Ordering::Relaxed);
        let tx = conn.transaction().unwrap();
        let pruned = prune(&tx, limits, Pace::step(), in_hand, known);
        tx.commit().unwrap();
        (pruned.unwrap(), steps.load(Ordering::Relaxed))
    }

    /// The same until nothing is left to do.
    fn prune_all(&mut self, before_ns: i64) {
        while self.prune(before_ns).0.more {}
    }

    fn stored(&self, run_id: i64) -> Vec<i64> {
        let mut query = self.conn.prepare("SELECT id FROM span WHERE run_id = ?1").unwrap();
        let ids = query.query_map([run_id], |row| row.get(0)).unwrap();
        ids.collect::<rusqlite::Result<_>>().unwrap()
    }
}

/// A run with two pieces of ids, and so many rows of another one between them.
fn with_rows_between(others: i64) -> Profile {
    let profile = Profile::new();
    profile.run(1, 1);
    profile.run(2, 101);
    profile.spans(1, 1, 100, SECOND);
    profile.spans(2, 101, others, 9 * SECOND);
    profile.spans(1, 101 + others, 100, 9 * SECOND);
    profile
}

#[test]
fn rows_of_others_between_two_pieces_of_a_run_are_not_read_at_each_commit() {
    let [few, many] = [20_000, 80_000].map(|others| {
        let mut profile = with_rows_between(others);
        let mut most = 0;
        loop {
            let (pruned, steps) = profile.prune(2 * SECOND);
            most = steps.max(most);
            if !pruned.more {
                break;
            }
        }
        assert_eq!(profile.stored(1).len(), 100, "the first piece is gone");
        let (pruned, steps) = profile.prune(2 * SECOND);
        assert_eq!((pruned.spans, pruned.more), (0, false));
        (most, steps)
    });
    // The most that a call takes, and what each takes once it is known where its rows begin.
    let slightly_more = |few: u64| few + few / 10;
    assert!(many.0 <= slightly_more(few.0), "{few:?} {many:?}");
    assert!(many.1 <= slightly_more(few.1), "{few:?} {many:?}");
}

#[test]
fn a_span_that_closes_late_is_deleted_and_what_is_behind_the_others_too() {
    let others = 50_000;
    let mut profile = with_rows_between(others);
    // So that the run is not old as a whole.
    let young = 1_000_000;
    profile.spans(1, young, 1, 20 * SECOND);
    profile.prune_all(2 * SECOND);
    let (_, usual) = profile.prune(2 * SECOND);
    // Two that were open: of one, it is not time yet.
    for (id, start_ns) in [(50, SECOND), (60, 3 * SECOND)] {
        profile.spans(1, id, 1, start_ns);
        let row = SpanRow { id: id as u64, ..Default::default() };
        profile.known.places.add(1, &Batch { spans: vec![row], ..Batch::default() });
    }
    let (pruned, steps) = profile.prune(2 * SECOND);
    assert_eq!((pruned.spans, pruned.more), (1, false));
    assert!(steps < usual + usual / 10, "{steps} {usual}");
    assert_eq!(profile.stored(1)[..2], [60, 101 + others]);
    profile.prune_all(4 * SECOND);
    assert_eq!(profile.stored(1)[0], 101 + others);
    profile.prune_all(10 * SECOND);
    assert_eq!(profile.stored(1), [young]);
}

#[test]
fn more_late_spans_than_are_remembered_are_deleted_as_well() {
    let mut profile = with_rows_between(50_000);
    // One that stays, behind all; so ids below are free.
    let (first, young) = (1_000_000, 1_020_000);
    profile.spans(1, young, 1, 20 * SECOND);
    profile.prune_all(10 * SECOND);
    assert_eq!(profile.stored(1), [young]);
    for part in 0..2 {
        let ids = first + part * 9_000..first + (part + 1) * 9_000;
        profile.spans(1, ids.start, 9_000, 9 * SECOND);
        let row = |id| SpanRow { id: id as u64, ..Default::default() };
        let spans = ids.map(row).collect();
        profile.known.places.add(1, &Batch { spans, ..Batch::default() });
        profile.prune_all(10 * SECOND);
        assert_eq!(profile.stored(1).len(), 1);
    }
}

/// A young run with so many marks, gauges, threads and open spans, and behind those the ones of an old run.
fn with_others_before(count: i64) -> Profile {
    let profile = Profile::new();
    (1..=3).for_each(|run| profile.run(run, run));
    profile.others(1, 1, count, 9 * SECOND);
    profile.others(2, 1 + count, 10, SECOND);
    profile
}

#[test]
fn what_stays_of_one_run_does_not_hold_what_is_behind_it_of_others() {
    let mut profile = with_others_before(20_000);
    // While both are recorded, there is little at each call.
    for _ in 0..3 {
        profile.prune(2 * SECOND);
    }
    assert_eq!(profile.others_of(2), [0, 0, 10, 10], "threads of one that is in hand stay");
    profile.in_hand.aside = vec![1];
    for _ in 0..3 {
        profile.prune(2 * SECOND);
    }
    assert_eq!(profile.others_of(2), [0; 4]);
    assert_eq!(profile.others_of(1), [20_000; 4]);
    // And from the front again.
    for _ in 0..3 {
        profile.prune(10 * SECOND);
    }
    assert_eq!(profile.others_of(1), [0, 0, 20_000, 20_000]);
}

#[test]
fn where_nobody_records_there_is_more_to_do_until_all_was_looked_at() {
    let mut profile = with_others_before(20_000);
    profile.in_hand = InHand::default();
    profile.prune_all(2 * SECOND);
    assert_eq!((profile.others_of(1), profile.others_of(2)), ([20_000; 4], [0; 4]));
    // What a call finds then is all there is.
    assert!(!profile.prune(2 * SECOND).0.more);
    let before_run = Limits::before_run(2);
    while profile.prune_to(&before_run).0.more {}
    assert_eq!(profile.others_of(1), [0; 4]);
}

#[test]
fn by_size_what_belongs_to_rows_that_are_gone_goes_at_the_end() {
    let mut profile = Profile::new();
    (1..=3).for_each(|run| profile.run(run, run));
    // They are looked at before the last spans are gone.
    profile.others(2, 1, 10, SECOND);
    profile.others(1, 11, 40_000, 9 * SECOND);
    profile.in_hand = InHand::default();
    profile.spans(2, 100_000, 20_000, 0);
    profile.spans(3, 130_000, 1, 0);
    let size = Limits { max_bytes: Some(1), room: 0, cutoff_unix_ns: None, first_run: None };
    while profile.prune_to(&size).0.more {}
    assert_eq!((profile.others_of(1), profile.others_of(2)), ([0; 4], [0; 4]));
}

#[test]
fn a_call_looks_at_so_many_marks_however_many_there_are() {
    let [few, many] = [20_000, 80_000].map(|count| {
        let mut profile = with_others_before(count);
        let calls = (0..15).map(|_| profile.prune(2 * SECOND).1);
        calls.max().unwrap()
    });
    assert!(many <= few + few / 10, "{few} {many}");
}

#[test]
fn commits_go_with_their_rows_whatever_another_run_has_before_them() {
    let mut profile = Profile::new();
    (1..=4).for_each(|run| profile.run(run, (run - 1) * 10_000 + 1));
    // One that goes on and has the smallest ids, one with young rows behind old ones, one that ended, and the last.
    profile.commit(1, 1, 2, 9 * SECOND);
    for at in 0..300 {
        let start_ns = if at < 200 { SECOND } else { 9 * SECOND };
        profile.commit(2, 10_001 + 2 * at, 2, start_ns);
        profile.commit(3, 20_001 + 2 * at, 2, SECOND);
    }
    profile.commit(4, 30_001, 2, 9 * SECOND);
    let left = |profile: &Profile| -> Vec<(i64, i64)> {
        let sql = "SELECT run_id, count(*) FROM batch GROUP BY run_id ORDER BY run_id";
        let mut query = profile.conn.prepare(sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    // Links of spans that are open: of one that began before what is deleted, and of one that began after it.
    for span_id in [10_050, 10_900] {
        let sql = "INSERT INTO batch (run_id, at_unix_ns, spans, events, links, entries)
                   VALUES (2, 0, 0, 0, 1, 0)";
        profile.conn.execute(sql, []).unwrap();
        let batch_id = profile.conn.last_insert_rowid();
        let sql = "INSERT INTO batch_range VALUES (?1, 'link', ?2, ?2, 1, NULL)";
        profile.conn.execute(sql, [batch_id, span_id]).unwrap();
        let sql = "INSERT INTO link VALUES (?2, 1, 2, ?1)";
        profile.conn.execute(sql, [batch_id, span_id]).unwrap();
    }
    // One that has only ids of other systems: whoever follows the recording has to see it.
    let sql = "INSERT INTO batch (run_id, at_unix_ns, spans, events, links, entries)
               VALUES (4, 0, 0, 0, 0, 0)";
    profile.conn.execute(sql, []).unwrap();
    for _ in 0..12 {
        profile.prune(2 * SECOND);
    }
    let links = "SELECT count(*), min(batch_id IN (SELECT id FROM batch)) FROM link";
    let links = profile.conn.query_row(links, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(links.unwrap(), (1_i64, true));
    assert_eq!(left(&profile), [(1, 1), (2, 101), (4, 2)]);
    let lost = "SELECT count(*) FROM span AS s WHERE NOT EXISTS (SELECT 1 FROM batch_range AS r
                  WHERE r.batch_id = s.batch_id AND s.id BETWEEN r.first_id AND r.last_id)";
    let lost: i64 = profile.conn.query_row(lost, [], |row| row.get(0)).unwrap();
    assert_eq!(lost, 0);
    // A span that closes late has a commit as well, as long as it is there.
    profile.commit(2, 10_101, 1, 3 * SECOND);
    let row = SpanRow { id: 10_101, ..SpanRow::default() };
    profile.known.places.add(2, &Batch { spans: vec![row], ..Batch::default() });
    profile.prune_all(2 * SECOND);
    assert_eq!(left(&profile), [(1, 1), (2, 102), (4, 2)]);
    // Of one that is in hand and has no rows, links may be there whose spans are open.
    profile.commit(1, 3, 1, 20 * SECOND);
    profile.conn.execute("UPDATE run SET last_id = 11000 WHERE id = 2", []).unwrap();
    for _ in 0..6 {
        profile.prune(10 * SECOND);
    }
    assert_eq!(profile.stored(2), []);
    let link = "SELECT count(*) FROM link WHERE batch_id IN (SELECT batch_id FROM batch_range)";
    assert_eq!(profile.conn.query_row(link, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    profile.in_hand = InHand::default();
    profile.prune_all(10 * SECOND);
    assert_eq!(left(&profile), [(1, 1)]);
}
