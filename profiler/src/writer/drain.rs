//! From the ring into memory of the writer.

use std::time::Instant;

use spandrel_ring::{Consumer, Entry};

use super::chunks::{Chunks, LARGE_CHUNK_BYTES};
use super::raw::RawBatch;
use super::{STRAGGLER_GRACE, Writer};
use crate::recorder::losses::{KINDS, PerKind};
use crate::recorder::record::Slot;

/// Bytes of a slot, and of a record of one slot in the backlog.
const SLOT_BYTES: usize = 64;
/// Most bytes of records that the writer holds before it converts them.
const BACKLOG_MAX: usize = 64 << 20;
/// And no more than so many times the size of the ring: a program with a smaller ring has little memory.
const BACKLOG_RINGS: usize = 16;
/// A steady load leaves fewer slots in the ring. If there are more, a burst has probably begun.
const MANY: u64 = 6 * LOT;
/// Slots that are taken from one partition before they are given back to its producers.
const LOT: u64 = 1_024;

impl Writer {
    /// Where the next claim of each partition begins. What is lost is not waited for.
    pub(super) fn tails(&self) -> Vec<u64> {
        if self.keeping.is_lost() {
            return vec![0; self.consumer.partitions()];
        }
        (0..self.consumer.partitions()).map(|index| self.consumer.tail(index)).collect()
    }

    /// Up to which position each partition is drained.
    pub(super) fn positions(&self) -> Vec<u64> {
        (0..self.consumer.partitions()).map(|index| self.consumer.position(index)).collect()
    }

    /// Takes what the partitions have, as long as there is room for it. It is copied as bytes, and
    /// converted later. While the store refuses, nothing is taken: the ring keeps what it can. Returns
    /// how many slots.
    pub(super) fn drain(&mut self) -> u64 {
        self.consumer.backlog();
        self.state.set_high_water(self.consumer.high_water());
        if self.pending.is_some() || self.keeping.is_lost() {
            return 0;
        }
        if !self.sealed && self.raw.is_empty() {
            self.raw_since = Instant::now();
        }
        let Self { consumer, chunks, room, sealed, raw, next, .. } = self;
        let drained = match *sealed {
            true => {
                drain_pass(consumer, next, chunks, |next, chunks| room.is_in_next(next, chunks))
            }
            false => drain_pass(consumer, raw, chunks, |raw, chunks| room.is_in_raw(raw, chunks)),
        };
        self.burst.drained(drained, Instant::now());
        if drained > 0 {
            self.show_account();
        }
        drained
    }

    /// Whether to wait with a commit: records come so fast that the ring would be full before it is
    /// done, there is room for them elsewhere, nobody waits for a flush, and this has not been so for
    /// long.
    pub(super) fn is_postponed(&self) -> bool {
        !self.is_crowded()
            && self.burst.goes_on(self.options.flush_interval)
            && self.waiting.is_empty()
            && self.room.is_in_backlog(&self.chunks)
    }

    /// Whether the ring is more than half full of slots that a commit would give back: those are kept until then.
    pub(super) fn is_crowded(&self) -> bool {
        self.keeping.is_on()
            && (self.raw.has_runs() || self.keeping.is_untold())
            && self.consumer.is_past_half()
    }

    /// Takes everything there is.
    pub(super) fn drain_all(&mut self) {
        if self.keeping.is_lost() {
            return;
        }
        let into = if self.sealed { &mut self.next } else { &mut self.raw };
        drain_until(&mut self.consumer, into, &mut self.chunks, None);
        self.show_account();
    }

    /// Publishes what the writer has done with the records that it took. What it still holds is counted
    /// in its buffers: so code that removes something from those has to count it elsewhere.
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

    /// Drains all that was published before this call, which is no more than the ring holds. Returns
    /// whether it got everything: a thread may be suspended while it publishes.
    pub(super) fn drain_up_to_tails(&mut self) -> bool {
        let tails = self.tails();
        let began = Instant::now();
        if self.keeping.is_lost() {
            return true;
        }
        loop {
            drain_until(&mut self.consumer, &mut self.next, &mut self.chunks, Some(&tails));
            let all = self.positions().iter().zip(&tails).all(|(at, tail)| at >= tail);
            // A producer is between claim and publish, and what comes behind it may be a child.
            if all || began.elapsed() >= STRAGGLER_GRACE {
                self.show_account();
                return all;
            }
            std::thread::yield_now();
        }
    }
}

/// How much the writer may take out of the ring.
#[derive(Debug)]
pub(super) struct Room {
    ring_slots: usize,
    batch_size: usize,
    /// Bytes that are kept free for the second drain before a batch is converted, which takes as much as
    /// the ring holds.
    kept: usize,
    /// The last batch is being made: what is published now stays in the ring.
    is_closed: bool,
}

impl Room {
    pub(super) fn new(ring_slots: usize, batch_size: usize) -> Self {
        // Records that do not fit waste up to a fifth of a chunk; and draining a lot may begin three
        // chunks.
        let kept = ring_slots * SLOT_BYTES / 4 * 5 + 3 * LARGE_CHUNK_BYTES;
        Self { ring_slots, batch_size, kept, is_closed: false }
    }

    /// Most bytes of records that the writer holds; but a batch, and twice the ring, are always allowed.
    pub(super) fn backlog_max(ring_slots: usize) -> usize {
        BACKLOG_MAX.min(ring_slots.saturating_mul(BACKLOG_RINGS * SLOT_BYTES))
    }

    /// From now on nothing is drained between two steps.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    fn is_in_backlog(&self, chunks: &Chunks) -> bool {
        chunks.has_room(self.kept)
    }

    /// A batch may always be filled.
    fn is_in_raw(&self, raw: &RawBatch, chunks: &Chunks) -> bool {
        raw.len() < self.batch_size || self.is_in_backlog(chunks)
    }

    /// While the pieces of a batch are committed, as much as the ring holds may always be taken.
    fn is_in_next(&self, next: &RawBatch, chunks: &Chunks) -> bool {
        next.bytes() < self.ring_slots * SLOT_BYTES || self.is_in_backlog(chunks)
    }
}

/// Drains the ring between two steps of a conversion, before it is full.
pub(super) struct Relief<'a> {
    pub(super) consumer: &'a mut Consumer<Slot>,
    pub(super) chunks: &'a mut Chunks,
    pub(super) room: &'a Room,
}

impl Relief<'_> {
    /// Drains the ring, unless it holds little.
    #[inline]
    pub(super) fn relieve(&mut self, next: &mut RawBatch) {
        let is_much = self.consumer.unread() > self.room.ring_slots as u64 / 32;
        if is_much && !self.room.is_closed {
            let Self { consumer, chunks, room } = self;
            drain_pass(consumer, next, chunks, |next, chunks| room.is_in_next(next, chunks));
        }
    }
}

/// Drains every partition in turn, a lot at a time, so that producers get slots back early. Stops when
/// it has taken as much as there was at the beginning, or when there is no more room. Returns how many
/// slots.
#[inline(never)] // so that `scripts/writer_cost.sh` finds it
fn drain_pass(
    consumer: &mut Consumer<Slot>,
    into: &mut RawBatch,
    chunks: &mut Chunks,
    has_room: impl Fn(&RawBatch, &Chunks) -> bool,
) -> u64 {
    let there = consumer.unread();
    chunks.expect_many(there > MANY);
    let mut drained = 0;
    loop {
        let before = drained;
        for partition in 0..consumer.partitions() {
            if !has_room(into, chunks) {
                return drained;
            }
            let end = consumer.position(partition) + LOT;
            drained += drain_run(consumer, partition, end, into, chunks);
        }
        if drained == before || drained >= there {
            return drained;
        }
    }
}

/// Drains every partition up to its own given position, or to its end.
#[inline(never)] // so that `scripts/writer_cost.sh` finds it
fn drain_until(
    consumer: &mut Consumer<Slot>,
    into: &mut RawBatch,
    chunks: &mut Chunks,
    positions: Option<&[u64]>,
) {
    for partition in 0..consumer.partitions() {
        let end = positions.map_or(u64::MAX, |positions| positions[partition]);
        if !keeps(consumer) {
            consumer.drain_until(partition, end, |entry| into.push(entry, chunks));
            continue;
        }
        // In runs, so that batches can be committed in pieces.
        loop {
            let lot = end.min(consumer.position(partition) + LOT);
            if drain_run(consumer, partition, lot, into, chunks) == 0 {
                break;
            }
        }
    }
}

/// Drains a partition up to this position, and notes how far that was where it has to be known. Returns how many slots.
#[inline(always)]
fn drain_run(
    consumer: &mut Consumer<Slot>,
    partition: usize,
    end: u64,
    into: &mut RawBatch,
    chunks: &mut Chunks,
) -> u64 {
    let push = |entry: Entry<'_, Slot>| into.push(entry, chunks);
    let slots = consumer.drain_until(partition, end, push).slots;
    if slots > 0 && keeps(consumer) {
        into.end_run(partition, consumer.position(partition));
    }
    slots
}

/// Whether slots are kept until what was in them is committed.
fn keeps(consumer: &Consumer<Slot>) -> bool {
    cfg!(feature = "crash-proof") && consumer.keeps_slots()
}
