//! What the first row of a span's entries says of those that are no rows changes with a later batch, and the sums of its
//! second with it: once, however often a batch is refused.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use spandrel_query::{CountedBy, Reader};
use spandrel_storage::{Batch, EarlierRow, EntryRow, ErrorKind, Store, StoreOptions};
use tempfile::TempDir;

use crate::common;

const SECOND_NS: i64 = 1_000_000_000;

/// A span with entries of 10 ns, one a second, numbered from 101; the first says that there were five before it.
struct Profile {
    folder: TempDir,
    store: Store,
    ids: (i64, i64),
}

impl Profile {
    fn new(entries: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = common::store(&path(&folder), &StoreOptions::default());
        let callsite = store.intern_callsite(&common::callsite("long"));
        let ids = (callsite, store.intern_thread(1, 1, None));
        let mut profile = Self { folder, store, ids };
        let mut batch = Batch::default();
        batch.entries.extend((0..entries).map(|n| profile.entry(n)));
        profile.store.append(&mut batch).unwrap();
        profile
    }

    fn entry(&self, n: u64) -> EntryRow {
        EntryRow {
            id: 101 + n,
            span_id: 7,
            callsite_id: self.ids.0,
            thread_id: self.ids.1,
            start_ns: n as i64 * SECOND_NS,
            duration_ns: 10,
            around_id: 0,
            self_ns: Some(10),
            earlier_entries: if n == 0 { 5 } else { 0 },
            earlier_ns: if n == 0 { 50 } else { 0 },
        }
    }

    fn tell(&mut self, rows: &[(u64, i64, i64)]) {
        self.store.append(&mut said(rows)).unwrap();
    }

    /// What rows say, and the sums by second.
    fn figures(&self) -> (Vec<[i64; 3]>, Vec<[i64; 3]>) {
        let conn = Connection::open(path(&self.folder)).unwrap();
        let read = |sql: &str| -> Vec<[i64; 3]> {
            let mut query = conn.prepare(sql).unwrap();
            let rows = query.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
            rows.unwrap().map(Result::unwrap).collect()
        };
        let rows = "SELECT id, earlier_entries, earlier_ns FROM entry
             WHERE earlier_entries IS NOT NULL OR earlier_ns IS NOT NULL ORDER BY id";
        let sums = "SELECT at_ns / 1000000000, entries, sum_ns FROM entry_rollup ORDER BY at_ns";
        (read(rows), read(sums))
    }

    /// Calls and their sum, as everybody is told.
    fn calls(&self) -> (u64, i64) {
        let top = Reader::open(path(&self.folder)).unwrap().top(1, 10).unwrap();
        let top = top.iter().find(|top| top.counted == CountedBy::Entries).unwrap();
        (top.calls, top.sum_ns)
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("p.db")
}

/// To be said by the row with this number, or else by the last one of nine.
fn said(rows: &[(u64, i64, i64)]) -> Batch {
    let row = |&(first_id, entries, ns)| EarlierRow { first_id, last_id: 109, entries, ns };
    Batch { earlier: rows.iter().map(row).collect(), ..Batch::default() }
}

fn delete(path: &Path, ids: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute(&format!("DELETE FROM entry WHERE id {ids}"), []).unwrap();
}

#[test]
fn a_row_of_an_earlier_batch_says_more_or_less_and_so_does_its_second() {
    let mut profile = Profile::new(9);
    assert_eq!(profile.calls(), (14, 140));
    profile.tell(&[(101, 3, 33), (101, -1, -11)]);
    let (rows, sums) = profile.figures();
    assert_eq!(rows, [[101, 7, 72]]);
    assert_eq!((sums[0], sums[1], sums.len()), ([0, 8, 82], [1, 1, 10], 9));
    assert_eq!(profile.calls(), (16, 162));
    // Together with the row itself, and what was said in the second that is not in memory any more.
    let entry = EntryRow { id: 120, span_id: 8, ..profile.entry(0) };
    let mut batch = said(&[(120, -5, -50), (101, -7, -72)]);
    batch.entries.push(entry);
    profile.store.append(&mut batch).unwrap();
    let (rows, sums) = profile.figures();
    assert_eq!((rows, sums[0]), (vec![], [0, 2, 20]));
    assert_eq!(profile.calls(), (10, 100));
}

#[test]
fn a_batch_that_is_refused_says_it_once_when_it_is_taken() {
    let mut profile = Profile::new(9);
    let mut batch = said(&[(101, 3, 30)]);
    let other = Connection::open(path(&profile.folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = profile.store.append(&mut batch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    other.execute_batch("ROLLBACK").unwrap();
    // A row of it is there already.
    batch.entries.push(profile.entry(8));
    for _ in 0..3 {
        let refused = profile.store.append(&mut batch).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidBatch, "{refused}");
    }
    assert_eq!(profile.calls(), (14, 140));
    let mended = profile.store.mend(&mut batch, &mut |_| None).unwrap();
    assert_eq!(mended.entries, 1);
    profile.store.append(&mut batch).unwrap();
    assert_eq!((profile.calls(), profile.figures().0), ((17, 170), vec![[101, 8, 80]]));
}

#[test]
fn what_the_first_row_would_have_to_say_is_said_by_the_last_one_if_that_is_deleted() {
    let mut profile = Profile::new(9);
    delete(&path(&profile.folder), "< 105");
    profile.tell(&[(101, 3, 30)]);
    let (rows, sums) = profile.figures();
    assert_eq!((rows, sums[0], sums[8]), (vec![[109, 3, 30]], [0, 6, 60], [8, 4, 40]));
    // What it has not said cannot be taken back, and nobody says what nothing is left of.
    profile.tell(&[(101, -4, -10)]);
    assert_eq!(profile.figures().0, Vec::<[i64; 3]>::new());
    delete(&path(&profile.folder), "> 0");
    profile.tell(&[(101, 3, 30)]);
    assert_eq!(profile.figures().1[8], [8, 1, 10]);
}
