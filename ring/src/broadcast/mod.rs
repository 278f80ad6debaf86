//! A disruptor for values of one's own type: each consumer sees everything.
//!
//! ```
//! use std::time::Duration;
//!
//! use spandrel_ring::broadcast;
//!
//! let (mut producer, ring) = broadcast::ring::<u64>(1024).single().build()?;
//! let mut sum = ring.consumer()?;
//! let mut count = ring.consumer()?;
//!
//! let second = Duration::from_secs(1);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || {
//!         for number in 1..=10_000 {
//!             producer.send(number, second).expect("the consumers keep up");
//!         }
//!         // It is dropped here, which ends the ring.
//!     });
//!     let summed = scope.spawn(move || {
//!         let mut total = 0;
//!         while let Ok(batch) = sum.read(second) {
//!             total += batch.iter().sum::<u64>();
//!         }
//!         total
//!     });
//!     let mut counted = 0;
//!     while let Ok(batch) = count.read(second) {
//!         counted += batch.iter().count();
//!     }
//!     assert_eq!(counted, 10_000);
//!     assert_eq!(summed.join().expect("it does not panic"), 50_005_000);
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who is there
//!
//! * [`Producer`]s *claim* slots, write them in place and *publish*: one ([`Builder::single`]), or several. Nobody
//!   publishes in turn: a producer that is descheduled holds up what is behind its own slots, and no other producer.
//! * [`Consumer`]s read in *batches*, where the values lie, and give a batch back by one store. The slowest one
//!   holds the producers back. They join and leave while the ring runs; one that is dropped, also by a
//!   panic, has left.
//! * A [`Stage`] comes after others, so that its consumers see what those are done with:
//!
//! ```
//! # use spandrel_ring::broadcast;
//! let mut builder = broadcast::ring::<String>(64);
//! let journal = builder.stage("journal", &[]);
//! let replica = builder.stage("replica", &[]);
//! let answer = builder.stage("answer", &[journal, replica]); // when both have it
//! let (mut producer, ring) = builder.build()?;
//! let mut writes = ring.consumer_of(journal)?;
//! let mut copies = ring.consumer_of(replica)?;
//! let mut answers = ring.consumer_of(answer)?;
//!
//! producer.try_publish(|order| {
//!     order.clear(); // its memory is used again
//!     order.push_str("buy");
//! })?;
//! assert!(answers.try_read().is_err());
//! writes.try_read()?.release();
//! copies.try_read()?.release();
//! assert_eq!(answers.try_read()?.iter().collect::<Vec<_>>(), ["buy"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`Worker`]s compete: each slot of their stage is taken by one of them.
//! * [`Reader`]s hold nobody back. They copy values that are [`Plain`], are overtaken, and are told how much they
//!   have missed; producers do nothing for them:
//!
//! ```
//! # use spandrel_ring::broadcast::{self, ReadError};
//! let (mut producer, ring) = broadcast::ring::<u64>(8).single().overwriting().build()?;
//! let mut reader = ring.reader();
//! for number in 0..100 {
//!     producer.try_send(number)?;
//! }
//! drop(producer);
//! let (mut read, mut missed) = (0, 0);
//! loop {
//!     match reader.try_read() {
//!         Ok(_) => read += 1,
//!         Err(ReadError::Overtaken(slots)) => missed += slots,
//!         Err(ReadError::Closed) => break,
//!         Err(why) => return Err(why.into()),
//!     }
//! }
//! assert_eq!(read + missed, 100);
//! assert_eq!(ring.counts().overwritten, 92);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When it is full
//!
//! [`Producer::try_claim`] refuses, [`Producer::claim`] waits with a time-out, and a ring that is
//! [`overwriting`](Builder::overwriting) overwrites; each is [counted](Ring::counts), and [`Ring::lags`] says who lags.
//! A ring that nobody has joined is never full: what nobody has joined for is gone. So join first, then publish; or let a
//! stage be [held](Builder::held_stage), so that what comes while nobody is there waits for the next one:
//!
//! ```
//! # use spandrel_ring::broadcast::{self, ClaimError};
//! let mut builder = broadcast::ring::<u64>(2);
//! let archive = builder.held_stage("archive", &[]);
//! let (mut producer, ring) = builder.build()?;
//! producer.try_send(1)?;
//! producer.try_send(2)?;
//! assert_eq!(producer.try_send(3), Err(ClaimError::Full));
//! let mut archives = ring.consumer_of(archive)?;
//! assert_eq!(archives.try_read()?.iter().collect::<Vec<_>>(), [&1, &2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who does not go on
//!
//! * A thread that panics gives back what it has in hand, and leaves.
//! * A [`Claim`] that is forgotten is given up by its producer's next claim, or with the producer, and counted.
//! * A batch that is forgotten comes again, or, of a worker, counts as handled when that looks again.
//! * Who hangs with a claim holds what is behind it, and who hangs with a batch, or is forgotten, what it has not given back: no
//!   other thread can tell it from one that is slow, and it may still use the memory. [`Ring::pending`] and
//!   [`Ring::lags`] say where that is. All waits have a time-out; [`Ring::close_now`] ends them all.
//!
//! A ring has sequences for 2^55 slots, which is 10 years at 100 million a second. Then it closes itself.
//!
//! # Memory
//!
//! A slot takes what its value does, and 8 bytes with several producers; a stage some 128 bytes for each consumer that
//! it has room for.

mod batch;
mod builder;
pub(crate) mod cells;
mod consumer;
mod error;
mod lag;
#[cfg(all(test, not(spandrel_loom)))]
mod last_sequences;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
mod multi;
mod plain;
mod producer;
mod reader;
mod ring;
mod sequencer;
mod shared;
mod single;
mod stage;
mod stages;
pub(crate) mod sync;
mod wait;
mod work;

pub use batch::{Batch, Iter};
pub use builder::Builder;
pub use cells::{Access, Gated, InPlace, Overwriting, Readable, Words};
pub use consumer::{Consumer, Worker};
pub use error::{BuildError, ClaimError, JoinError, ReadError};
pub use lag::Lag;
pub use multi::Multi;
pub use plain::Plain;
#[doc(hidden)]
pub use plain::is_plain;
pub use producer::{Claim, Producer};
pub use reader::Reader;
pub use ring::{Counts, Ring};
pub use sequencer::Producers;
pub use single::Single;
pub use stage::Stage;
pub use wait::{Park, Sleep, Spin, SpinYield, WaitStrategy, Yield};

/// Begins a ring of so many slots, a power of two. It has several producers and waits by [`SpinYield`] unless
/// something else is said.
pub fn ring<T>(capacity: usize) -> Builder<T> {
    Builder::new(capacity)
}
