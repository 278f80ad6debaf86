//! Spans in the order of their start, out of spans in the order of their ids.
//!
//! Ids grow with time but are handed to threads in blocks, so that a span made by another thread may
//! have a smaller id than its parent. Threads give a block up after some 10 ms; what is held back here
//! for longer than that, by the clock of the spans themselves, can be let go in order. What comes later
//! still is let go at once: its parent may then be missing, which the consumer has to allow for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::row::Row;

/// How long a span is held back for those that began before it.
const SLACK_NS: i64 = 100_000_000;
/// Spans that are held back at most.
const HELD: usize = 65_536;

/// Start, id, and the span, compared by the former two only.
#[derive(Debug)]
struct Held(Row);

impl Held {
    fn key(&self) -> (i64, u64) {
        (self.0.start_ns, self.0.id)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Holds spans back for a moment.
#[derive(Debug, Default)]
pub(crate) struct ReorderBuffer {
    held: BinaryHeap<Reverse<Held>>,
    newest_ns: i64,
}

impl ReorderBuffer {
    /// Takes a span, and passes on those that nothing can come before any more.
    pub(crate) fn push(&mut self, row: Row, mut each: impl FnMut(Row)) {
        self.newest_ns = self.newest_ns.max(row.start_ns);
        self.held.push(Reverse(Held(row)));
        let due_ns = self.newest_ns.saturating_sub(SLACK_NS);
        while self.held.peek().is_some_and(|next| next.0.0.start_ns < due_ns)
            || self.held.len() > HELD
        {
            if let Some(Reverse(Held(row))) = self.held.pop() {
                each(row);
            }
        }
    }

    /// Passes on all that is left.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Row)) {
        while let Some(Reverse(Held(row))) = self.held.pop() {
            each(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::span;
    use super::*;

    proptest! {
        #[test]
        fn spans_that_are_late_by_less_than_the_slack_come_in_order(
            steps in proptest::collection::vec((0..40_000_000_i64, 0..SLACK_NS), 0..300),
        ) {
            let mut clock_ns = 0;
            let mut order = ReorderBuffer::default();
            let mut out = Vec::new();
            for (id, (step, late)) in steps.iter().enumerate() {
                clock_ns += step;
                let start_ns = (clock_ns - late).max(0);
                order.push(span(id as u64 + 1, 0, 0, start_ns, 1), |row| out.push(row));
            }
            order.finish(|row| out.push(row));
            prop_assert_eq!(out.len(), steps.len());
            prop_assert!(out.windows(2).all(|two| two[0].start_ns <= two[1].start_ns));
        }
    }
}
