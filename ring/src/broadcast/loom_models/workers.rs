//! Competing consumers.

use loom::thread;

use super::rings::{multi, send, single};
use crate::broadcast::error::ReadError;

#[test]
fn two_workers_handle_each_slot_once() {
    loom::model(|| {
        let (mut producer, ring) = multi(2);
        let workers = [ring.worker().unwrap(), ring.worker().unwrap()];
        send(&mut producer, [1, 2]);
        let [first, mut second] = workers;
        let child = thread::spawn(move || {
            let mut first = first;
            first.try_take(1).map(|batch| batch.iter().copied().collect()).unwrap_or(vec![])
        });
        let mut seen = Vec::new();
        if let Ok(batch) = second.try_take(1) {
            seen.extend(batch.iter().copied());
        }
        // There is room when the first slot was given back, whoever had it.
        let sent = producer.try_send(3).is_ok();
        seen.extend(child.join().unwrap());
        while let Ok(batch) = second.try_take(1) {
            seen.extend(batch.iter().copied());
        }
        seen.sort_unstable();
        assert_eq!(seen, if sent { vec![1, 2, 3] } else { vec![1, 2] });
    });
}

#[test]
fn a_worker_holds_what_it_has() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let mut worker = ring.worker().unwrap();
        let child = thread::spawn(move || {
            let mut seen = Vec::new();
            for _ in 0..2 {
                if let Ok(batch) = worker.try_take(1) {
                    seen.extend(batch.iter().copied());
                }
            }
            (worker, seen)
        });
        let sent: Vec<_> = (1..=3).filter(|value| producer.try_send(*value).is_ok()).collect();
        drop(producer);
        let (mut worker, mut seen) = child.join().unwrap();
        while let Ok(batch) = worker.try_take(1) {
            seen.extend(batch.iter().copied());
        }
        assert_eq!(seen, sent);
        assert_eq!(worker.try_take(1).err(), Some(ReadError::Closed));
    });
}

/// The first worker of a stage comes while producers look.
#[test]
fn a_worker_joins_and_leaves() {
    loom::model(|| {
        let (mut producer, ring) = single(1);
        let child = thread::spawn(move || {
            let mut worker = ring.worker().unwrap();
            worker.try_take(1).map(|batch| batch.iter().copied().sum::<u64>()).unwrap_or(0)
        });
        let sent = [1, 2].map(|value| producer.try_send(value).is_ok());
        assert!(child.join().unwrap() <= 2);
        assert!(sent[0] || producer.try_send(3).is_ok());
    });
}
