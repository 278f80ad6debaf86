//! What becomes of records that are published while the writer ends, or afterwards.
//!
//! A thread that checked whether the ring is closed just before it was closed still publishes. Such a
//! record is neither before nor after the close. If the writer has not seen it, it stays in the ring and
//! counts as dropped; except if it is the end of a span that the writer has stored as unfinished: that
//! span is counted already.

use std::collections::HashSet;

use spandrel_ring::Consumer;

use crate::recorder::record::{self, Slot};

/// What is left after the writer's end.
#[derive(Debug)]
pub(crate) struct PostCloseDrain {
    pub(crate) consumer: Consumer<Slot>,
    /// Ids of the spans that were stored or dropped as unfinished.
    pub(crate) unfinished: HashSet<u64>,
    /// How many records that the writer has not seen belong to one of those spans.
    pub(crate) duplicates: u64,
}

impl PostCloseDrain {
    /// Drains what has come since, and counts the records of those spans.
    pub(crate) fn look(&mut self) {
        for partition in 0..self.consumer.partitions() {
            let (unfinished, duplicates) = (&self.unfinished, &mut self.duplicates);
            self.consumer.drain(partition, usize::MAX, |entry| {
                let words: Vec<u64> = entry.slots().flatten().copied().collect();
                let span_id = record::read(&words).and_then(|record| record.span_id());
                if span_id.is_some_and(|id| unfinished.contains(&id)) {
                    *duplicates += 1;
                }
            });
        }
    }
}
