//! What waits in a partition of a queue: first in, first out.
//!
//! In blocks, so that nothing that waits is moved when there is more of it, and there is no more memory than for what
//! waits and two blocks.

use std::collections::VecDeque;

use super::store::Store;
use super::sync::Time;

/// So large a block is, if more than one item fits.
const BLOCK_BYTES: usize = 4096;
const BLOCK_ITEMS_MAX: usize = 64;

#[derive(Debug)]
struct Weighed<T> {
    item: T,
    units: u32,
}

#[derive(Debug)]
struct Block<T> {
    /// When its first item came.
    since: Time,
    /// So many may still come: room is not used again, since then it would be an old block for ever.
    left: usize,
    items: VecDeque<Weighed<T>>,
}

#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// None is empty.
    blocks: VecDeque<Block<T>>,
    spare: Option<VecDeque<Weighed<T>>>,
    waiting: usize,
    /// So many have come.
    next: u64,
}

impl<T> Fifo<T> {
    /// What an item takes, here and in its batch: there is room for all of that before the first one moves.
    pub(crate) const ITEM_BYTES: usize = size_of::<Weighed<T>>() + size_of::<T>();

    const BLOCK_ITEMS: usize = {
        let fit = BLOCK_BYTES / size_of::<Weighed<T>>();
        if fit == 0 {
            1
        } else if fit < BLOCK_ITEMS_MAX {
            fit
        } else {
            BLOCK_ITEMS_MAX
        }
    };

    pub(crate) fn new() -> Self {
        Self { blocks: VecDeque::new(), spare: None, waiting: 0, next: 0 }
    }

    /// Only asks for the time where a block begins.
    #[inline]
    pub(crate) fn push(&mut self, item: T, units: u32, now: impl FnOnce() -> Time) {
        let weighed = Weighed { item, units };
        self.waiting += 1;
        self.next += 1;
        match self.blocks.back_mut() {
            Some(block) if block.left > 0 => {
                block.left -= 1;
                block.items.push_back(weighed);
            }
            _ => self.begin_block(weighed, now()),
        }
    }

    #[cold]
    fn begin_block(&mut self, first: Weighed<T>, since: Time) {
        let mut items =
            self.spare.take().unwrap_or_else(|| VecDeque::with_capacity(Self::BLOCK_ITEMS));
        items.push_back(first);
        self.blocks.push_back(Block { since, left: Self::BLOCK_ITEMS - 1, items });
    }

    fn pop(&mut self) -> Option<Weighed<T>> {
        let block = self.blocks.front_mut()?;
        let first = block.items.pop_front();
        if block.items.is_empty() {
            self.spare = self.blocks.pop_front().map(|block| block.items);
        }
        self.waiting -= usize::from(first.is_some());
        first
    }
}

impl<T: Send + Sync + 'static> Store for Fifo<T> {
    type Item = T;
    type Garbage = ();

    fn waiting(&self) -> usize {
        self.waiting
    }

    fn next(&self) -> u64 {
        self.next
    }

    fn oldest(&self) -> Option<(u64, Time)> {
        let block = self.blocks.front()?;
        Some((self.next - self.waiting as u64, block.since))
    }

    fn collect(&mut self, items: usize, batch: &mut Vec<T>, units: &mut u64) {
        for _ in 0..items {
            let Some(first) = self.pop() else { break };
            *units += u64::from(first.units);
            batch.push(first.item);
        }
    }

    fn hand_over(
        &mut self,
        items: usize,
        taken: &mut Vec<T>,
        units: &mut u64,
        _garbage: &mut Vec<()>,
    ) {
        self.collect(items, taken, units);
    }

    fn settle(&mut self, _items: usize, _garbage: &mut Vec<()>) -> bool {
        true
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_across_blocks() {
        let mut fifo = Fifo::new();
        let mut out = Vec::new();
        let mut pushed = 0;
        for turn in 0..40_u64 {
            for _ in 0..turn % 17 {
                fifo.push(pushed, 2, || turn);
                pushed += 1;
            }
            let before = out.len();
            let mut units = 0;
            fifo.collect(turn as usize % 13, &mut out, &mut units);
            assert_eq!(units, 2 * (out.len() - before) as u64);
            assert_eq!(fifo.waiting() + out.len(), pushed);
            let first = fifo.oldest().map(|(first, _)| first);
            assert_eq!(first, (fifo.waiting() > 0).then_some(out.len() as u64));
        }
        fifo.collect(usize::MAX, &mut out, &mut 0);
        assert!(out.iter().copied().eq(0..pushed));
        assert_eq!(fifo.next(), pushed as u64);
    }

    #[test]
    fn the_oldest_has_waited_since_its_block_began() {
        let mut fifo = Fifo::new();
        fifo.push('a', 0, || 7);
        fifo.push('b', 0, || unreachable!("only where a block begins"));
        assert_eq!(fifo.oldest(), Some((0, 7)));
        fifo.collect(2, &mut Vec::new(), &mut 0);
        assert_eq!(fifo.oldest(), None);
        fifo.push('c', 0, || 9);
        assert_eq!(fifo.oldest(), Some((2, 9)));
    }

    #[test]
    fn a_block_does_not_live_for_ever_where_something_always_waits() {
        let mut fifo = Fifo::new();
        fifo.push(0, 0, || 0);
        for now in 1..1_000 {
            fifo.push(now, 0, || now);
            fifo.collect(1, &mut Vec::new(), &mut 0);
            let (_, since) = fifo.oldest().unwrap();
            assert!(since <= now && now - since <= 64, "{since} at {now}");
        }
    }

    #[test]
    fn large_items_have_small_blocks() {
        assert_eq!(Fifo::<[u8; 100_000]>::BLOCK_ITEMS, 1);
        assert_eq!(Fifo::<u64>::BLOCK_ITEMS, 64);
        assert_eq!(Fifo::<[u64; 15]>::BLOCK_ITEMS, 32);
    }
}
