//! Entries that are recorded one by one: rows, sums and histograms, and what becomes of them.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use spandrel_export::Source;
use spandrel_query::Filter;
use spandrel_query::{Entry, Reader};
use spandrel_storage::{Batch, EntryRow, Histogram, LossRow, Store, StoreOptions};

use crate::common;

/// Two spans of different names and fifty entries of each, from this id on, one every 40 ms.
fn batch(store: &mut Store, first: u64) -> Batch {
    let callsites = ["system", "other"].map(|name| store.intern_callsite(&common::callsite(name)));
    let threads = [1, 2].map(|number| store.intern_thread(number, number.into(), Some("worker")));
    let spans = [0, 1].map(|at| common::span(first + at as u64, callsites[at], threads[0]));
    let entries = (0..100_u64).map(|n| EntryRow {
        id: first + 2 + n,
        span_id: spans[n as usize % 2].id,
        callsite_id: callsites[n as usize % 2],
        thread_id: threads[n as usize / 2 % 2],
        start_ns: n as i64 * 40_000_000,
        duration_ns: (n as i64 + 1) * 1_000,
        around_id: if n % 3 == 0 { first } else { 0 },
        // The first ones do not count.
        self_ns: (n >= 10).then_some(n as i64 * 500),
        earlier_entries: if n == 10 { 35 } else { 0 },
        earlier_ns: if n == 10 { 7_000 } else { 0 },
    });
    let entries = entries.collect();
    Batch { spans: spans.to_vec(), entries, ..Batch::default() }
}

fn entries(path: &Path) -> Vec<Entry> {
    let mut all = Vec::new();
    Reader::open(path).unwrap().entries(1, |entry| all.push(*entry)).unwrap();
    all
}

fn row(entry: &EntryRow) -> Entry {
    Entry {
        id: entry.id,
        span_id: entry.span_id,
        callsite_id: entry.callsite_id,
        thread_id: entry.thread_id,
        start_ns: entry.start_ns,
        duration_ns: entry.duration_ns,
        around_id: (entry.around_id != 0).then_some(entry.around_id),
        self_ns: entry.self_ns,
        earlier_entries: entry.earlier_entries,
        earlier_ns: entry.earlier_ns,
        longest_of_span_ns: 0,
    }
}

/// By second and callsite: how many, their sum, that of self times, the longest, and the histogram.
type Sums = BTreeMap<(i64, i64), (i64, i64, i64, i64, Vec<u8>)>;

fn recomputed(entries: &[Entry]) -> Sums {
    let mut all = BTreeMap::<_, (i64, i64, i64, i64, Histogram)>::new();
    for entry in entries.iter().filter(|entry| entry.self_ns.is_some()) {
        let second = (entry.start_ns + entry.duration_ns) / 1_000_000_000 * 1_000_000_000;
        let sums = all.entry((second, entry.callsite_id)).or_default();
        sums.0 += 1 + entry.earlier_entries as i64;
        sums.1 += entry.duration_ns + entry.earlier_ns;
        sums.2 += entry.self_ns.unwrap();
        sums.3 = sums.3.max(entry.duration_ns);
        sums.4.record(entry.duration_ns as u64);
    }
    let encoded =
        |(n, sum, own, max, all): (_, _, _, _, Histogram)| (n, sum, own, max, all.encode());
    all.into_iter().map(|(key, sums)| (key, encoded(sums))).collect()
}

fn rollups(conn: &Connection) -> Sums {
    let sql =
        "SELECT at_ns, callsite_id, entries, sum_ns, self_ns, max_ns, histogram FROM entry_rollup";
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |row| {
        let sums = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
        Ok(((row.get(0)?, row.get(1)?), sums))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn entries_come_back_as_they_were_with_sums_by_second() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut expected = Vec::new();
    for first in [1, 1_000, 2_000] {
        let mut batch = batch(&mut store, first);
        batch.entries.reverse();
        store.append(&mut batch).unwrap();
        expected.extend(batch.entries.iter().map(row));
    }
    store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
    store.close().unwrap();
    assert_eq!(entries(&path), expected);
    assert!(expected.is_sorted_by_key(|entry| entry.id));
    common::assert_counted(&path, 1);
    let conn = Connection::open(&path).unwrap();
    assert_eq!(rollups(&conn), recomputed(&expected));
    let sql = "SELECT count(*), sum(b.entries), sum(r.row_count), min(r.first_id), max(r.last_id)
        FROM batch AS b JOIN batch_range AS r ON r.batch_id = b.id AND r.kind = 'entry'";
    let read = |row: &rusqlite::Row<'_>| {
        Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
    };
    assert_eq!(conn.query_row(sql, [], read).unwrap(), [3, 300, 300, 3, 2_101]);
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.contradictions(1).unwrap(), []);
    conn.execute("DELETE FROM entry WHERE id = 1050", []).unwrap();
    let found = reader.contradictions(1).unwrap();
    let what: Vec<_> =
        found.iter().map(|found| (found.what, found.expected, found.found)).collect();
    assert_eq!(
        what,
        [("entries", 300, 299), ("callsites with other sums than their entries", 0, 1)]
    );
}

#[test]
fn an_entry_whose_number_another_run_has_gets_another_one() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    Connection::open(&path)
        .unwrap()
        .execute("INSERT INTO entry VALUES (50, 9, 1, 1, 1, 0, 1, NULL, NULL, 0, NULL, NULL)", [])
        .unwrap();
    let mut batch = batch(&mut store, 1);
    store.append(&mut batch).unwrap_err();
    let mended = store.mend(&mut batch, &mut |above| Some(above + 1_000)).unwrap();
    assert_eq!((mended.entries, mended.renumbered), (0, 1), "{mended:?}");
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    common::assert_counted(&path, 1);
    assert_eq!(entries(&path).len(), 100);
}

#[test]
fn a_copy_has_the_entries_of_the_spans_that_it_has() {
    let (folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = batch(&mut store, 1);
    store.append(&mut batch).unwrap();
    store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    for (filter, expected) in [("", 100), ("name=other", 50), ("name=none", 0)] {
        let copy = folder.path().join(format!("copy{expected}.db"));
        let mut source = Source::new(&reader, &run).filter(Filter::parse(filter).unwrap());
        spandrel_export::copy(&mut source, &copy).unwrap();
        let copied = entries(&copy);
        assert_eq!(copied.len(), expected, "{filter}");
        let moments = |all: &[Entry]| -> Vec<_> {
            all.iter().map(|one| (one.id, one.span_id, one.start_ns, one.around_id)).collect()
        };
        let all = moments(&entries(&path));
        assert!(moments(&copied).iter().all(|one| all.contains(one)));
        common::assert_counted(&copy, 1);
        let run = Reader::open(&copy).unwrap().run(1).unwrap().unwrap();
        assert_eq!((run.entries, run.pruned_entries), (100, 100 - expected as u64));
        assert_eq!(Reader::open(&copy).unwrap().contradictions(1).unwrap(), [], "{filter}");
    }
}

#[test]
fn a_run_that_has_lost_nothing_but_entries_is_not_complete() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = batch(&mut store, 1);
    let (spans, events, entries) = (0, 0, 5);
    let (reason, from_ns, to_ns, thread_id) = ("ring_full", 0, 1, None);
    batch.losses.push(LossRow { reason, from_ns, to_ns, spans, events, entries, thread_id });
    store.append(&mut batch).unwrap();
    store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.dropped(), run.pruned(), run.is_complete()), (5, 0, false));
    assert_eq!(reader.losses(1).unwrap()[0].total(), 5);
    let conn = Connection::open(&path).unwrap();
    let view = || -> (i64, i64, String) {
        let sql = "SELECT dropped, pruned, complete FROM runs";
        conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    assert_eq!(view(), (5, 0, "no".to_owned()));
    // Those that retention has deleted count, too.
    conn.execute("UPDATE run SET dropped_entries = 0, pruned_entries = 7", []).unwrap();
    assert_eq!(view(), (0, 7, "no".to_owned()));
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.dropped(), run.pruned(), run.is_complete()), (0, 7, false));
    conn.execute("UPDATE run SET pruned_entries = 0", []).unwrap();
    assert_eq!(view(), (0, 0, "yes".to_owned()));
    assert!(reader.run(1).unwrap().unwrap().is_complete());
}
