//! Our own.

use spandrel_ring::broadcast::{self, Consumer, Multi, Producer, Producers, Single, SpinYield};
use spandrel_ring::{Lease, Ring, RingOptions};

use super::{CAPACITY, Contender, Item, Pull, Push, item};

impl<P: Producers> Push for Producer<Item, P, SpinYield> {
    #[inline(always)]
    fn push(&mut self, first: u64, burst: usize) -> bool {
        if burst == 1 {
            return self.try_publish(|slot| *slot = item(first)).is_ok();
        }
        let Ok(mut claim) = self.try_claim(burst) else { return false };
        claim.iter_mut().zip(first..).for_each(|(slot, number)| *slot = item(number));
        claim.publish();
        true
    }
}

impl<P: Producers> Pull for Consumer<Item, P, SpinYield> {
    #[inline(always)]
    fn pull(&mut self, look: impl FnMut(&Item)) -> usize {
        let Ok(batch) = self.try_read() else { return 0 };
        batch.iter().for_each(look);
        batch.slots()
    }
}

#[derive(Debug)]
pub struct SpandrelSingle;

impl Contender for SpandrelSingle {
    const NAME: &str = "spandrel single";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!(producers, 1);
        let (producer, ring) =
            broadcast::ring::<Item>(CAPACITY).single().build().expect("a ring can be made");
        let consumers = (0..consumers).map(|_| ring.consumer().expect("a place is free"));
        (vec![producer], consumers.collect::<Vec<Consumer<Item, Single, SpinYield>>>())
    }
}

#[derive(Debug)]
pub struct SpandrelMulti;

impl Contender for SpandrelMulti {
    const NAME: &str = "spandrel multi";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        let (producer, ring) =
            broadcast::ring::<Item>(CAPACITY).build().expect("a ring can be made");
        let consumers = (0..consumers).map(|_| ring.consumer().expect("a place is free"));
        let consumers = consumers.collect::<Vec<Consumer<Item, Multi, SpinYield>>>();
        (vec![producer; producers], consumers)
    }
}

/// A partition for each producer.
#[derive(Debug)]
pub struct SpandrelPartitions;

impl Push for Lease<Item> {
    #[inline(always)]
    fn push(&mut self, first: u64, burst: usize) -> bool {
        self.try_publish(0, burst, |index| item(first + index as u64)).is_ok()
    }
}

impl Pull for spandrel_ring::Consumer<Item> {
    #[inline(always)]
    fn pull(&mut self, mut look: impl FnMut(&Item)) -> usize {
        let mut pulled = 0;
        // The last one is shared, and nobody is without a lease.
        for partition in 0..self.partitions() - 1 {
            let drained =
                self.drain(partition, usize::MAX, |entry| entry.slots().for_each(&mut look));
            pulled += drained.slots as usize;
        }
        pulled
    }
}

impl Contender for SpandrelPartitions {
    const NAME: &str = "spandrel partitions";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!(consumers, 1);
        let options = RingOptions { capacity: CAPACITY, partitions: producers };
        let (ring, consumer) = Ring::<Item>::new(options);
        let lease = |_| ring.lease().expect("a partition is free");
        ((0..producers).map(lease).collect::<Vec<_>>(), vec![consumer])
    }
}
