//! What becomes of records that are published while, or after, the writer ends.
//!
//! A thread that has looked whether the ring is closed just before it was closed still publishes.
//! Such a record happens neither before nor after the close. The writer may have seen it or not;
//! if not, it stays in the ring and counts as dropped, unless it is the end of a span that the
//! writer has stored as unfinished: that span is in the ledger already.

use std::collections::HashSet;

use spandrel_ring::Consumer;

use crate::recorder::record::{self, Slot};

/// What is left when the writer has ended.
#[derive(Debug)]
pub(crate) struct PostCloseDrain {
    pub(crate) consumer: Consumer<Slot>,
    /// Ids of the spans that were stored, or dropped, as unfinished.
    pub(crate) unfinished: HashSet<u64>,
    /// Records that belong to one of those, and that the writer has not seen.
    pub(crate) duplicates: u64,
}

impl PostCloseDrain {
    /// Looks through what has come since, and counts what is in the ledger already.
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
