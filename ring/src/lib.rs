//! A partitioned, multi-producer disruptor whose producers never wait.
//!
//! A [`Ring`] is a set of [partitions](partition), each a power-of-two array of slots of 64 bytes or a multiple. A thread leases a
//! partition of its own while there are free ones (a [`Lease`]: one producer, no read-modify-write
//! instruction at all) and claims in the shared partition when there are not. *Claim* one or
//! several contiguous slots, write them in place, *publish*; the [`Consumer`] drains whole claims
//! and gives their slots back by moving its *gating sequence*. A producer that finds no room learns so
//! before it has claimed anything, and drops what it holds: the newest goes.
//!
//! ```
//! use spandrel_ring::{Ring, RingOptions};
//!
//! let (ring, mut consumer) = Ring::<u64>::new(RingOptions { capacity: 1024, partitions: 2 });
//! let mut lease = ring.lease().expect("two partitions are free");
//! let mut claim = lease.try_claim(2).expect("the ring is empty");
//! *claim.slot(0) = 7;
//! *claim.slot(1) = 8;
//! claim.publish();
//!
//! let mut seen = Vec::new();
//! for partition in 0..consumer.partitions() {
//!     consumer.drain(partition, usize::MAX, |entry| seen.extend(entry.slots().copied()));
//! }
//! assert_eq!(seen, [7, 8]);
//! ```
//!
//! The ring knows neither spans nor databases. All `unsafe` code that an application links lives in this
//! crate: in the slots of a [`partition`], its claims and leases, in the cells of a [`Table`], in
//! memory that is [zero](Zeros) and not written, in rings in a mapped file, in [`timestamp`] (one processor
//! instruction), and in [`fork`] (system calls). [`unsafe_method!`] and [`zeroed!`] write the word where a trait wants it, around a body without
//! any, and for a struct of which the compiler has looked at each field.

#[cfg(not(all(target_pointer_width = "64", target_has_atomic = "64")))]
compile_error!(
    "spandrel needs a 64-bit target with 64-bit atomics: sequences of the ring are 64 bits wide and \
     must not wrap"
);

// The ring: its partitions, and the slots of these.
pub mod partition;
mod ring;
mod sequence;
mod shared;
mod slot;

// Producers: the right to write, and slots to write in.
mod claim;
mod claim_error;
mod counts;
mod lease;
mod thread_lease;

// The consumer, and how it sleeps.
mod consumer;
mod wake;

// Memory for slots, and for tables beside the ring.
mod region;
mod size;
mod table;
mod thread_table;
mod zeros;

// The same memory in a file, which outlives its process.
#[cfg(feature = "mapped")]
pub mod file;

// Rings of their own kind: each consumer sees everything.
#[cfg(feature = "broadcast")]
pub mod broadcast;

// The same between processes.
#[cfg(all(feature = "mapped", feature = "broadcast"))]
pub mod between;

// What stands between threads that must not wait and whoever processes what they have.
#[cfg(feature = "buffer")]
pub mod buffer;

// What takes `unsafe` elsewhere: system calls, an instruction, a word before methods.
pub mod fork;
pub mod timestamp;
mod unsafe_method;

// The doors to atomics and locks, so that loom can take their place.
#[cfg(any(feature = "broadcast", feature = "buffer"))]
mod locks;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
mod sync;

pub use claim::Claim;
pub use claim_error::ClaimError;
pub use consumer::{Consumer, Drained, Entry};
pub use lease::Lease;
pub use partition::CLASSES;
pub use ring::{Ring, RingOptions, SLOTS_PER_CLAIM_MAX};
pub use size::TooLarge;
pub use table::Table;
pub use thread_lease::{Borrowed, ThreadLease};
pub use thread_table::{Owner, Tagged, ThreadTable};
pub use wake::Waker;
#[cfg(feature = "mapped")]
pub use zeros::InFile;
pub use zeros::{Part, Zeroed, Zeros};

#[cfg(feature = "mapped")]
#[doc(hidden)]
pub use zeros::is_in_file;
#[doc(hidden)]
pub use zeros::is_zeroed;
