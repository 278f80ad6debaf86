//! The last value of each key, and versions.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::gate::{Gate, Log, NEVER, PATIENCE, SOON, assert_adds_up, still, until};
use crate::buffer::batch::Batch;
use crate::buffer::error::Why;
use crate::buffer::latest::Update;
use crate::buffer::map::Map;
use crate::buffer::options::{ALL, Options};

type Seen = (u32, u64, Option<u64>, u64);

fn logging(options: Options) -> (Map<u32, u64>, Log<Seen>) {
    let log = Log::new();
    let seen = log.clone();
    let map = Map::builder()
        .options(options)
        .start(move |batch: &Batch<Update<u32, u64>>| {
            let updates = batch.iter().map(|of| (of.key, of.value, of.version, of.updates));
            seen.extend(&updates.collect::<Vec<_>>());
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (map, log)
}

#[test]
fn the_last_write_wins_and_updates_are_counted() {
    let (map, log) = logging(still());
    assert_eq!(map.put(1, 10), Ok(None));
    assert_eq!(map.put(2, 20), Ok(None));
    assert_eq!(map.put(1, 11), Ok(Some(10)));
    assert_eq!(map.put(1, 12), Ok(Some(11)));
    assert_eq!((map.size(), map.get(&1), map.get(&3)), (2, Some(12), None));
    map.flush(PATIENCE).unwrap();
    assert_eq!(log.all(), [(1, 12, None, 2), (2, 20, None, 0)]);
    let metrics = map.metrics();
    assert_eq!((metrics.accepted, metrics.updates, metrics.processed), (4, 2, 2));
    assert_eq!((map.size(), map.get(&1), metrics.versions), (0, None, 0));
    assert_adds_up(&metrics);
}

/// While it is in flight, and again when a newer one waits.
#[test]
fn what_is_in_flight_is_got_and_counted_and_not_deleted() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let map = Map::builder()
        .options(still().batch_size(2))
        .start(move |_: &Batch<Update<u32, u64>>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    map.put(1, 10).unwrap();
    map.put(2, 20).unwrap();
    gate.wait_for(1);
    assert_eq!((map.get(&1), map.get(&2), map.size()), (Some(10), Some(20), 2));
    assert_eq!(map.put(1, 11), Ok(None), "nothing of it waits");
    assert_eq!((map.get(&1), map.size()), (Some(11), 3));
    let deleted = map.delete(&1);
    assert_eq!((deleted.value, deleted.in_flight), (Some(11), true));
    assert_eq!(map.get(&1), Some(10));
    let deleted = map.delete(&2);
    assert_eq!((deleted.value, deleted.in_flight), (None, true));
    let deleted = map.delete(&3);
    assert_eq!((deleted.value, deleted.in_flight), (None, false));
    gate.open(9);
    assert_eq!(map.close(PATIENCE).processed, 2);
    assert_eq!((map.get(&1), map.metrics().deleted, map.metrics().held), (None, 1, 0));
    assert_adds_up(&map.metrics());
}

#[test]
fn an_older_version_is_refused_while_it_waits_in_flight_and_after_it_was_processed() {
    let gate = Gate::new();
    let processor = Arc::clone(&gate);
    let map = Map::builder()
        .options(still())
        .start(move |_: &Batch<Update<u32, u64>>| {
            processor.pass();
            Ok::<(), Infallible>(())
        })
        .unwrap();
    let older = |version| {
        let refused = map.put_newer(1, 99, version).unwrap_err();
        assert_eq!(refused.value, (1, 99));
        refused.why
    };
    map.put_newer(1, 10, 5).unwrap();
    assert_eq!(older(5), Why::Older(5));
    assert_eq!(older(4), Why::Older(5));
    assert_eq!(map.put_newer(1, 11, 6), Ok(Some(10)));
    thread::scope(|scope| {
        let flush = scope.spawn(|| map.flush(PATIENCE));
        gate.wait_for(1);
        assert_eq!(older(6), Why::Older(6), "in flight");
        gate.open(9);
        flush.join().unwrap().unwrap();
    });
    assert_eq!(older(6), Why::Older(6), "processed");
    assert_eq!(map.metrics().versions, 1);
    map.put(1, 7).unwrap();
    assert_eq!(older(6), Why::Older(6), "a value without a version came meanwhile");
    map.put_newer(1, 12, 7).unwrap();
    assert_eq!(map.put_newer_within(1, 0, 7, PATIENCE).unwrap_err().why, Why::Older(7));
    assert_eq!(map.metrics().refused_older, 6);
    map.delete(&1);
    assert_eq!(older(7), Why::Older(7), "deleted");
    map.put_newer(1, 13, 8).unwrap();
    assert_eq!(map.take().len(), 1);
    assert_eq!(older(8), Why::Older(8), "taken");
    assert_adds_up(&map.metrics());
}

/// A batch that waits for its next attempt, and is taken, is in flight no more.
#[test]
fn what_is_taken_before_its_next_attempt_is_not_in_flight() {
    let options = still().batch_size(2).backoff(PATIENCE).backoff_max(PATIENCE);
    let map =
        Map::builder().options(options).start(|_: &Batch<Update<u32, u64>>| Err("down")).unwrap();
    map.put(1, 10).unwrap();
    map.put_newer(2, 20, 5).unwrap();
    let mut taken = Vec::new();
    // Between the failure and the back-off there is a moment in which nobody can take it.
    until("it has failed", || map.metrics().errors == 1);
    until("it is taken", || {
        taken.extend(map.take());
        taken.len() == 2
    });
    assert_eq!((map.get(&1), map.metrics().versions), (None, 1));
    assert!(!map.delete(&1).in_flight && !map.delete(&2).in_flight);
    assert_eq!(map.put_newer(2, 0, 5).unwrap_err().why, Why::Older(5));
    assert_adds_up(&map.metrics());
}

#[test]
fn versions_are_forgotten_beyond_their_bound_and_counted() {
    let (map, _log) = logging(still().versions_max(10));
    for key in 0..25 {
        map.put_newer(key, 0, 7).unwrap();
    }
    map.flush(PATIENCE).unwrap();
    let metrics = map.metrics();
    assert_eq!((metrics.versions, metrics.versions_forgotten), (10, 15));
    assert_eq!(map.put_newer(24, 0, 7).unwrap_err().why, Why::Older(7));
    assert_eq!(map.put_newer(14, 0, 1), Ok(None), "forgotten");
}

#[test]
fn a_larger_value_finds_no_room_and_a_smaller_one_makes_some() {
    let map = Map::builder()
        .options(still().capacity_bytes(1_000))
        .weigh(|_: &u32, value: &Vec<u8>| value.capacity())
        .start(|_: &Batch<Update<u32, Vec<u8>>>| Ok::<(), Infallible>(()))
        .unwrap();
    map.put(1, vec![0; 100]).unwrap();
    map.put(2, vec![0; 300]).unwrap();
    let refused = map.put(1, vec![0; 500]).unwrap_err();
    assert_eq!((refused.why, refused.value.1.len()), (Why::Full, 500));
    assert_eq!(map.put(1, vec![0; 5_000]).unwrap_err().why, Why::TooLarge);
    assert_eq!(map.get(&1).map(|value| value.len()), Some(100));
    thread::scope(|scope| {
        let waits = scope.spawn(|| map.put_within(1, vec![0; 500], PATIENCE));
        until("it waits", || map.metrics().blocked == 1);
        map.put(2, Vec::new()).unwrap();
        assert_eq!(waits.join().unwrap().unwrap().map(|value| value.len()), Some(100));
    });
    let waits = map.put_within(2, vec![0; 500], SOON).unwrap_err();
    assert_eq!(waits.why, Why::TimedOut);
    thread::scope(|scope| {
        let waits = scope.spawn(|| map.put_newer_within(3, vec![0; 400], 1, PATIENCE));
        until("it waits", || map.metrics().blocked == 3);
        assert_eq!(map.delete(&1).value.map(|value| value.len()), Some(500));
        waits.join().unwrap().unwrap();
    });
    assert_adds_up(&map.metrics());
}

#[test]
fn keys_keep_the_order_in_which_they_began_to_wait() {
    let (map, log) = logging(still().batch_size(ALL));
    let keys = if cfg!(miri) { 100 } else { 10_000 };
    for round in 0..3 {
        for key in 0..keys {
            map.put(key, round).unwrap();
        }
    }
    map.flush(PATIENCE).unwrap();
    assert!(
        log.all().iter().map(|seen| (seen.0, seen.1, seen.3)).eq((0..keys).map(|key| (key, 2, 2)))
    );
}

#[test]
fn a_key_whose_clone_panics_holds_up_nobody() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u32);
    static PANICS: AtomicBool = AtomicBool::new(true);
    impl Clone for Key {
        fn clone(&self) -> Self {
            assert!(self.0 != 1 || !PANICS.load(Ordering::Relaxed), "no clone");
            Self(self.0)
        }
    }
    let log = Log::new();
    let seen = log.clone();
    let map = Map::builder()
        .options(still().backoff_max(SOON))
        .start(move |batch: &Batch<Update<Key, u64>>| {
            seen.extend(&batch.iter().map(|of| of.value).collect::<Vec<_>>());
            Ok::<(), Infallible>(())
        })
        .unwrap();
    (0..3).for_each(|key| _ = map.put(Key(key), key.into()).unwrap());
    thread::scope(|scope| {
        let flush = scope.spawn(|| map.flush(PATIENCE));
        until("it has panicked", || map.metrics().panics > 0);
        assert_eq!(map.size(), 3);
        PANICS.store(false, Ordering::Relaxed);
        flush.join().unwrap().unwrap();
    });
    assert_eq!(log.all(), [0, 1, 2]);
    assert_adds_up(&map.metrics());
}

/// A million puts of a thousand keys by eight threads, while batches are processed, and half of them fail: in the end the
/// processor has the last version of each key, and each put is counted.
#[test]
fn last_versions_are_exact() {
    let (threads, keys, puts) =
        if cfg!(miri) { (3_u32, 5, 120_u32) } else { (8, 1_000, 1_000_000) };
    let table = Arc::new(Mutex::new(HashMap::new()));
    let (store, calls) = (Arc::clone(&table), AtomicU64::new(0));
    let options = Options::new().partitions(4).workers(2).batch_size(50).interval(SOON);
    let options = options.time_out(NEVER).backoff(SOON).tries(u32::MAX);
    let map = Map::builder()
        .options(options)
        .start(move |batch: &Batch<Update<u32, u64>>| {
            if calls.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                return Err("every other time");
            }
            let mut store = store.lock().unwrap();
            for update in batch.iter() {
                let version = update.version.unwrap();
                assert_eq!(update.value, version * 3);
                let before = store.insert(update.key, version);
                assert!(before.is_none_or(|before| before < version), "{before:?}, {version}");
            }
            Ok(())
        })
        .unwrap();
    let next = AtomicU64::new(1);
    let last = Mutex::new(HashMap::<u32, u64>::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = HashMap::new();
                for _ in 0..puts / threads {
                    let version = next.fetch_add(1, Ordering::Relaxed);
                    let key = (version.wrapping_mul(0x9E37_79B9) >> 7) as u32 % keys;
                    match map.put_newer(key, version * 3, version) {
                        Ok(_) => {}
                        Err(refused) => {
                            assert!(matches!(refused.why, Why::Older(newer) if newer > version))
                        }
                    }
                    own.insert(key, version);
                }
                let mut last = last.lock().unwrap();
                for (key, version) in own {
                    let known = last.entry(key).or_default();
                    *known = version.max(*known);
                }
            });
        }
    });
    let closed = map.close(PATIENCE);
    assert!(closed.is_complete(), "{closed}");
    assert_eq!(*table.lock().unwrap(), last.into_inner().unwrap());
    let metrics = map.metrics();
    assert_eq!(metrics.accepted + metrics.refused_older, u64::from(puts / threads * threads));
    assert_eq!(metrics.panics, 0, "{:?}", metrics.last_failure);
    assert_adds_up(&metrics);
}
