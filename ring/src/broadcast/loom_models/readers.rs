//! Readers that are overtaken.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::rings::{all, ring, some};
use crate::broadcast::cells::Overwriting;
use crate::broadcast::error::ReadError;
use crate::broadcast::reader::Reader;
use crate::broadcast::single::Single;
use crate::broadcast::wait::Yield;

/// A copy is the value of its sequence, or is not given out; and all that is not is counted.
#[test]
fn a_reader_is_overtaken_by_one_producer() {
    loom::model(|| {
        let builder = ring::<[u64; 2]>(2).single().wait(Yield).overwriting().claim_max(1);
        let (mut producer, ring) = builder.build().unwrap();
        let mut reader = ring.reader();
        for value in 1..=2 {
            producer.try_send([value, value]).unwrap();
        }
        let child = thread::spawn(move || {
            for value in 3..=4 {
                producer.try_send([value, value]).unwrap();
            }
        });
        let mut read = 0;
        let mut look = |reader: &mut Reader<[u64; 2], Single, Yield, Overwriting>| {
            let before = read + reader.missed();
            match reader.try_read() {
                Ok(value) => {
                    assert_eq!(value, [before + 1; 2]);
                    read += 1;
                    None
                }
                Err(why) => Some(why),
            }
        };
        _ = look(&mut reader);
        _ = look(&mut reader);
        child.join().unwrap();
        while look(&mut reader) != Some(ReadError::Closed) {}
        assert_eq!(read + reader.missed(), 4);
    });
}

#[test]
fn a_reader_is_overtaken_by_two_producers() {
    loom::model(|| {
        let builder = ring::<[u64; 2]>(2).wait(Yield).overwriting().claim_max(1);
        let (mut producer, ring) = builder.build().unwrap();
        producer.try_send([1, 1]).unwrap();
        let mut reader = ring.reader_from_oldest();
        let mut other = producer.clone();
        let child =
            thread::spawn(move || [2, 3].map(|value| other.try_send([value, value]).is_ok()));
        let mut read = 0;
        if let Ok([left, right]) = reader.try_read() {
            assert_eq!((left, right), (1, 1));
            read += 1;
        }
        let mut sent = 1 + u64::from(producer.try_send([4, 4]).is_ok());
        drop(producer);
        sent += child.join().unwrap().iter().filter(|sent| **sent).count() as u64;
        loop {
            match reader.try_read() {
                Ok([left, right]) => {
                    assert_eq!(left, right);
                    read += 1;
                }
                Err(ReadError::Overtaken(_)) => {}
                Err(why) => break assert_eq!(why, ReadError::Closed),
            }
        }
        assert_eq!(read + reader.missed(), sent);
    });
}

/// Whoever counts before it publishes tells a reader how many values it has missed since it began, if the count was the same
/// before and after: so a profiler's `tap` begins.
#[test]
fn a_reader_that_begins_between_two_equal_counts_has_all_that_is_counted_later() {
    loom::model(|| {
        let builder = ring::<u64>(2).single().wait(Yield).overwriting().claim_max(1);
        let (mut producer, ring) = builder.build().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let child = thread::spawn(move || {
            for value in 0..3 {
                count.store(value + 1, Ordering::Release);
                producer.try_send(value).unwrap();
            }
        });
        let (begin, mut reader) = loop {
            let begin = counted.load(Ordering::Acquire);
            let reader = ring.reader();
            if counted.load(Ordering::Acquire) == begin {
                break (begin, reader);
            }
            thread::yield_now();
        };
        child.join().unwrap();
        // The value that was counted and not yet published may come as well, and no other one of before.
        let (mut next, mut missed, mut read) = (begin, 0, 0);
        loop {
            match reader.try_read() {
                Ok(value) => {
                    assert!(value + 1 >= begin);
                    missed += value.saturating_sub(next);
                    read += u64::from(value >= begin);
                    next = next.max(value + 1);
                }
                Err(ReadError::Overtaken(_)) => {}
                Err(why) => break assert_eq!(why, ReadError::Closed),
            }
        }
        missed += 3 - next;
        assert_eq!(read + missed, 3 - begin);
        // Missed is only what it could have read.
        assert!(missed <= reader.missed());
    });
}

/// A consumer borrows what a reader copies, and holds it for both.
#[test]
fn a_reader_beside_a_consumer() {
    loom::model(|| {
        let builder = ring::<u64>(2).single().wait(Yield).readable().claim_max(1);
        let (mut producer, ring) = builder.consumers_max(1).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let mut reader = ring.reader();
        let child = thread::spawn(move || {
            (1..=3).filter(|value| producer.try_send(*value).is_ok()).count() as u64
        });
        let mut seen = some(&mut consumer);
        let copied = reader.try_read();
        assert!(copied.is_err() || copied == Ok(1));
        let sent = child.join().unwrap();
        seen.extend(all(&mut consumer));
        assert_eq!(seen, (1..=3).take(sent as usize).collect::<Vec<_>>());
    });
}
