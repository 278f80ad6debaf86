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
