//! Records on their way into the ring.

use std::sync::atomic::Ordering;

use spandrel_ring::ClaimError;

use super::Recorder;
use crate::recorder::local::{self, Unavailable};
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::record::Slot;

impl Recorder {
    /// Publishes one record and counts it, or counts it as dropped.
    pub(super) fn publish(&self, kind: Kind, slots: usize, value: impl FnMut(usize) -> Slot) {
        if let Err(refused) = self.try_publish(kind, slots, value) {
            self.drop_refused(kind, refused);
        }
    }

    /// Publishes one record and counts it.
    ///
    /// If a thread's own partition is full, it uses the shared one: so a thread that needs it can use
    /// the whole ring.
    pub(super) fn try_publish(
        &self,
        kind: Kind,
        slots: usize,
        mut value: impl FnMut(usize) -> Slot,
    ) -> Result<(), Refused> {
        let class = kind as usize;
        let own = local::with_lease_of(self.id, |lease| {
            (lease.partition(), lease.try_publish(class, slots, &mut value))
        });
        let shared = self.ring.shared_partition();
        // A drop is counted in the partition of the thread.
        let partition = match own {
            Some((_, Ok(()))) => return Ok(()),
            Some((partition, Err(ClaimError::Full))) => partition,
            Some((partition, Err(error))) => return Err(Refused { partition, error }),
            None => shared,
        };
        let mut claim = self.ring.try_claim(slots).map_err(|error| Refused { partition, error })?;
        for index in 0..slots {
            *claim.slot(index) = value(index);
        }
        claim.publish_as(class);
        Ok(())
    }

    /// Publishes one record of one slot, if that leaves room for others, and counts it; otherwise counts
    /// it as dropped. Returns whether it was published.
    pub(super) fn publish_if_spare(&self, kind: Kind, value: Slot) -> bool {
        let own = local::with_lease_of(self.id, |lease| {
            let published = match lease.has_spare(1) {
                true => lease.try_publish(kind as usize, 1, |_| value),
                false => Err(ClaimError::Full),
            };
            (lease.partition(), published)
        });
        let (partition, error) = match own {
            Some((_, Ok(()))) => return true,
            Some((partition, Err(error))) => (partition, error),
            None => (self.ring.shared_partition(), ClaimError::Full),
        };
        let claimed = match error {
            ClaimError::Full if self.ring.is_closed() => Err(ClaimError::Closed),
            ClaimError::Full if self.ring.has_spare(1) => self.ring.try_claim(1),
            error => Err(error),
        };
        match claimed {
            Ok(mut claim) => {
                *claim.slot(0) = value;
                claim.publish_as(kind as usize);
                true
            }
            Err(error) => {
                self.drop_refused(kind, Refused { partition, error });
                false
            }
        }
    }

    #[cold]
    pub(super) fn drop_refused(&self, kind: Kind, refused: Refused) {
        let reason = match refused.error {
            ClaimError::Closed => self.closed_reason(),
            ClaimError::Contended => DropReason::Contended,
            // Relaxed: a hint for the reason; the writer sets it long before the ring is full.
            _ if self.degraded.load(Ordering::Relaxed) => DropReason::StoreError,
            _ => DropReason::RingFull,
        };
        self.counters.drop_one(refused.partition, kind, reason);
    }

    /// Counts what is lost because a callback was called from inside another one.
    #[cold]
    #[inline(never)]
    pub(super) fn drop_reentrant(&self, kind: Kind, why: Unavailable) {
        if why == Unavailable::Reentrant {
            self.drop_one(kind, DropReason::Reentrant);
        }
    }
}

/// A record that a partition did not take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) partition: usize,
    pub(super) error: ClaimError,
}
