//! The ring and the queues that it is compared with, behind one interface.
//!
//! All of them carry 56 bytes an item, which together with the stamp that each keeps beside it
//! makes a slot of 64 bytes, and all hold [`CAPACITY`] items over all producers.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use crossbeam_queue::ArrayQueue;
use spandrel_ring::{Consumer, Lease, Ring, RingOptions};

/// An item.
pub type Payload = [u64; 7];

/// Items that fit, over all producers.
pub const CAPACITY: usize = 16_384;

/// One producer's end.
pub trait Push: Send {
    /// Adds an item unless the queue is full.
    fn try_push(&mut self, payload: Payload) -> bool;
}

/// The consumer's end.
pub trait Drain {
    /// Takes what is there, at most about `max` items, and says how many it was. The checksum
    /// makes sure that the items are read.
    fn drain(&mut self, max: usize, checksum: &mut u64) -> u64;
}

/// A queue to compare.
pub trait Queue {
    /// The name in tables and on the command line.
    const NAME: &'static str;
    /// One producer's end.
    type Producer: Push;
    /// The consumer's end.
    type Consumer: Drain;

    /// A queue of `capacity` items for so many producers, both powers of two.
    fn with_capacity(capacity: usize, producers: usize) -> (Vec<Self::Producer>, Self::Consumer);
}

#[inline]
fn sum(payload: &Payload) -> u64 {
    payload.iter().fold(0, |sum, word| sum ^ word)
}

/// The ring, a leased partition for each producer.
#[derive(Debug)]
pub struct Leased;

/// The ring, all producers in its shared partition.
#[derive(Debug)]
pub struct Shared;

/// With so many partitions to lease, those together get half of the ring, and the shared one the
/// other half: twice the capacity gives either side what the rivals have.
fn ring(capacity: usize, producers: usize) -> (Ring<Payload>, Consumer<Payload>) {
    let (ring, consumer) = Ring::new(RingOptions { capacity: 2 * capacity, partitions: producers });
    let capacities = ring.capacities();
    let (shared, leased) = capacities.split_last().expect("there is a shared partition");
    assert_eq!((leased.iter().sum::<usize>(), *shared), (capacity, capacity));
    (ring, consumer)
}

impl Queue for Leased {
    const NAME: &'static str = "leased";
    type Producer = Lease<Payload>;
    type Consumer = LeasedConsumer;

    fn with_capacity(capacity: usize, producers: usize) -> (Vec<Self::Producer>, Self::Consumer) {
        let (ring, consumer) = ring(capacity, producers);
        let leases = (0..producers).map(|_| ring.lease().expect("one for each")).collect();
        (leases, LeasedConsumer(consumer))
    }
}

impl Push for Lease<Payload> {
    #[inline]
    fn try_push(&mut self, payload: Payload) -> bool {
        let Ok(mut claim) = self.try_claim(1) else { return false };
        *claim.slot(0) = payload;
        claim.publish();
        true
    }
}

/// Drains the leased partitions.
#[derive(Debug)]
pub struct LeasedConsumer(Consumer<Payload>);

impl Drain for LeasedConsumer {
    #[inline]
    fn drain(&mut self, max: usize, checksum: &mut u64) -> u64 {
        let leased = self.0.partitions() - 1;
        (0..leased).map(|partition| drain(&mut self.0, partition, max, checksum)).sum()
    }
}

#[inline]
fn drain(
    consumer: &mut Consumer<Payload>,
    partition: usize,
    max: usize,
    checksum: &mut u64,
) -> u64 {
    let drained = consumer.drain(partition, max, |entry| {
        for slot in entry.slots() {
            *checksum ^= sum(slot);
        }
    });
    drained.entries
}

impl Queue for Shared {
    const NAME: &'static str = "shared";
    type Producer = Ring<Payload>;
    type Consumer = SharedConsumer;

    fn with_capacity(capacity: usize, producers: usize) -> (Vec<Self::Producer>, Self::Consumer) {
        let (ring, consumer) = ring(capacity, producers);
        let shared = ring.shared_partition();
        (vec![ring; producers], SharedConsumer(consumer, shared))
    }
}

impl Push for Ring<Payload> {
    #[inline]
    fn try_push(&mut self, payload: Payload) -> bool {
        let Ok(mut claim) = self.try_claim(1) else { return false };
        *claim.slot(0) = payload;
        claim.publish();
        true
    }
}

/// Drains the shared partition.
#[derive(Debug)]
pub struct SharedConsumer(Consumer<Payload>, usize);

impl Drain for SharedConsumer {
    #[inline]
    fn drain(&mut self, max: usize, checksum: &mut u64) -> u64 {
        drain(&mut self.0, self.1, max, checksum)
    }
}

impl Queue for ArrayQueue<Payload> {
    const NAME: &'static str = "array_queue";
    type Producer = Arc<Self>;
    type Consumer = Arc<Self>;

    fn with_capacity(capacity: usize, producers: usize) -> (Vec<Self::Producer>, Self::Consumer) {
        let queue = Arc::new(Self::new(capacity));
        (vec![Arc::clone(&queue); producers], queue)
    }
}

impl Push for Arc<ArrayQueue<Payload>> {
    #[inline]
    fn try_push(&mut self, payload: Payload) -> bool {
        self.push(payload).is_ok()
    }
}

impl Drain for Arc<ArrayQueue<Payload>> {
    #[inline]
    fn drain(&mut self, max: usize, checksum: &mut u64) -> u64 {
        let items = std::iter::from_fn(|| self.pop()).take(max);
        items.map(|payload| *checksum ^= sum(&payload)).count() as u64
    }
}

/// `crossbeam_channel::bounded`.
#[derive(Debug)]
pub struct Channel;

impl Queue for Channel {
    const NAME: &'static str = "crossbeam_channel";
    type Producer = Sender<Payload>;
    type Consumer = Receiver<Payload>;

    fn with_capacity(capacity: usize, producers: usize) -> (Vec<Self::Producer>, Self::Consumer) {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        (vec![sender; producers], receiver)
    }
}

impl Push for Sender<Payload> {
    #[inline]
    fn try_push(&mut self, payload: Payload) -> bool {
        self.try_send(payload).is_ok()
    }
}

impl Drain for Receiver<Payload> {
    #[inline]
    fn drain(&mut self, max: usize, checksum: &mut u64) -> u64 {
        let items = self.try_iter().take(max);
        items.map(|payload| *checksum ^= sum(&payload)).count() as u64
    }
}
