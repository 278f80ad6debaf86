//! Counting a call. Calls of the current block of time are counted in a table by bucket, which is fast. When a call
//! of another block comes, the counts are flushed to the samples of the name, which are a sorted list.

use super::super::SpanRef;
use super::blocks::{BlockKey, Samples};
use spandrel_storage::{Histogram, Status};

/// The table grows by this many buckets, an octave; there are fewer than 64 octaves.
const OCTAVE: u16 = 64;

/// Counts of the current block, not yet in the samples.
#[derive(Debug, Default)]
pub(super) struct CurrentBlock {
    block: u8,
    /// The first bucket in `counts`.
    first: u16,
    counts: Vec<u32>,
    busy_ns: u64,
    /// A bit for each octave that has calls; the others are skipped when flushing.
    octaves: u64,
}

impl CurrentBlock {
    /// Counts a call and its busy time.
    #[inline]
    pub(super) fn add(&mut self, samples: &mut Samples, (block, bucket): (u8, u16), busy_ns: u64) {
        if block != self.block {
            self.flush_to(samples);
            self.block = block;
        }
        self.busy_ns = self.busy_ns.saturating_add(busy_ns);
        let at = usize::from(bucket.wrapping_sub(self.first));
        match self.counts.get_mut(at).and_then(|count| Some((count.checked_add(1)?, count))) {
            Some((more, count)) => {
                *count = more;
                self.octaves |= 1 << (bucket / OCTAVE);
            }
            None => self.add_growing(samples, bucket),
        }
    }

    /// Grows the table, or flushes full counters, and counts a call.
    #[cold]
    #[inline(never)]
    fn add_growing(&mut self, samples: &mut Samples, bucket: u16) {
        self.flush_to(samples);
        let first = bucket - bucket % OCTAVE;
        if self.counts.is_empty() {
            self.first = first;
        }
        let before = self.first.saturating_sub(first);
        self.counts.splice(..0, std::iter::repeat_n(0, usize::from(before)));
        self.first -= before;
        let octaves = usize::from(first - self.first) + usize::from(OCTAVE);
        self.counts.resize(self.counts.len().max(octaves), 0);
        if let Some(count) = self.counts.get_mut(usize::from(bucket - self.first)) {
            *count += 1;
        }
        self.octaves = 1 << (bucket / OCTAVE);
    }

    /// Moves the counts into the samples.
    #[cold]
    #[inline(never)]
    pub(super) fn flush_to(&mut self, samples: &mut Samples) {
        let busy_ns = std::mem::take(&mut self.busy_ns);
        if busy_ns > 0 {
            samples.put(BlockKey::of_busy(self.block), busy_ns);
        }
        while self.octaves != 0 {
            let first = self.octaves.trailing_zeros() as u16 * OCTAVE;
            self.octaves &= self.octaves - 1;
            let from = usize::from(first.wrapping_sub(self.first));
            let counts = self.counts.get_mut(from..from + usize::from(OCTAVE));
            let counts = (first..).zip(counts.into_iter().flatten());
            for (bucket, count) in counts.filter(|(_, count)| **count > 0) {
                samples.put(BlockKey::of_bucket(self.block, bucket), std::mem::take(count).into());
            }
        }
    }
}

impl Samples {
    /// Adds a span or an entry of run 0; its bucket is counted in `current`, if given.
    #[inline]
    pub(super) fn add(
        &mut self,
        span: &SpanRef<'_>,
        duration_ns: i64,
        block: u8,
        current: Option<&mut CurrentBlock>,
    ) {
        self.runs = 1;
        if span.entry.is_none() && span.status.has_closed() {
            let failed = matches!(span.status, Status::Error | Status::Panicked);
            self.errors += u64::from(failed);
            self.spans += 1;
        }
        if span.counts_by_entries() {
            self.max_ns = self.max_ns.max(span.longest_entry_ns.unwrap_or(0));
            return;
        }
        if let Some(entry) = span.entry.filter(|entry| entry.earlier_entries > 0) {
            self.put(BlockKey::of_earlier(block), entry.earlier_entries);
            self.sum_ns = self.sum_ns.saturating_add(entry.earlier_ns);
            let busy_ns = u64::try_from(entry.earlier_ns).unwrap_or(0);
            self.earlier_ns = self.earlier_ns.saturating_add(busy_ns);
            self.max_ns = self.max_ns.max(entry.longest_of_span_ns);
        }
        let bucket = Histogram::bucket_of(duration_ns.max(0) as u64);
        let busy_ns = span.busy_ns.unwrap_or(0).max(0) as u64;
        match current {
            Some(current) => current.add(self, (block, bucket), busy_ns),
            None => {
                self.put(BlockKey::of_bucket(block, bucket), 1);
                if busy_ns > 0 {
                    self.put(BlockKey::of_busy(block), busy_ns);
                }
            }
        }
        self.unmeasured += u64::from(span.busy_ns.is_none());
        self.sum_ns = self.sum_ns.saturating_add(duration_ns);
        self.self_ns = self.self_ns.saturating_add(span.self_ns.unwrap_or(0));
        self.max_ns = self.max_ns.max(duration_ns);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_of_the_block_at_hand_are_counted_as_any(
            spans in vec((0_u8..4, prop_oneof![0_u64..6, 0_u64..1 << 40, any::<u64>()], 0_i64..4), 0..200),
        ) {
            let (mut counted, mut plain) = (Samples::default(), Samples::default());
            let mut current = CurrentBlock::default();
            for (block, ns, busy) in spans {
                let span = SpanRef { busy_ns: Some(busy), ..crate::span_ref::nothing() };
                counted.add(&span, ns as i64, block, Some(&mut current));
                plain.add(&span, ns as i64, block, None);
            }
            current.flush_to(&mut counted);
            prop_assert_eq!(counted, plain);
        }
    }

    #[test]
    fn counts_that_are_full_go_to_the_samples() {
        let (mut current, mut samples) = (CurrentBlock::default(), Samples::default());
        current.add(&mut samples, (3, 70), 5);
        current.counts[6] = u32::MAX;
        current.add(&mut samples, (3, 70), 5);
        assert_eq!((samples.calls(), samples.busy_ns()), (u32::MAX.into(), Some(10)));
        current.flush_to(&mut samples);
        assert_eq!((samples.calls(), samples.busy_ns()), (1 << 32, Some(10)));
        current.flush_to(&mut samples);
        assert_eq!(samples.calls(), 1 << 32, "they are given once");
    }
}
