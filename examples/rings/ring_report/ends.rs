//! The rings of the report, behind one pair of ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spandrel_ring::broadcast::{
    self, Consumer, Multi, Producer, Producers, ReadError, Single, SpinYield,
};
use spandrel_ring::{ClaimError, Lease, Ring, RingOptions};

/// A slot: 64 bytes.
pub type Item = [u64; 8];

/// Nobody waits for so long unless a ring is broken; then the report says so, and does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What publishes.
pub trait Push: Send {
    /// Publishes an item, when there is room.
    fn push(&mut self, item: Item) -> Result<(), String>;
}

/// What reads.
pub trait Pull: Send {
    /// Shows all that there is, when there is something. `false` at the end.
    fn pull(&mut self, each: impl FnMut(&Item)) -> Result<bool, String>;
}

/// A kind of ring.
pub trait Kind {
    const NAME: &str;
    /// The ends of a new ring: so many producers and consumers, so many slots.
    fn ends(
        producers: usize,
        consumers: usize,
        slots: usize,
    ) -> Result<(Vec<impl Push>, Vec<impl Pull>), String>;
}

impl<P: Producers> Push for Producer<Item, P, SpinYield> {
    #[inline(always)]
    fn push(&mut self, item: Item) -> Result<(), String> {
        self.send(item, PATIENCE).map(|_| ()).map_err(|why| why.to_string())
    }
}

impl<P: Producers> Pull for Consumer<Item, P, SpinYield> {
    #[inline(always)]
    fn pull(&mut self, each: impl FnMut(&Item)) -> Result<bool, String> {
        match self.read(PATIENCE) {
            Ok(batch) => batch.iter().for_each(each),
            Err(ReadError::Closed) => return Ok(false),
            Err(why) => return Err(why.to_string()),
        }
        Ok(true)
    }
}

fn consumers<P: Producers>(
    ring: &broadcast::Ring<Item, P>,
    count: usize,
) -> Result<Vec<Consumer<Item, P>>, String> {
    (0..count).map(|_| ring.consumer().map_err(|why| why.to_string())).collect()
}

/// The shared ring of one producer.
pub struct SingleRing;

impl Kind for SingleRing {
    const NAME: &str = "single";
    fn ends(
        producers: usize,
        count: usize,
        slots: usize,
    ) -> Result<(Vec<impl Push>, Vec<impl Pull>), String> {
        assert_eq!(producers, 1);
        let built = broadcast::ring::<Item>(slots).single().build();
        let (producer, ring) = built.map_err(|why| why.to_string())?;
        let consumers: Vec<Consumer<Item, Single>> = consumers(&ring, count)?;
        Ok((vec![producer], consumers))
    }
}

/// The shared ring of several producers.
pub struct SharedRing;

impl Kind for SharedRing {
    const NAME: &str = "shared";
    fn ends(
        producers: usize,
        count: usize,
        slots: usize,
    ) -> Result<(Vec<impl Push>, Vec<impl Pull>), String> {
        let built = broadcast::ring::<Item>(slots).build();
        let (producer, ring) = built.map_err(|why| why.to_string())?;
        let consumers: Vec<Consumer<Item, Multi>> = consumers(&ring, count)?;
        Ok((vec![producer; producers], consumers))
    }
}

/// A partition for each producer, and one consumer of all.
pub struct Partitions;

struct Leased {
    lease: Lease<Item>,
    alive: Arc<AtomicUsize>,
}

struct Drain {
    consumer: spandrel_ring::Consumer<Item>,
    alive: Arc<AtomicUsize>,
}

impl Kind for Partitions {
    const NAME: &str = "partitions";
    fn ends(
        producers: usize,
        consumers: usize,
        slots: usize,
    ) -> Result<(Vec<impl Push>, Vec<impl Pull>), String> {
        assert_eq!(consumers, 1);
        let made = Ring::try_new(RingOptions { capacity: slots, partitions: producers });
        let (ring, consumer) = made.map_err(|why| why.to_string())?;
        let alive = Arc::new(AtomicUsize::new(producers));
        let leased = (0..producers).map(|_| {
            let lease = ring.lease().ok_or("no partition is free")?;
            Ok(Leased { lease, alive: Arc::clone(&alive) })
        });
        let leased = leased.collect::<Result<Vec<Leased>, String>>()?;
        Ok((leased, vec![Drain { consumer, alive }]))
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `pull`: what was published comes before.
        self.alive.fetch_sub(1, Ordering::Release);
    }
}

/// As [`SpinYield`] does; no time is asked before somebody else could run.
#[derive(Default)]
struct Backoff {
    looks: u32,
    began: Option<Instant>,
}

impl Backoff {
    fn wait(&mut self, what: &str) -> Result<(), String> {
        self.looks += 1;
        if self.looks <= 64 {
            std::hint::spin_loop();
            return Ok(());
        }
        std::thread::yield_now();
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() < PATIENCE { Ok(()) } else { Err(format!("{what} for {PATIENCE:?}")) }
    }
}

impl Push for Leased {
    #[inline(always)]
    fn push(&mut self, item: Item) -> Result<(), String> {
        let mut backoff = Backoff::default();
        loop {
            match self.lease.try_publish(0, 1, |_| item) {
                Err(ClaimError::Full) => backoff.wait("a partition was full")?,
                done => return done.map_err(|why| why.to_string()),
            }
        }
    }
}

impl Pull for Drain {
    fn pull(&mut self, mut each: impl FnMut(&Item)) -> Result<bool, String> {
        let mut backoff = Backoff::default();
        loop {
            // Acquire: pairs with the Release in `drop`. Asked before it is looked whether there is anything.
            let is_last = self.alive.load(Ordering::Acquire) == 0;
            let mut drained = 0;
            for partition in 0..self.consumer.partitions() {
                let seen =
                    |entry: spandrel_ring::Entry<'_, Item>| entry.slots().for_each(&mut each);
                drained += self.consumer.drain(partition, usize::MAX, seen).slots;
            }
            if drained > 0 || is_last {
                return Ok(drained > 0);
            }
            backoff.wait("nothing was published")?;
        }
    }
}
