//! Slots of the table of open spans for front ends whose keys contain the slot.
//!
//! A front end that makes up the ids of spans itself need not hash them: an id is the position of a
//! slot, and above it some bits of the span's own id; so an id that is used after its span has closed is
//! recognised. Free slots are kept by the threads that closed the last spans in them, which have them in
//! their caches (see [`local`](crate::recorder::local)). If a thread has too many, or ends, they go to
//! the shared stack of this module.
//!
//! The stack is linked through the slots (R. K. Treiber, "Systems programming: coping with parallelism",
//! IBM 1986); its head carries a count of changes, so that it is noticed when a slot was taken and given
//! back meanwhile. Slots that were never used come from a counter.

use std::num::NonZeroU64;
use std::ops::Range;

use super::{SlotPosition, SpanSlot};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Bits of a key that name the slot; tables have fewer slots.
const POSITION_BITS: u32 = SlotPosition::BITS;
/// The key of a span that is not recorded: no table has such a slot.
pub(crate) const UNRECORDED: NonZeroU64 = NonZeroU64::MAX;
/// Set in each key, so that none is zero, which `tracing` does not allow.
const TAG: NonZeroU64 = match NonZeroU64::new(1 << 63) {
    Some(tag) => tag,
    None => NonZeroU64::MIN,
};
/// Attempts to take a slot from the stack, or to put one there. A failed attempt means that another
/// thread has succeeded.
const ATTEMPTS: usize = 64;

/// The key of the span with this id, in this slot.
#[inline(always)]
pub(crate) fn key_of(position: SlotPosition, id: u64) -> NonZeroU64 {
    TAG | (id << POSITION_BITS | u64::from(position))
}

/// The position of the slot that a key names; it may be outside of the table.
#[inline(always)]
pub(crate) fn position_of(key: u64) -> SlotPosition {
    key as SlotPosition
}

/// The shared stack of free slots; and how many handles the spans in direct slots have.
#[derive(Debug)]
pub(crate) struct SlotFreeList {
    /// `changes << 32 | index + 1`; the lower half is 0 if the stack is empty. A slot in the stack has
    /// its successor's index plus one in the word that otherwise links the chain of spans.
    head: AtomicU64,
    /// The first slot that was never used.
    fresh: AtomicU32,
    /// The slots that direct front ends may use.
    range: Range<u32>,
    /// Handles beyond the first one, for each of `range`.
    handles: Box<[AtomicU32]>,
}

impl SlotFreeList {
    /// For the slots from `start` to `end` of a table.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let range = start as u32..end as u32;
        Self {
            head: AtomicU64::new(0),
            fresh: AtomicU32::new(range.start),
            handles: range.clone().map(|_| AtomicU32::new(0)).collect(),
            range,
        }
    }

    /// The slots that may have spans.
    pub(crate) fn used(&self) -> Range<usize> {
        // Relaxed: a thread that has to see a span was told of it, and so of this.
        self.range.start as usize..self.fresh.load(Ordering::Relaxed) as usize
    }

    /// Bytes of the handles' counts.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.handles)
    }

    /// A free slot.
    pub(crate) fn take(&self, spans: &[SpanSlot]) -> Option<u32> {
        self.pop(spans).or_else(|| self.take_fresh(spans))
    }

    fn pop(&self, spans: &[SpanSlot]) -> Option<u32> {
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `give_back`; the link is written.
            let head = self.head.load(Ordering::Acquire);
            let index = (head as u32).checked_sub(1)?;
            // If another thread takes the slot first, this may be anything; but then the exchange fails.
            let next = spans.get(index as usize)?.outer();
            let changed = changed(head) | u64::from(next);
            // AcqRel: as above; and memory of the slot is handed on from the thread that gave it back.
            if self
                .head
                .compare_exchange(head, changed, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                // Not in a forked child whose table is empty: there it may be somebody's by now.
                return spans.get(index as usize)?.has_no_key().then_some(index);
            }
        }
        None
    }

    fn take_fresh(&self, spans: &[SpanSlot]) -> Option<u32> {
        for _ in 0..ATTEMPTS {
            let fresh = self.fresh.load(Ordering::Relaxed);
            let span = spans.get(fresh as usize).filter(|_| fresh < self.range.end)?;
            // Relaxed: only decides who gets the slot; it was never used.
            let taken =
                self.fresh.compare_exchange(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed);
            // A hashed front end may have taken it.
            if taken.is_ok() && span.reserve() {
                return Some(fresh);
            }
        }
        None
    }

    /// Gives a slot back that is free again. If other threads are faster in all attempts, the slot is
    /// lost to the table.
    pub(crate) fn give_back(&self, spans: &[SpanSlot], index: u32) {
        let Some(span) = spans.get(index as usize) else { return };
        for _ in 0..ATTEMPTS {
            let head = self.head.load(Ordering::Relaxed);
            span.set_outer(head as u32);
            let changed = changed(head) | (u64::from(index) + 1);
            // Release: pairs with the Acquire in `pop`; the link is written, and the slot is free.
            if self
                .head
                .compare_exchange(head, changed, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return;
            }
        }
    }

    fn handles(&self, index: u32) -> Option<&AtomicU32> {
        self.handles.get(index.checked_sub(self.range.start)? as usize)
    }

    /// A handle is cloned.
    pub(crate) fn add_handle(&self, index: u32) {
        if let Some(handles) = self.handles(index) {
            // Relaxed: the handle comes from the caller, who still has it.
            handles.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A handle is dropped. Returns whether it was the last one.
    pub(crate) fn drop_handle(&self, index: u32) -> bool {
        // AcqRel: pairs with itself on other threads; the thread that drops the last one closes the span
        // after everything that others have done with it.
        self.handles(index).is_none_or(|handles| handles.fetch_sub(1, Ordering::AcqRel) == 0)
    }

    /// The span in this slot has ended.
    pub(crate) fn forget_handles(&self, index: u32) {
        if let Some(handles) = self.handles(index) {
            // Relaxed: the slot is handed on with Release and Acquire.
            handles.store(0, Ordering::Relaxed);
        }
    }
}

/// The upper half of the head after one more change.
fn changed(head: u64) -> u64 {
    (head & !u64::from(u32::MAX)).wrapping_add(1 << 32)
}

#[cfg(all(test, spandrel_loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn table(slots: usize) -> Arc<(Vec<SpanSlot>, SlotFreeList)> {
        Arc::new(((0..slots).map(|_| SpanSlot::default()).collect(), SlotFreeList::new(0, slots)))
    }

    /// Two threads take and give back: no slot is taken twice.
    #[test]
    fn a_slot_is_in_one_hand() {
        loom::model(|| {
            let table = table(3);
            let taken: Vec<_> = (0..2).filter_map(|_| table.1.take(&table.0)).collect();
            taken.iter().for_each(|index| table.1.give_back(&table.0, *index));
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let first = table.1.take(&table.0).unwrap();
                    table.1.give_back(&table.0, first);
                    table.1.take(&table.0).unwrap()
                })
            };
            let mine = table.1.take(&table.0).unwrap();
            let others = other.join().unwrap();
            assert_ne!(mine, others);
        });
    }

    /// Two threads drop the last two handles: one of them closes the span.
    #[test]
    fn one_drops_the_last_handle() {
        loom::model(|| {
            let table = table(1);
            table.1.add_handle(0);
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.1.drop_handle(0))
            };
            let mine = table.1.drop_handle(0);
            assert!(mine != other.join().unwrap());
        });
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_slot() {
        for (position, id) in [(0, 1), (7, 1 << 33), (12_345, (1 << 47) - 1)] {
            assert_eq!(position_of(key_of(position, id).get()), position);
        }
        assert_ne!(key_of(5, 8), key_of(5, 9));
        assert_eq!(position_of(UNRECORDED.get()), SlotPosition::MAX);
    }

    #[test]
    fn every_slot_is_given_once_and_again() {
        let spans: Vec<_> = (0..8).map(|_| SpanSlot::default()).collect();
        let list = SlotFreeList::new(4, 8);
        assert!(spans[5].reserve(), "somebody else has it");
        let take = || list.take(&spans);
        let mut taken: Vec<_> = std::iter::from_fn(take).collect();
        taken.sort_unstable();
        assert_eq!((taken, list.used()), (vec![4, 6, 7], 4..8));
        list.give_back(&spans, 6);
        list.give_back(&spans, 4);
        assert_eq!([take(), take(), take()], [Some(4), Some(6), None], "the last one first");
    }
}
