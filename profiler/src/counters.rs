//! The counters behind the ledger.
//!
//! What is published is counted by the ring itself, by [`Kind`], partition by partition, so that a
//! thread with a leased one counts with plain stores to a line that nobody else writes. What is
//! dropped is counted here, also partition by partition. What the ledger shows is derived:
//!
//! * `recorded = published + dropped by producers + unfinished`
//! * `in flight = published - stored - dropped by the writer`
//!
//! A producer counts *before* it publishes and a snapshot reads the writer's counters *before*
//! the producers', so that "in flight" is never negative.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use spandrel_ring::{CLASSES, Ring};

use crate::record::Slot;
use crate::stats::{DropReason, Dropped};

/// What a ledger is kept of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Span,
    Event,
    Link,
}

pub(crate) const KINDS: usize = 3;
const _: () = assert!(KINDS <= CLASSES, "each kind is a class of the ring's claims");

/// A count for each [`Kind`].
pub(crate) type PerKind = [u64; KINDS];

const REASONS: usize = DropReason::ALL.len();

/// Drops by reason and kind.
pub(crate) type Drops = [PerKind; REASONS];

/// What happened at one partition.
#[derive(Debug)]
pub(crate) struct PartitionCounters {
    dropped: [[AtomicU64; KINDS]; REASONS],
    /// Number of the thread that leases the partition.
    lessee: AtomicU32,
}

impl PartitionCounters {
    fn new() -> Self {
        Self { dropped: Default::default(), lessee: AtomicU32::new(0) }
    }

    #[cold]
    pub(crate) fn drop_one(&self, kind: Kind, reason: DropReason) {
        self.drop_many(kind, reason, 1);
    }

    pub(crate) fn drop_many(&self, kind: Kind, reason: DropReason, n: u64) {
        // Relaxed: a count, nothing is handed over.
        self.dropped[reason as usize][kind as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set_lessee(&self, thread: u32) {
        // Relaxed: for the `thread_id` of losses only.
        self.lessee.store(thread, Ordering::Relaxed);
    }

    /// Number of the thread that last leased the partition, 0 for none.
    pub(crate) fn lessee(&self) -> u32 {
        // Relaxed: as in `set_lessee`.
        self.lessee.load(Ordering::Relaxed)
    }

    pub(crate) fn drops(&self) -> Drops {
        std::array::from_fn(|reason| read(&self.dropped[reason]))
    }
}

fn read(counters: &[AtomicU64; KINDS]) -> PerKind {
    // Relaxed: counts; see `Counters::snapshot` for the order.
    std::array::from_fn(|kind| counters[kind].load(Ordering::Relaxed))
}

/// All counters of a recording.
#[derive(Debug)]
pub(crate) struct Counters {
    /// By partition of the ring, and last those of the writer itself.
    partitions: Box<[CachePadded<PartitionCounters>]>,
    /// Drained from the ring and committed.
    stored: [AtomicU64; KINDS],
    /// Open at the close, and committed as unfinished.
    unfinished: AtomicU64,
    /// Committed spans and events of which something was cut or left out.
    cut: AtomicU64,
    /// Batches committed.
    batches: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Snapshot {
    pub(crate) stored: PerKind,
    pub(crate) unfinished: u64,
    /// Dropped by the writer after they had been published.
    pub(crate) dropped_late: [Dropped; KINDS],
    pub(crate) published: PerKind,
    /// Dropped by producers, never published.
    pub(crate) dropped_early: [Dropped; KINDS],
    pub(crate) cut: u64,
    pub(crate) batches: u64,
}

impl Counters {
    /// For so many partitions of the ring.
    pub(crate) fn new(partitions: usize) -> Self {
        Self {
            partitions: (0..=partitions)
                .map(|_| CachePadded::new(PartitionCounters::new()))
                .collect(),
            stored: Default::default(),
            unfinished: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn partition(&self, index: usize) -> &PartitionCounters {
        &self.partitions[index]
    }

    /// Where drops are counted that belong to no leased partition.
    pub(crate) fn shared(&self) -> &PartitionCounters {
        &self.partitions[self.partitions.len() - 2]
    }

    /// Where the writer counts what it drops.
    pub(crate) fn writer(&self) -> &PartitionCounters {
        &self.partitions[self.partitions.len() - 1]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PartitionCounters> {
        self.partitions.iter().map(|partition| &**partition)
    }

    pub(crate) fn add_stored(&self, stored: PerKind) {
        for (counter, n) in self.stored.iter().zip(stored) {
            // Release: pairs with the Acquire in `snapshot`, which will then also see these
            // records counted as published.
            counter.fetch_add(n, Ordering::Release);
        }
    }

    /// A batch was committed, with so many cut spans and events.
    pub(crate) fn add_batch(&self, cut: u64) {
        // Relaxed: counts of their own.
        self.cut.fetch_add(cut, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_unfinished(&self, n: u64) {
        // Release: as in `add_stored`.
        self.unfinished.fetch_add(n, Ordering::Release);
    }

    /// Takes back what was stored in a file that is gone, and counts it as dropped.
    pub(crate) fn forget_stored(&self, lost: PerKind, unfinished: u64, reason: DropReason) {
        // Release: as in `add_stored`.
        self.unfinished.fetch_sub(unfinished, Ordering::Release);
        self.shared().drop_many(Kind::Span, reason, unfinished);
        for (kind, n) in [Kind::Span, Kind::Event, Kind::Link].into_iter().zip(lost) {
            self.writer().drop_many(kind, reason, n);
            // Release: as in `add_stored`.
            self.stored[kind as usize].fetch_sub(n, Ordering::Release);
        }
    }

    pub(crate) fn snapshot(&self, ring: &Ring<Slot>) -> Snapshot {
        // Acquire: pairs with the Release in `add_stored`. What the writer has done is read before
        // what the producers have, so no record is seen stored but not yet published.
        let stored = std::array::from_fn(|kind| self.stored[kind].load(Ordering::Acquire));
        let unfinished = self.unfinished.load(Ordering::Acquire);
        let mut snapshot = Snapshot {
            stored,
            unfinished,
            // Relaxed: counts of their own.
            cut: self.cut.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            ..Snapshot::default()
        };
        let (producers, writer) = self.partitions.split_at(self.partitions.len() - 1);
        for partition in writer {
            add_drops(&mut snapshot.dropped_late, partition.drops());
        }
        for partition in producers {
            add_drops(&mut snapshot.dropped_early, partition.drops());
        }
        for (published, n) in snapshot.published.iter_mut().zip(ring.published()) {
            *published = n;
        }
        snapshot
    }
}

fn add_drops(sums: &mut [Dropped; KINDS], drops: Drops) {
    for (reason, per_kind) in DropReason::ALL.iter().zip(drops) {
        for (sum, n) in sums.iter_mut().zip(per_kind) {
            sum.add(*reason, n);
        }
    }
}
