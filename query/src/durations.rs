//! The durations of calls, and nothing else of them.

use super::{Filter, Scan, SpanRef};
use crate::fold_calls::Fold;
use crate::reader::{CountedBy, Reader};
use spandrel_storage::internals::Hints;
use spandrel_storage::{Error, Histogram};

/// The durations of calls.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Durations {
    /// All of them.
    pub histogram: Histogram,
    /// The longest.
    pub max_ns: i64,
    /// Further calls, which are known by number and sum only.
    pub summed_only: u64,
    /// What a call is; `None` if there are no calls.
    pub counted: Option<CountedBy>,
    hints: Hints,
}

impl Durations {
    fn counts_by(&mut self, counted: CountedBy) {
        if *self.counted.get_or_insert(counted) != counted {
            self.counted = Some(CountedBy::Both);
        }
    }
}

impl Fold for Durations {
    fn add(&mut self, call: &SpanRef<'_>) {
        let Some(ns) = call.call_ns() else { return };
        self.histogram.record_near(ns.max(0) as u64, &mut self.hints);
        self.max_ns = self.max_ns.max(ns);
        self.counts_by(call.counted());
        let earlier = call.entry.map_or(0, |entry| entry.earlier_entries);
        self.summed_only = self.summed_only.saturating_add(earlier);
    }

    fn join(parts: Vec<Self>) -> Option<Self> {
        let mut joined = Self::default();
        for part in parts {
            joined.histogram.merge(&part.histogram);
            joined.max_ns = joined.max_ns.max(part.max_ns);
            if let Some(counted) = part.counted {
                joined.counts_by(counted);
            }
            joined.summed_only = joined.summed_only.saturating_add(part.summed_only);
        }
        Some(joined)
    }
}

impl Reader {
    /// The durations of the calls that match a scan and a filter.
    ///
    /// # Blocking
    ///
    /// As [`scan_calls`](Self::scan_calls) at most; of a file that nobody records into, all processors read it.
    pub fn durations(&self, scan: &Scan, filter: &Filter) -> Result<Durations, Error> {
        self.fold_calls(scan, filter, Durations::default)
    }
}
