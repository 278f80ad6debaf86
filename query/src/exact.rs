//! Exact percentiles with bounded memory, in a few passes.
//!
//! After the first pass the histogram of a group says in which narrow range the value of a rank lies,
//! and how many values are below. Each further pass cuts that range into equal bins, counts the values
//! in them, and goes on in the bin that has the rank: with some hundred bins a range of a second is down
//! to one nanosecond after four passes (Munro and Paterson, "Selection and sorting with limited
//! storage", 1980). Memory is that of the bins, whatever the number of spans.
//!
//! Of a live recording, later passes see spans that earlier ones have not; a percentile is then one of
//! the values beside the exact one.

use super::SpanRef;
use super::groups::{Group, Groups};

/// Bins of all ranges together; 8 bytes each.
const BINS_MAX: usize = 4 << 20;

/// Percentiles of groups, found pass by pass.
#[derive(Debug)]
pub struct ExactPercentiles {
    /// The ranges of one group stand together.
    ranges: Vec<Range>,
    each: usize,
}

/// Where one percentile lies.
#[derive(Debug)]
struct Range {
    /// The smallest value that it can have; with the next field, the largest.
    low: u64,
    high: u64,
    /// The rank of the percentile among the values in the range, from 1; 0 if there is no percentile.
    rank: u64,
    bins: Vec<u64>,
}

impl Range {
    fn new(group: &Group, q: f64) -> Self {
        let mut range = Self { low: 0, high: 0, rank: 0, bins: Vec::new() };
        let count = group.histogram.count();
        let wanted = (q.clamp(0.0, 1.0) * count as f64 * (1.0 - 2.0 * f64::EPSILON)).ceil() as u64;
        let wanted = wanted.clamp(1, count.max(1));
        let mut below = 0_u64;
        for bucket in group.histogram.buckets() {
            if below.saturating_add(bucket.count) >= wanted {
                (range.low, range.high) = (bucket.low, bucket.high);
                range.rank = wanted - below;
                break;
            }
            below = below.saturating_add(bucket.count);
        }
        range
    }

    fn is_exact(&self) -> bool {
        self.low == self.high || self.rank == 0
    }

    /// The width of a bin.
    fn step(&self) -> u64 {
        ((self.high - self.low) / self.bins.len().max(1) as u64).saturating_add(1)
    }

    fn count(&mut self, value: u64) {
        if self.bins.is_empty() || value < self.low || value > self.high {
            return;
        }
        let bin = (value - self.low) / self.step();
        if let Some(count) = self.bins.get_mut(bin as usize) {
            *count += 1;
        }
    }

    fn narrow(&mut self) {
        let step = self.step();
        let bins = std::mem::take(&mut self.bins);
        let mut below = 0;
        let last = bins.iter().rposition(|count| *count > 0);
        for (at, count) in bins.iter().enumerate() {
            // If values were deleted meanwhile, take the last one.
            if below + count >= self.rank || Some(at) == last {
                self.low += at as u64 * step;
                self.high = self.high.min(self.low.saturating_add(step - 1));
                self.rank = (self.rank - below).min(*count);
                return;
            }
            below += count;
        }
        self.rank = 0; // all of them are gone
    }
}

impl ExactPercentiles {
    /// The percentiles to find, of groups that have seen all spans once.
    pub fn new(groups: &Groups, quantiles: &[f64]) -> Self {
        let all = groups.groups();
        let ranges = all.iter().flat_map(|group| quantiles.iter().map(|q| Range::new(group, *q)));
        Self { ranges: ranges.collect(), each: quantiles.len() }
    }

    /// Begins a pass if one is needed: then call [`add`](Self::add) for all calls once more, and
    /// [`end_pass`](Self::end_pass).
    pub fn begin_pass(&mut self) -> bool {
        let open = self.ranges.iter().filter(|range| !range.is_exact()).count();
        let bins = (BINS_MAX / open.max(1)).clamp(2, 4096);
        for range in self.ranges.iter_mut().filter(|range| !range.is_exact()) {
            range.bins = vec![0; bins];
        }
        open > 0
    }

    /// Counts a call of the pass.
    pub fn add(&mut self, groups: &mut Groups, span: &SpanRef<'_>) {
        let Some(duration_ns) = span.call_ns() else { return };
        let first = groups.assign(span) * self.each;
        for range in self.ranges.iter_mut().skip(first).take(self.each) {
            range.count(duration_ns.max(0) as u64);
        }
    }

    /// Ends a pass.
    pub fn end_pass(&mut self) {
        for range in self.ranges.iter_mut().filter(|range| !range.bins.is_empty()) {
            range.narrow();
        }
    }

    /// The percentiles of a group in nanoseconds, in the order in which they were asked for.
    pub fn of(&self, group: usize) -> Vec<Option<i64>> {
        let of_group = self.ranges.iter().skip(group * self.each).take(self.each);
        of_group
            .map(|range| (range.rank > 0).then(|| i64::try_from(range.low).unwrap_or(i64::MAX)))
            .collect()
    }
}
