//! How far a ring is stored stands in the transaction of what is stored of it.

use spandrel_storage::{Batch, DrainedRow, ErrorKind, Store, StoreOptions};

use crate::common;

const RING: [u8; 16] = *b"a ring's 16 byte";
const OTHER: [u8; 16] = *b"another ring's..";

fn at(partition: u32, position: u64) -> DrainedRow {
    DrainedRow { ring: RING, partition: Some(partition), position }
}

fn sorted(store: &Store) -> Vec<(Option<u32>, u64)> {
    let rows = store.drained(&RING).unwrap();
    assert!(rows.iter().all(|row| row.ring == RING));
    rows.into_iter().map(|row| (row.partition, row.position)).collect()
}

#[test]
fn a_position_is_there_if_its_rows_are_and_never_goes_back() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    assert_eq!(sorted(&store), []);
    let mut batch = common::batch(&mut store, 3);
    batch.drained = vec![at(0, 100), at(2, 7)];
    batch.drained.push(DrainedRow { ring: OTHER, partition: Some(0), position: 9 });
    store.append(&mut batch).unwrap();
    assert_eq!(sorted(&store), [(Some(0), 100), (Some(2), 7)]);

    // The ids are taken: neither the rows nor the position.
    let mut again = Batch { spans: batch.spans.clone(), ..Batch::default() };
    again.drained = vec![at(0, 200)];
    assert_eq!(store.append(&mut again).unwrap_err().kind(), ErrorKind::InvalidBatch);
    assert_eq!(sorted(&store), [(Some(0), 100), (Some(2), 7)]);

    let mut alone = Batch { drained: vec![at(0, 50), at(2, 8)], ..Batch::default() };
    assert!(!alone.is_empty(), "a position alone is stored, too");
    store.append(&mut alone).unwrap();
    assert_eq!(sorted(&store), [(Some(0), 100), (Some(2), 8)]);

    let all = DrainedRow { ring: RING, partition: None, position: 1 };
    store.append(&mut Batch { drained: vec![all], ..Batch::default() }).unwrap();
    store.close().unwrap();

    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert_eq!(sorted(&store), [(None, 1), (Some(0), 100), (Some(2), 8)]);
    store.forget_drained(&RING).unwrap();
    assert_eq!(sorted(&store), []);
    assert_eq!(store.drained(&OTHER).unwrap().len(), 1, "that of another ring stays");
}

#[test]
fn rings_whose_runs_have_ended_are_forgotten_and_no_others() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut store, 1);
    let rings: Vec<[u8; 16]> = (0..6).map(|n| [n; 16]).collect();
    batch.drained = rings
        .iter()
        .map(|ring| DrainedRow { ring: *ring, partition: Some(0), position: 1 })
        .collect();
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    // Of the last one, there is no run.
    let runs = [
        ("5", "NULL"),
        ("NULL", "NULL"),
        ("NULL", r#"'{"crashed":true}'"#),
        ("NULL", r#"'{"crashed":false}'"#),
        ("NULL", "'not JSON'"),
    ];
    let conn = rusqlite::Connection::open(&path).unwrap();
    for (n, (ended, report)) in runs.iter().enumerate() {
        let uuid = format!("{n:02x}").repeat(16);
        let sql = format!(
            "CREATE TEMP TABLE another AS SELECT * FROM run WHERE id = 1;
             UPDATE another SET id = {}, uuid = '{uuid}', ended_unix_ns = {ended}, report = {report};
             INSERT INTO run SELECT * FROM another; DROP TABLE another",
            100 + n
        );
        conn.execute_batch(&sql).unwrap();
    }
    drop(conn);
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.forget_drained_of_ended().unwrap();
    let has = |ring: &&[u8; 16]| !store.drained(ring).unwrap().is_empty();
    let left: Vec<u8> = rings.iter().filter(has).map(|ring| ring[0]).collect();
    assert_eq!(left, [1, 3, 4, 5]);
    assert_eq!(store.has_ended(&"02".repeat(16)).unwrap(), Some(true), "nothing more comes of it");
    assert_eq!(store.has_ended(&"03".repeat(16)).unwrap(), Some(false));
}
