//! The counters behind the ledger.
//!
//! What is published is counted by the ring itself, by [`Kind`], partition by partition: a thread with a
//! lease counts with plain stores, to a cache line that nobody else writes. What is dropped before that
//! is counted here, also partition by partition. What becomes of records later is counted by the writer
//! in its [`Account`]. The ledger combines the three:
//!
//! * `recorded = published + dropped by producers + open at the close`
//! * `in flight = published - drained + held by the writer`
//!
//! So `recorded = stored + dropped + in flight` can be false, if anything is lost on the way.
//!
//! All of them are in memory of this process. Where the ring lies in a file, they are in it as well, for whoever recovers or
//! collects it; a file that somebody cuts takes none of them along.
//!
//! A producer counts *before* it publishes, and a snapshot reads the writer's account *before* the
//! producers' counters: so nothing is seen as drained that is not seen as published.

use spandrel_ring::{Ring, TooLarge, Zeros};

use crate::recorder::account::{Account, Shown};
use crate::recorder::losses::{DropReason, Drops, KINDS, Kind, PerKind, REASONS, add_drops};
use crate::recorder::record::Slot;
use crate::recorder::ring_file::layout::drops;
use crate::recorder::ring_file::tables::DROPS;
use crate::recorder::table_memory::{HEAP, TableMemory};
use crate::sync::{AtomicU64, Ordering};

/// Counters of one partition, on lines of their own.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct PartitionCounters {
    dropped: [[AtomicU64; KINDS]; REASONS],
    /// Number of the thread that leases the partition.
    lessee: AtomicU64,
}

spandrel_ring::zeroed!(PartitionCounters { dropped, lessee });
#[cfg(feature = "crash-proof")]
spandrel_ring::in_file!(PartitionCounters { dropped, lessee });

#[cfg(not(spandrel_loom))]
const _: () = assert!(std::mem::offset_of!(PartitionCounters, lessee) == 8 * drops::LESSEE);

impl PartitionCounters {
    fn drop_many(&self, kind: Kind, reason: DropReason, n: u64) {
        // Relaxed: a count; no other memory is published by it.
        self.dropped[reason as usize][kind as usize].fetch_add(n, Ordering::Relaxed);
    }

    fn set_lessee(&self, thread: u32) {
        // Relaxed: for the `thread_id` of losses only.
        self.lessee.store(u64::from(thread), Ordering::Relaxed);
    }

    fn lessee(&self) -> u32 {
        // Relaxed: as in `set_lessee`.
        self.lessee.load(Ordering::Relaxed) as u32
    }

    fn drops(&self) -> Drops {
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
    /// By partition of the ring, the shared one last.
    here: Zeros<PartitionCounters>,
    /// The same in the ring file, for whoever recovers or collects that. Nobody here reads it: others may cut it.
    #[cfg(feature = "crash-proof")]
    in_file: Option<Zeros<PartitionCounters>>,
    /// What the writer has done.
    account: Shown,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) account: Account,
    pub(crate) published: PerKind,
    /// Dropped by producers, never published.
    pub(crate) dropped_early: Drops,
    /// Whether the ring was cut: then nobody takes any more of it.
    pub(crate) is_cut: bool,
}

impl Counters {
    /// For so many partitions of the ring.
    pub(crate) fn try_new(
        memory: TableMemory<'_>,
        partitions: usize,
        account: Shown,
    ) -> Result<Self, TooLarge> {
        #[cfg(feature = "crash-proof")]
        let in_file = memory.is_there().then(|| memory.zeros(DROPS, partitions)).transpose()?;
        #[cfg(not(feature = "crash-proof"))]
        let TableMemory::Heap(_) = memory;
        Ok(Self {
            here: HEAP.zeros(DROPS, partitions)?,
            #[cfg(feature = "crash-proof")]
            in_file,
            account,
        })
    }

    /// The counters of a partition, wherever they are kept.
    fn of(&self, index: usize) -> impl Iterator<Item = &PartitionCounters> {
        #[cfg(feature = "crash-proof")]
        let in_file = self.in_file.as_ref().map(|partitions| &partitions[index]);
        #[cfg(not(feature = "crash-proof"))]
        let in_file = None;
        std::iter::once(&self.here[index]).chain(in_file)
    }

    /// Counts a record that a partition did not take.
    #[cold]
    pub(crate) fn drop_one(&self, index: usize, kind: Kind, reason: DropReason) {
        self.of(index).for_each(|partition| partition.drop_many(kind, reason, 1));
    }

    /// The same of a thread without a leased partition.
    #[cold]
    pub(crate) fn drop_shared(&self, kind: Kind, reason: DropReason) {
        self.drop_one(self.here.len() - 1, kind, reason);
    }

    /// Says which thread leases a partition.
    pub(crate) fn set_lessee(&self, index: usize, thread: u32) {
        self.of(index).for_each(|partition| partition.set_lessee(thread));
    }

    /// Number of the thread that last leased a partition, 0 for none.
    pub(crate) fn lessee(&self, index: usize) -> u32 {
        self.here[index].lessee()
    }

    /// The drops of all partitions, the shared one last.
    pub(crate) fn all_drops(&self) -> impl Iterator<Item = Drops> {
        self.here.iter().map(PartitionCounters::drops)
    }

    /// Publishes what the writer has done. Only the writer may call this.
    pub(crate) fn show(&self, account: &Account) {
        self.account.show(account);
    }

    pub(crate) fn snapshot(&self, ring: &Ring<Slot>, is_cut: bool) -> Snapshot {
        // First: so whatever the writer has drained is seen as published.
        let account = self.account.look();
        let mut dropped_early = Drops::default();
        for drops in self.all_drops() {
            add_drops(&mut dropped_early, &drops);
        }
        Snapshot { account, published: ring.published(), dropped_early, is_cut }
    }
}
