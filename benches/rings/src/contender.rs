//! What a ring has to do here, and how each one does it.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use disruptor::{
    BusySpin, EventPoller, MultiProducer, MultiProducerBarrier, Producer as _, SingleProducer,
    SingleProducerBarrier, build_multi_producer, build_single_producer,
};
use spandrel_ring::broadcast::{self, Consumer, Multi, Producer, Producers, Single, SpinYield};

/// 64 bytes.
pub type Item = [u64; 8];

pub const CAPACITY: usize = 16_384;

/// One end of a ring.
pub trait Push: Send + 'static {
    /// Publishes so many items, which begin with this number, or none.
    fn push(&mut self, first: u64, burst: usize) -> bool;
}

/// The other end.
pub trait Pull: Send + 'static {
    /// Looks at what is there, and says how many.
    fn pull(&mut self, look: impl FnMut(&Item)) -> usize;
}

/// Both ends, as many as asked for.
pub trait Contender {
    const NAME: &str;
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>);
}

#[inline(always)]
fn item(number: u64) -> Item {
    [number; 8]
}

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

/// Its consumers are polled, and its producers try, so that all wait in the same way. It has other types for one
/// consumer than for several.
macro_rules! disruptor {
    ($producer:ident, $barrier:ident) => {
        impl<C: 'static> Push for $producer<Item, C>
        where
            Self: disruptor::Producer<Item> + Send,
        {
            #[inline(always)]
            fn push(&mut self, first: u64, burst: usize) -> bool {
                if burst == 1 {
                    return self.try_publish(|slot| *slot = item(first)).is_ok();
                }
                self.try_batch_publish(burst, |slots| {
                    slots.zip(first..).for_each(|(slot, number)| *slot = item(number));
                })
                .is_ok()
            }
        }

        impl Pull for EventPoller<Item, $barrier> {
            #[inline(always)]
            fn pull(&mut self, look: impl FnMut(&Item)) -> usize {
                let Ok(mut items) = self.poll() else { return 0 };
                let slots = (&mut items).len();
                (&mut items).for_each(look);
                slots
            }
        }
    };
}

disruptor!(SingleProducer, SingleProducerBarrier);
disruptor!(MultiProducer, MultiProducerBarrier);

#[derive(Debug)]
pub struct DisruptorSingle;

impl Contender for DisruptorSingle {
    const NAME: &str = "disruptor single";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!((producers, consumers), (1, 1));
        let builder = build_single_producer(CAPACITY, || item(0), BusySpin);
        let (consumer, builder) = builder.new_event_poller();
        (vec![builder.build()], vec![consumer])
    }
}

#[derive(Debug)]
pub struct DisruptorBroadcast;

impl Contender for DisruptorBroadcast {
    const NAME: &str = "disruptor single";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!((producers, consumers), (1, 4));
        let builder = build_single_producer(CAPACITY, || item(0), BusySpin);
        let (one, builder) = builder.new_event_poller();
        let (two, builder) = builder.new_event_poller();
        let (three, builder) = builder.new_event_poller();
        let (four, builder) = builder.new_event_poller();
        (vec![builder.build()], vec![one, two, three, four])
    }
}

#[derive(Debug)]
pub struct DisruptorMulti;

impl Contender for DisruptorMulti {
    const NAME: &str = "disruptor multi";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!(consumers, 1);
        let builder = build_multi_producer(CAPACITY, || item(0), BusySpin);
        let (consumer, builder) = builder.new_event_poller();
        let producer = builder.build();
        ((0..producers).map(|_| producer.clone()).collect::<Vec<_>>(), vec![consumer])
    }
}

impl Push for rtrb::Producer<Item> {
    #[inline(always)]
    fn push(&mut self, first: u64, burst: usize) -> bool {
        if burst == 1 {
            return rtrb::Producer::push(self, item(first)).is_ok();
        }
        let Ok(chunk) = self.write_chunk_uninit(burst) else { return false };
        chunk.fill_from_iter((first..).map(item));
        true
    }
}

impl Pull for rtrb::Consumer<Item> {
    #[inline(always)]
    fn pull(&mut self, mut look: impl FnMut(&Item)) -> usize {
        let slots = self.slots();
        let Ok(chunk) = self.read_chunk(slots) else { return 0 };
        let (first, second) = chunk.as_slices();
        first.iter().chain(second).for_each(&mut look);
        chunk.commit_all();
        slots
    }
}

#[derive(Debug)]
pub struct Rtrb;

impl Contender for Rtrb {
    const NAME: &str = "rtrb";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!((producers, consumers), (1, 1));
        let (producer, consumer) = rtrb::RingBuffer::<Item>::new(CAPACITY);
        (vec![producer], vec![consumer])
    }
}

#[derive(Debug)]
pub struct Shared(Arc<ArrayQueue<Item>>);

impl Push for Shared {
    #[inline(always)]
    fn push(&mut self, first: u64, burst: usize) -> bool {
        if burst == 1 {
            return self.0.push(item(first)).is_ok();
        }
        // It has no bursts.
        for number in first..first + burst as u64 {
            while self.0.push(item(number)).is_err() {
                std::thread::yield_now();
            }
        }
        true
    }
}

impl Pull for Shared {
    #[inline(always)]
    fn pull(&mut self, mut look: impl FnMut(&Item)) -> usize {
        let mut pulled = 0;
        while pulled < 1_024
            && let Some(item) = self.0.pop()
        {
            look(&item);
            pulled += 1;
        }
        pulled
    }
}

#[derive(Debug)]
pub struct Crossbeam;

impl Contender for Crossbeam {
    const NAME: &str = "crossbeam ArrayQueue";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        let end = || Shared(Arc::clone(&queue));
        let ends = |count| (0..count).map(|_| end()).collect::<Vec<_>>();
        (ends(producers), ends(consumers))
    }
}
