//! From the ring into memory of the writer.

use std::time::Instant;

use spandrel_ring::Consumer;

use super::raw::RawBatch;
use super::{STRAGGLER_GRACE, Writer};
use crate::recorder::losses::{KINDS, PerKind};
use crate::recorder::record::Slot;

impl Writer {
    /// Where the next claim of each partition begins.
    pub(super) fn tails(&self) -> Vec<u64> {
        (0..self.consumer.partitions()).map(|index| self.consumer.tail(index)).collect()
    }

    /// Up to where each partition is drained.
    pub(super) fn positions(&self) -> Vec<u64> {
        (0..self.consumer.partitions()).map(|index| self.consumer.position(index)).collect()
    }

    /// Takes what the partitions have, as long as the batch is not full. While the pieces of a backlog
    /// are committed, takes what comes meanwhile, so that the ring does not fill up behind the
    /// writer's back; at most as much as the ring holds, and not while the store refuses, when the
    /// ring is to keep what it can. Returns how many slots.
    pub(super) fn drain(&mut self) -> u64 {
        self.consumer.backlog();
        self.state.set_high_water(self.consumer.high_water());
        let batch_size = self.options.batch_size;
        let most = if self.sealed {
            // Of each partition, of records that take two slots.
            let free = self.ring_slots.saturating_sub(self.next.slots());
            batch_size.min(free.div_ceil(2 * self.consumer.partitions().max(1)))
        } else if self.raw.len() >= batch_size {
            0
        } else {
            batch_size
        };
        if self.pending.is_some() || most == 0 {
            return 0;
        }
        if !self.sealed && self.raw.is_empty() {
            self.raw_since = Instant::now();
        }
        let into = if self.sealed { &mut self.next } else { &mut self.raw };
        let drained = drain_pass(&mut self.consumer, into, most);
        if drained > 0 {
            self.show_account();
        }
        drained
    }

    /// Takes everything there is.
    pub(super) fn drain_all(&mut self) {
        let into = if self.sealed { &mut self.next } else { &mut self.raw };
        drain_pass(&mut self.consumer, into, usize::MAX);
        self.show_account();
    }

    /// Lets others see what the writer has done with what it has drained. Whatever is in its hands is
    /// counted where it lies; so whoever takes it away has to say where it has gone.
    pub(super) fn show_account(&mut self) {
        let Self { account, raw, next, pending, .. } = self;
        let pending = pending.as_ref().map_or(PerKind::default(), |pending| pending.counts);
        let (raw_pushed, next_pushed) = (raw.pushed(), next.pushed());
        let (raw, next) = (raw.waiting(), next.waiting());
        for kind in 0..KINDS {
            account.taken[kind] = raw_pushed[kind] + next_pushed[kind];
            account.held[kind] = raw[kind] + next[kind] + pending[kind];
        }
        self.recorder.counters.show(account);
    }

    /// Drains all that was published before this call: no more than the ring holds.
    pub(super) fn drain_up_to_tails(&mut self) {
        let tails = self.tails();
        let began = Instant::now();
        loop {
            drain_until(&mut self.consumer, &mut self.next, &tails);
            let all = self.positions().iter().zip(&tails).all(|(at, tail)| at >= tail);
            // Somebody is between claim and publish, and what comes behind may be a child.
            if all || began.elapsed() >= STRAGGLER_GRACE {
                self.show_account();
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Drains every partition once, at most `entries_max` records of each. Returns how many slots.
#[inline(never)] // so that `scripts/writer_cost.sh` finds it
fn drain_pass(consumer: &mut Consumer<Slot>, into: &mut RawBatch, entries_max: usize) -> u64 {
    (0..consumer.partitions())
        .map(|index| consumer.drain(index, entries_max, |entry| into.push(entry)).slots)
        .sum()
}

/// Drains every partition up to a position of its own.
#[inline(never)] // so that `scripts/writer_cost.sh` finds it
fn drain_until(consumer: &mut Consumer<Slot>, into: &mut RawBatch, positions: &[u64]) {
    for (partition, end) in positions.iter().enumerate() {
        consumer.drain_until(partition, *end, |entry| into.push(entry));
    }
}
