//! Marks, losses and the states of the writer in a source.

use super::super::error::ExportError;
use super::Source;
use spandrel_query::{Loss, Mark};

/// The state of the writer at the end of an interval.
pub(crate) struct Counters {
    pub(crate) at_ns: i64,
    stored_per_second: u64,
    ring_high_water: u64,
    open_spans: u64,
}

impl Counters {
    /// The names, in the order of the values.
    pub(crate) const NAMES: [&str; 3] =
        ["spans stored per second", "ring slots in use, most so far", "open spans"];

    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let values = [self.stored_per_second, self.ring_high_water, self.open_spans];
        Self::NAMES.into_iter().zip(values)
    }
}

impl Source<'_> {
    /// The marks in the window.
    pub(crate) fn marks(&self) -> Result<Vec<Mark>, ExportError> {
        let mut marks = self.reader.marks(self.run.id)?;
        marks.retain(|mark| self.in_window(mark.at_ns));
        Ok(marks)
    }

    /// The losses that can lie in the window.
    pub(crate) fn losses(&self) -> Result<Vec<Loss>, ExportError> {
        let mut losses = self.reader.losses(self.run.id)?;
        losses.retain(|loss| {
            self.window.0.is_none_or(|from| loss.to_ns >= from)
                && self.window.1.is_none_or(|until| loss.from_ns < until)
        });
        Ok(losses)
    }

    /// The states of the writer in the window.
    pub(crate) fn counters(&self) -> Result<Vec<Counters>, ExportError> {
        let stats = self.reader.writer_stats(self.run.id)?;
        let mut counters = Vec::with_capacity(stats.len());
        let (mut before_ns, mut before) = (0, 0);
        for stat in stats {
            let interval_ns = stat.at_ns.saturating_sub(before_ns).max(1);
            let stored = u128::from(stat.stored.saturating_sub(before));
            let rate = stored * 1_000_000_000 / u128::from(interval_ns.unsigned_abs());
            (before_ns, before) = (stat.at_ns, stat.stored);
            counters.push(Counters {
                at_ns: stat.at_ns,
                stored_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
                ring_high_water: stat.ring_high_water,
                open_spans: stat.open_spans,
            });
        }
        counters.retain(|sample| self.in_window(sample.at_ns));
        Ok(counters)
    }
}
