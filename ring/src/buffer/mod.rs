//! Buffers between threads that must not wait and a processor that is slow, fails or hangs: a database, a network.
//!
//! A [`Queue`] keeps the order of its items, a [`Map`] the last value of each key. Both are parted; threads of the buffer
//! collect what waits in a partition into batches, when there is enough or the oldest has waited long enough, and
//! give them to the processor.
//!
//! ```
//! use std::time::Duration;
//! use spandrel_ring::buffer::{Batch, Map, Options, Update};
//!
//! let options = Options::new()
//!     .batch_size(500).interval(Duration::from_millis(200)) // whichever comes first
//!     .time_out(Duration::from_secs(5)).tries(3)
//!     .capacity(100_000);
//! let counters = Map::builder().options(options).start(|batch: &Batch<Update<u32, u64>>| {
//!     for update in batch.iter() {
//!         _ = (update.key, update.value); // into the database
//!     }
//!     Ok::<(), std::io::Error>(())
//! })?;
//! for number in 0..10_000 {
//!     counters.put((number % 10) as u32, number)?; // never waits for the processor
//! }
//! let closed = counters.close(Duration::from_secs(10));
//! assert!(closed.is_complete(), "{closed}");
//! let metrics = counters.metrics();
//! assert_eq!(metrics.processed + metrics.updates, 10_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! * **Nothing is lost.** A batch whose processor fails or panics is tried again after a time that doubles, and is
//!   a [dead letter](Queue::dead_letters) after so many [`tries`](Options::tries). What is refused comes back to the caller.
//! * **Nothing is processed twice after a success.** A processor that runs out of time cannot be stopped, and may still
//!   succeed. So its batch is set aside as a dead letter [in doubt](LetterState), which is gone if the attempt succeeds later.
//!   A processor that may do things twice can have it tried again at once: [`AfterTimeOut`].
//!   (What a processor has done before it failed, it alone knows: let it do a batch as a whole.)
//! * **Order.** One batch of a partition is in flight at a time, and the next one comes when it has ended. Only one that
//!   has run out of time is not waited for.
//! * **A processor that hangs does not hold up the buffer.** After its [`time_out`](Options::time_out) another
//!   thread takes its place, up to [`hung_max`](Options::hung_max) of them; then the buffer fills up, and refuses. The same cannot be
//!   done for the `Drop` of items, which runs on the same threads.
//! * **Memory is bounded**, in items and bytes: what waits, is in flight or dead takes room of the
//!   [`capacity`](Options::capacity). Beside that there are the versions that a map remembers
//!   ([`versions_max`](Options::versions_max)), two blocks of 4 KiB for each partition, or of one item if that is larger, and what
//!   [`take`](Queue::take) and attempts that hang have in hand. Tables keep the size that they once had.
//! * **Everything is counted**: [`Metrics`] adds up, item by item.
//!
//! # What it costs
//!
//! A push or put takes one short lock, of its partition, and never waits for the processor: no lock is held while that runs.
//! The threads of the buffer hold a lock for 32 items at most; a map's index of 8 bytes a slot doubles when it
//! is full, which takes some nanoseconds a key, once. The first item after a rest and the one that fills a batch
//! wake a thread. A queue's push takes room by an atomic instruction that all threads share; a put of a key that waits
//! does not. `scripts/buffers.sh` counts instructions: some 150 for a push, and 200 for a put.
//!
//! # What it is not
//!
//! What waits is in the memory of this process, and dies with it: there is no map in shared memory here, and so no
//! policy for what a process that has died has left in one. Call [`close`](Queue::close) before the end, and look at what it says.

mod batch;
mod control;
mod core;
mod ending;
mod entries;
mod error;
mod fifo;
mod handle;
mod hash;
mod index;
mod latest;
mod letters;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
mod map;
mod metrics;
mod options;
mod partition;
mod pool;
mod queue;
mod room;
mod route;
mod start;
mod store;
mod sync;
#[cfg(all(test, not(spandrel_loom)))]
mod tests;
mod watch;
mod worker;

pub use batch::{Batch, LetterState};
pub use ending::{Closed, Flushed};
pub use error::{Failure, FlushError, Refused, StartError, Why};
pub use latest::Update;
pub use letters::DeadLetter;
pub use map::{Deleted, Map, MapBuilder};
pub use metrics::Metrics;
pub use options::{ALL, AfterTimeOut, Options, OptionsError};
pub use queue::{Queue, QueueBuilder};
