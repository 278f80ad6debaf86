//! Others'.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use disruptor::{
    BusySpin, EventPoller, MultiProducer, MultiProducerBarrier, Producer as _, SingleProducer,
    SingleProducerBarrier, build_multi_producer, build_single_producer,
};
use rust_tango::{DCache, Fctl, Fseq, MCache};

use super::{CAPACITY, Contender, Item, Pull, Push, item};

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

const ITEM_BYTES: usize = size_of::<Item>();

type TangoProducer = rust_tango::Producer<'static, CAPACITY, CAPACITY, ITEM_BYTES>;
type TangoConsumer = rust_tango::Consumer<'static, CAPACITY, CAPACITY, ITEM_BYTES>;

/// It carries bytes, and has no bursts that are published at once.
#[derive(Debug)]
pub struct Tango;

impl Push for TangoProducer {
    #[inline(always)]
    fn push(&mut self, first: u64, burst: usize) -> bool {
        for number in first..first + burst as u64 {
            let mut bytes = [0; ITEM_BYTES];
            for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(item(number)) {
                *bytes = word.to_ne_bytes();
            }
            while self.publish(&bytes, 0, 0, 0).is_err() {
                if burst == 1 {
                    return false;
                }
                std::thread::yield_now();
            }
        }
        true
    }
}

impl Pull for TangoConsumer {
    #[inline(always)]
    fn pull(&mut self, mut look: impl FnMut(&Item)) -> usize {
        let mut pulled = 0;
        while pulled < 1_024
            && let Ok(Some(fragment)) = self.poll()
        {
            let mut words = fragment.payload.as_slice().as_chunks::<8>().0.iter();
            let word = |_| words.next().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            look(&std::array::from_fn(word));
            pulled += 1;
        }
        pulled
    }
}

impl Contender for Tango {
    const NAME: &str = "rust-tango";
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>) {
        assert_eq!((producers, consumers), (1, 1));
        // Its ends borrow what they share, for as long as threads run: it stays for good, 2 MiB a round.
        let metadata: &'static MCache<CAPACITY> = Box::leak(Box::new(MCache::new()));
        let items: &'static DCache<CAPACITY, ITEM_BYTES> = Box::leak(Box::new(DCache::new()));
        let sequence: &'static Fseq = Box::leak(Box::new(Fseq::new(1)));
        // A consumer gives its credit back before it looks: one fewer, so that its slot is not written meanwhile.
        let credits: &'static Fctl = Box::leak(Box::new(Fctl::new(CAPACITY as u64 - 1)));
        let producer = TangoProducer::with_flow_control(metadata, items, sequence, credits);
        (vec![producer], vec![TangoConsumer::with_flow_control(metadata, items, credits, 1)])
    }
}
