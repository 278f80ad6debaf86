//! Rings as small as they can be, and what is done with them.

use std::time::Duration;

use crate::broadcast::builder::Builder;
use crate::broadcast::cells::{Access, InPlace};
use crate::broadcast::consumer::Consumer;
use crate::broadcast::error::ReadError;
use crate::broadcast::multi::Multi;
use crate::broadcast::producer::Producer;
use crate::broadcast::ring::Ring;
use crate::broadcast::sequencer::Producers;
use crate::broadcast::single::Single;
use crate::broadcast::wait::{WaitStrategy, Yield};

pub(super) fn ring<T>(capacity: usize) -> Builder<T> {
    Builder::new(capacity)
}

pub(super) const FOREVER: Duration = Duration::MAX;

pub(super) type OneP<A = InPlace> = Producer<u64, Single, Yield, A>;
pub(super) type ManyP<A = InPlace> = Producer<u64, Multi, Yield, A>;

pub(super) fn single(capacity: usize) -> (OneP, Ring<u64, Single, Yield>) {
    ring(capacity).single().wait(Yield).consumers_max(2).build().unwrap()
}

pub(super) fn multi(capacity: usize) -> (ManyP, Ring<u64, Multi, Yield>) {
    ring(capacity).wait(Yield).consumers_max(2).build().unwrap()
}

/// What is there, without waiting.
pub(super) fn some<P: Producers, W: WaitStrategy, A: Access<u64>>(
    consumer: &mut Consumer<u64, P, W, A>,
) -> Vec<u64> {
    consumer.try_read().map(|batch| batch.iter().copied().collect()).unwrap_or_default()
}

/// Everything until the ring is closed.
pub(super) fn all<P: Producers, W: WaitStrategy, A: Access<u64>>(
    consumer: &mut Consumer<u64, P, W, A>,
) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        match consumer.read(FOREVER) {
            Ok(batch) => seen.extend(batch.iter().copied()),
            Err(why) => {
                assert_eq!(why, ReadError::Closed);
                return seen;
            }
        }
    }
}

pub(super) fn send<P: Producers, W: WaitStrategy, A: Access<u64>>(
    producer: &mut Producer<u64, P, W, A>,
    values: impl IntoIterator<Item = u64>,
) {
    for value in values {
        producer.send(value, FOREVER).unwrap();
    }
}
