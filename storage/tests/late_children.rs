//! What comes late is taken off the self times of rows that are in the file, and off the sums of their seconds: once,
//! however often a batch is refused, and never more than there is.

use rusqlite::Connection;
use spandrel_storage::{
    Batch, EntryRow, ErrorKind, LateChild, LateEntryTime, SpanRow, Store, StoreOptions,
};
use tempfile::TempDir;

use crate::common;

const SECOND_NS: i64 = 1_000_000_000;

/// An entry of 100 ns each second, numbered from 101, and a span of 1,000 ns each second, numbered from 1, all of which
/// is their own time.
struct Profile {
    folder: TempDir,
    store: Store,
    thread_id: i64,
}

impl Profile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = common::store(&folder.path().join("p.db"), &StoreOptions::default());
        let callsite_id = store.intern_callsite(&common::callsite("span"));
        let thread_id = store.intern_thread(1, 1, None);
        let mut batch = Batch::default();
        for n in 0..9 {
            let start_ns = n as i64 * SECOND_NS;
            batch.spans.push(SpanRow {
                id: 1 + n,
                root_id: 1 + n,
                callsite_id,
                thread_id,
                start_ns,
                duration_ns: Some(1_000),
                busy_ns: Some(700),
                first_entry_ns: Some(100),
                self_ns: Some(800),
                entries: 1,
                ..SpanRow::default()
            });
            batch.entries.push(EntryRow {
                id: 101 + n,
                span_id: 50,
                callsite_id,
                thread_id,
                start_ns,
                duration_ns: 100,
                around_id: 0,
                self_ns: Some(100),
                earlier_entries: 0,
                earlier_ns: 0,
            });
        }
        store.append(&mut batch).unwrap();
        Self { folder, store, thread_id }
    }

    fn connect(&self) -> Connection {
        Connection::open(self.folder.path().join("p.db")).unwrap()
    }

    /// Self times of rows that have less than in the beginning, and of their seconds.
    fn changed(&self, rows: &str, whole: i64) -> (Vec<[i64; 2]>, Vec<[i64; 2]>) {
        let conn = self.connect();
        let read = |sql: &str| -> Vec<[i64; 2]> {
            let mut query = conn.prepare(sql).unwrap();
            let rows = query.query_map([whole], |row| Ok([row.get(0)?, row.get(1)?])).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let sums = if rows == "span" { "rollup" } else { "entry_rollup" };
        let sums = format!("SELECT at_ns / {SECOND_NS}, self_ns FROM {sums} WHERE self_ns <> ?1");
        let rows = format!("SELECT id, self_ns FROM {rows} WHERE self_ns <> ?1 ORDER BY id");
        (read(&rows), read(&sums))
    }

    fn child(&self, parent_id: u64, start: i64, end: i64) -> LateChild {
        let from = (parent_id as i64 - 1) * SECOND_NS;
        LateChild {
            parent_id,
            start_ns: from + start,
            end_ns: from + end,
            inside_since_ns: from + start,
            thread_id: self.thread_id,
            busy_ns: 60,
        }
    }

    /// Busy times of their own, of rows and of seconds, that are not what they were in the beginning.
    fn own(&self) -> Vec<(i64, i64, i64)> {
        let sql = "SELECT s.id, s.self_busy_ns, r.self_busy_ns FROM spans AS s
            JOIN rollup AS r ON r.at_ns = s.start_ns WHERE s.self_busy_ns <> 700 ORDER BY s.id";
        let conn = self.connect();
        let mut query = conn.prepare(sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        query.query_map([], read).unwrap().map(Result::unwrap).collect()
    }
}

fn late(rows: &[(u64, i64)]) -> Batch {
    let row = |&(id, ns)| LateEntryTime { id, ns };
    Batch { late_entry_times: rows.iter().map(row).collect(), ..Batch::default() }
}

#[test]
fn an_entry_has_less_and_so_has_its_second() {
    let mut profile = Profile::new();
    assert!(!late(&[(101, 1)]).is_empty());
    profile.store.append(&mut late(&[(101, 30), (101, 5), (109, 1_000), (77, 1)])).unwrap();
    let (rows, sums) = profile.changed("entry", 100);
    assert_eq!((rows, sums), (vec![[101, 65], [109, 0]], vec![[0, 65], [8, 0]]));
    // Nothing is left of a row that was deleted, and its second keeps what it has.
    profile.connect().execute("DELETE FROM entry WHERE id < 105", []).unwrap();
    profile.store.append(&mut late(&[(101, 30), (105, 10)])).unwrap();
    let (rows, sums) = profile.changed("entry", 100);
    assert_eq!((rows, sums), (vec![[105, 90], [109, 0]], vec![[0, 65], [4, 90], [8, 0]]));
}

#[test]
fn a_span_has_less_and_so_has_its_second() {
    let mut profile = Profile::new();
    let mut batch = Batch::default();
    // Two at a time count once, and one that goes on until the last exit.
    batch.late_children.push(profile.child(1, 200, 300));
    batch.late_children.push(profile.child(1, 250, 350));
    batch.late_children.push(profile.child(3, 700, 900));
    let elsewhere = LateChild { thread_id: 99, ..profile.child(4, 700, 900) };
    batch.late_children.push(elsewhere);
    batch.late_children.push(profile.child(77, 0, 900));
    assert!(!batch.is_empty());
    let other = profile.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = profile.store.append(&mut batch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    other.execute_batch("ROLLBACK").unwrap();
    profile.store.append(&mut batch).unwrap();
    let expected = (vec![[1, 650], [3, 700]], vec![[0, 650], [2, 700]]);
    assert_eq!(profile.changed("span", 800), expected);
    // However long they were inside, wherever: that was the parent's busy time.
    let busy = [(1, 580, 580), (3, 640, 640), (4, 640, 640)];
    assert_eq!(profile.own(), busy);
    // Again: never more than there is.
    for _ in 0..9 {
        let mut batch = Batch::default();
        batch.late_children.push(profile.child(1, 0, 700));
        profile.store.append(&mut batch).unwrap();
    }
    assert_eq!(profile.changed("span", 800).0, [[1, 0], [3, 700]]);
    let mut more = Batch {
        late_children: (0..20).map(|_| profile.child(1, 0, 0)).collect(),
        ..Batch::default()
    };
    profile.store.append(&mut more).unwrap();
    assert_eq!(profile.own()[0], (1, 0, 0), "never more than there is");
}

#[test]
fn a_span_that_counts_by_its_entries_has_less_of_what_is_in_none_of_them() {
    let mut profile = Profile::new();
    let long = "UPDATE span SET self_ns = NULL, self_busy_ns = CASE id WHEN 3 THEN NULL ELSE 100 END WHERE id < 4";
    profile.connect().execute(long, []).unwrap();
    let rows = |profile: &Profile| -> Vec<Option<i64>> {
        let conn = profile.connect();
        let sql = "SELECT self_busy_ns FROM spans WHERE id < 4 ORDER BY id";
        let mut query = conn.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(rows(&profile), [Some(100), Some(100), None]);
    for left in [Some(40), None, None] {
        let late_children = [1, 3].map(|id| profile.child(id, 0, 0)).to_vec();
        profile.store.append(&mut Batch { late_children, ..Batch::default() }).unwrap();
        assert_eq!(rows(&profile), [left, Some(100), None]);
    }
}
