//! Files as others leave them: copies, other settings of SQLite, columns of later versions, ends that are cut.

use std::io::Write as _;

use super::*;
use crate::{By, Groups};

fn spans(count: u64) -> Vec<(SpanRow, usize)> {
    let row =
        SpanRow { id: 1, root_id: 1, thread_id: 1, duration_ns: Some(9), ..SpanRow::default() };
    let text = |n: u64| if n.is_multiple_of(50) { 30_000 } else { n as usize % 90 };
    (0..count)
        .map(|n| {
            (
                SpanRow {
                    callsite_id: 1 + n as i64 % 3,
                    parent_id: n,
                    start_ns: n as i64,
                    ..row.clone()
                },
                text(n),
            )
        })
        .collect()
}

/// Whether pages say what SQLite says, row by row and in sum.
fn agree(reader: &mut Reader) {
    for scan in scans() {
        let expected = by_sqlite(reader, &scan);
        let groups = |reader: &Reader| {
            let mut groups = Groups::new(By::Name);
            let extent = reader.add_calls(&scan, &Filter::all(), &mut groups);
            extent
                .map(|extent| format!("{extent:?} {:?}", groups.groups()))
                .map_err(|error| error.to_string())
        };
        reader.read_ahead_by(by_threads(0));
        let alone = groups(reader);
        for threads in [0, 1, 3] {
            reader.read_ahead_by(by_threads(threads));
            assert_eq!(in_pages(reader, &scan), expected, "{scan:?}");
            assert_eq!(groups(reader), alone);
        }
    }
}

#[test]
fn a_log_that_is_not_merged_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    (1..4).for_each(|n| {
        store.intern_callsite(&callsite(&format!("name {n}")));
    });
    store.intern_thread(1, 11, Some("main"));
    let append = |store: &mut Store, ids: std::ops::Range<u64>| {
        let spans = ids.map(|id| SpanRow { id, ..spans(4)[id as usize % 3].0.clone() }).collect();
        store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
    };
    append(&mut store, 1..3_000);
    store.checkpoint(true).unwrap();
    // One that has no log, while the file is all; then there is one.
    let mut live = Reader::open(&path).unwrap();
    assert!(has_pages(&live));
    agree(&mut live);
    append(&mut store, 3_000..6_000);
    assert!(!has_pages(&live));
    agree(&mut live);
    assert_eq!(in_pages(&live, &Scan::new(1)).unwrap().len(), 5_999);
    // As a killed process leaves it, and a copy of the file alone.
    for (name, has_log) in [("killed.db", true), ("alone.db", false)] {
        let copy = folder.path().join(name);
        fs::copy(&path, &copy).unwrap();
        if has_log {
            fs::copy(folder.path().join("p.db-wal"), folder.path().join("killed.db-wal")).unwrap();
        }
        let mut reader = Reader::open(&copy).unwrap();
        agree(&mut reader);
        let found = in_pages(&reader, &Scan::new(1)).unwrap().len();
        assert_eq!(found, if has_log { 5_999 } else { 2_999 });
        assert_eq!(has_pages(&reader), !has_log);
    }
    store.checkpoint(true).unwrap();
    assert!(has_pages(&live));
    agree(&mut live);
    store.close().unwrap();
    assert_eq!(in_pages(&live, &Scan::new(1)).unwrap().len(), 5_999);
}

#[test]
fn other_settings_of_sqlite_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = super::profile(&spans(700), &folder);
    for (number, (page_size, vacuum)) in
        [(512, "FULL"), (512, "INCREMENTAL"), (1_024, "NONE"), (65_536, "FULL"), (65_536, "NONE")]
            .into_iter()
            .enumerate()
    {
        let copy = folder.path().join(format!("{number}.db"));
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "page_size", page_size).unwrap();
        conn.pragma_update(None, "auto_vacuum", vacuum).unwrap();
        conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        // Rows that go let others move, and leave pages that are free.
        let conn = Connection::open(&copy).unwrap();
        conn.execute("DELETE FROM span WHERE id % 7 < 3 AND run_id = 1", []).unwrap();
        drop(conn);
        let mut reader = Reader::open(&copy).unwrap();
        assert!(has_pages(&reader));
        agree(&mut reader);
    }
}

/// A later version may have columns behind ours, with values.
#[test]
fn a_column_of_a_later_version_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = super::profile(&spans(400), &folder);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "ALTER TABLE span ADD COLUMN colour TEXT;
         UPDATE span SET colour = printf('%.*c', id % 300, 'x') WHERE id % 2;
         UPDATE span SET self_busy_ns = id WHERE id % 3 = 0;",
    )
    .unwrap();
    drop(conn);
    let mut reader = Reader::open(&path).unwrap();
    assert!(has_pages(&reader));
    agree(&mut reader);
}

/// What follows the last page is nothing, and what is cut off is an error of SQLite's.
#[test]
fn a_file_that_becomes_longer_or_shorter_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = super::profile(&spans(2_000), &folder);
    let whole = fs::read(&path).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let expected = by_sqlite(&reader, &Scan::new(1)).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[13; 70_000]).unwrap();
    for threads in [0, 2] {
        reader.read_ahead_by(by_threads(threads));
        assert_eq!(in_pages(&reader, &Scan::new(1)).as_ref(), Ok(&expected));
    }
    for part in [2, 3, 5, 50] {
        file.set_len(whole.len() as u64 / part).unwrap();
        for threads in [0, 2] {
            reader.read_ahead_by(by_threads(threads));
            let mut found = 0;
            let read = reader.scan(&Scan::new(1), |span| {
                assert_eq!(span.to_span(), expected[found]);
                found += 1;
                ControlFlow::Continue(())
            });
            assert!(read.is_err() || found == expected.len(), "{part}");
            let mut groups = Groups::new(By::Name);
            let sums = reader.add_calls(&Scan::new(1), &Filter::all(), &mut groups);
            let calls: u64 = groups.groups().iter().map(|group| group.calls).sum();
            assert!(sums.is_err() || calls == 2_000, "{part}");
        }
    }
}
