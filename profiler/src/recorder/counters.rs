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
//! A producer counts *before* it publishes, and a snapshot reads the writer's account *before* the
//! producers' counters: so nothing is seen as drained that is not seen as published.

use std::sync::OnceLock; // not that of `sync`: set once, by one thread

use spandrel_ring::{Ring, TooLarge, Zeros};

use crate::recorder::account::{Account, Shown};
use crate::recorder::losses::{DropReason, Drops, KINDS, Kind, PerKind, REASONS, add_drops};
use crate::recorder::record::Slot;
use crate::recorder::ring_file::layout::drops;
use crate::recorder::ring_file::tables::DROPS;
use crate::recorder::table_memory::TableMemory;
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
    #[cold]
    pub(crate) fn drop_one(&self, kind: Kind, reason: DropReason) {
        self.drop_many(kind, reason, 1);
    }

    pub(crate) fn drop_many(&self, kind: Kind, reason: DropReason, n: u64) {
        // Relaxed: a count; no other memory is published by it.
        self.dropped[reason as usize][kind as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set_lessee(&self, thread: u32) {
        // Relaxed: for the `thread_id` of losses only.
        self.lessee.store(u64::from(thread), Ordering::Relaxed);
    }

    /// Number of the thread that last leased the partition, 0 for none.
    pub(crate) fn lessee(&self) -> u32 {
        // Relaxed: as in `set_lessee`.
        self.lessee.load(Ordering::Relaxed) as u32
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
    /// By partition of the ring, the shared one last.
    partitions: Zeros<PartitionCounters>,
    /// What the writer has done.
    account: Shown,
    /// In the place of `partitions` since somebody has cut the file in which these are: it may be cut again.
    after_cut: OnceLock<Box<[PartitionCounters]>>,
    /// What is known of those in the file.
    gone: OnceLock<Gone>,
}

/// Counts that the ring file had when somebody was found to have cut it.
#[derive(Debug)]
struct Gone {
    published: Kept,
    dropped: Vec<[Kept; REASONS]>,
}

/// Counts that were kept, of those that lie in a file.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// There were so many ...
    least: PerKind,
    /// ... of which so many are not in the file any more.
    missing: PerKind,
}

impl Kept {
    #[cfg(feature = "crash-proof")]
    fn of(before: PerKind, now: PerKind) -> Self {
        Self {
            least: std::array::from_fn(|kind| before[kind].max(now[kind])),
            missing: std::array::from_fn(|kind| before[kind].saturating_sub(now[kind])),
        }
    }

    /// How many there are. What threads count that were about to when the file was cut is still found in it, as long as it is
    /// not cut again.
    fn with(&self, now: PerKind) -> PerKind {
        // Wrapping: in a file they may be anything.
        let whole = |kind: usize| now[kind].wrapping_add(self.missing[kind]);
        std::array::from_fn(|kind| whole(kind).max(self.least[kind]))
    }
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
        let partitions = memory.zeros(DROPS, partitions)?;
        Ok(Self { partitions, account, after_cut: OnceLock::new(), gone: OnceLock::new() })
    }

    #[inline]
    pub(crate) fn partition(&self, index: usize) -> &PartitionCounters {
        &self.partitions[index]
    }

    /// Where drops of a partition are counted.
    #[cold]
    pub(crate) fn drops_of(&self, index: usize) -> &PartitionCounters {
        let partitions: &[PartitionCounters] = &self.partitions;
        &self.after_cut.get().map_or(partitions, |after| after)[index]
    }

    /// Where those of threads without a leased partition are.
    pub(crate) fn shared(&self) -> &PartitionCounters {
        self.drops_of(self.partitions.len() - 1)
    }

    /// The drops of all partitions, the shared one last.
    pub(crate) fn all_drops(&self) -> impl Iterator<Item = Drops> {
        let gone = self.gone.get().map(|gone| gone.dropped.as_slice()).unwrap_or_default();
        let after = self.after_cut.get().map(|after| &**after).unwrap_or_default();
        self.partitions.iter().enumerate().map(move |(index, partition)| {
            let mut drops = partition.drops();
            if let Some(kept) = gone.get(index) {
                drops = std::array::from_fn(|reason| kept[reason].with(drops[reason]));
            }
            if let Some(after) = after.get(index) {
                add_drops(&mut drops, &after.drops());
            }
            drops
        })
    }

    /// Somebody has cut the file with these counts, of which there were at least so many. They are kept, and what comes is
    /// counted elsewhere. The first call counts.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn were_cut(&self, ring: &Ring<Slot>, published: PerKind, dropped: &[Drops]) {
        if self.gone.get().is_some() {
            return;
        }
        // First: whoever counts in the file after this has begun before.
        self.after_cut.get_or_init(|| self.partitions.iter().map(|_| Default::default()).collect());
        let of = |(index, partition): (usize, &PartitionCounters)| -> [Kept; REASONS] {
            let before = dropped.get(index).copied().unwrap_or_default();
            let now = partition.drops();
            std::array::from_fn(|reason| Kept::of(before[reason], now[reason]))
        };
        let dropped = self.partitions.iter().enumerate().map(of).collect();
        _ = self.gone.set(Gone { published: Kept::of(published, ring.published()), dropped });
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
        let mut published = ring.published();
        if is_cut {
            if let Some(gone) = self.gone.get() {
                published = gone.published.with(published);
            }
            for (n, taken) in published.iter_mut().zip(account.taken) {
                // What was drained was published, also as long as nobody has found out what is missing.
                *n = (*n).max(taken);
            }
        }
        Snapshot { account, published, dropped_early, is_cut }
    }
}
