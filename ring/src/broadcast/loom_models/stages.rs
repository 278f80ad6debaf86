//! Stages behind stages.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::rings::{all, ring, send, some};
use crate::broadcast::wait::Yield;

/// A consumer behind two others sees what both have given back, and their last writes with it.
#[test]
fn a_diamond() {
    loom::model(|| {
        let mut builder = ring::<u64>(2).single().wait(Yield).consumers_max(1);
        let left = builder.stage("left", &[]);
        let right = builder.stage("right", &[]);
        let last = builder.stage("last", &[left, right]);
        let (mut producer, ring) = builder.build().unwrap();
        let done = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let mut consumer = ring.consumer_of(last).unwrap();
        let children = [left, right].map(|stage| ring.consumer_of(stage).unwrap());
        send(&mut producer, [1, 2]);
        drop(producer);
        let mut index = 0;
        let children = children.map(|mut consumer| {
            let done = Arc::clone(&done);
            index += 1;
            thread::spawn(move || {
                while let Ok(batch) = consumer.try_read_many(1) {
                    // Relaxed: the gate hands it over.
                    done[index - 1].store(*batch.iter().next().unwrap(), Ordering::Relaxed);
                }
            })
        });
        for _ in 0..2 {
            for value in some(&mut consumer) {
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) >= value));
            }
        }
        children.into_iter().for_each(|child| child.join().unwrap());
        all(&mut consumer);
    });
}

/// Who joins a stage while another one behind it runs sees nothing that that one has seen already.
#[test]
fn a_join_before_a_stage_that_runs() {
    loom::model(|| {
        let mut builder = ring::<u64>(4).single().wait(Yield).consumers_max(1);
        let first = builder.stage("first", &[]);
        let last = builder.stage("last", &[first]);
        let (mut producer, ring) = builder.build().unwrap();
        let mut behind = ring.consumer_of(last).unwrap();
        let child = thread::spawn(move || ring.consumer_of(first).unwrap());
        send(&mut producer, [1]);
        let mut seen_behind = some(&mut behind);
        send(&mut producer, [2]);
        seen_behind.extend(some(&mut behind));
        let seen = some(&mut child.join().unwrap());
        assert!(!seen.iter().any(|value| seen_behind.contains(value)), "{seen_behind:?}, {seen:?}");
    });
}
