//! Intervals by drawing blocks of time with replacement.

use super::drawing::{DrawCount, Random};
use super::small_samples::{chance, upper, widening};
use crate::statistics::normal::normal_quantile;

/// A change, B over A less one, with its interval: 0.1 is 10 % more.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// As measured.
    pub change: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// How likely chance alone makes a change as far from nothing as this one.
    pub p_value: f64,
}

/// How intervals are found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bootstrap {
    /// How many recordings are drawn for each side.
    pub draws: usize,
    /// The share of them that the interval holds, such as 0.95.
    pub confidence: f64,
    /// The standard deviation of a run, as a share of one: how much it differs from the next one, whatever
    /// changed. Of sides that have several runs each it is measured; where one has but one, its
    /// interval tells nothing of it, and is made wider by so much.
    pub between_runs: f64,
    /// Where the drawing starts: the same seed gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1_000, confidence: 0.95, between_runs: 0.02, seed: 0x5350_414E_4452_454C }
    }
}

impl Bootstrap {
    /// With intervals that hold this share, from 0 to 1.
    #[must_use]
    pub fn confidence(self, confidence: f64) -> Self {
        Self { confidence, ..self }
    }

    /// With sides of one run that differ from the next one by this share, whatever changed.
    #[must_use]
    pub fn between_runs(self, between_runs: f64) -> Self {
        Self { between_runs, ..self }
    }

    /// How far two single runs may lie apart, as a share of one.
    fn spread(&self) -> f64 {
        self.between_runs.max(0.0) * 2_f64.sqrt() * normal_quantile(upper(self.confidence))
    }

    /// The interval of a ratio of two sides, of which one is a single run. What differs within runs and
    /// what differs between them has nothing to do with each other: so squares are added up.
    pub(super) fn of_single_runs(&self, measured: f64, (low, high): (f64, f64)) -> (f64, f64) {
        let wider = |end: f64| {
            let by = (end / measured).ln().hypot(self.spread().ln_1p());
            if measured > 0.0 && end > 0.0 { by.exp() } else { 1.0 + self.spread() }
        };
        (measured / wider(low), measured * wider(high))
    }

    /// How likely chance alone makes a ratio as far from one as `measured`, of which this is the interval.
    pub(super) fn chance(
        &self,
        measured: f64,
        interval: (f64, f64),
        DrawCount(things): DrawCount,
    ) -> f64 {
        chance(measured, interval, things, self.confidence)
    }

    pub(super) fn random(&self) -> Random {
        Random(self.seed)
    }

    /// The part of the drawn `values` that the interval around what was measured holds, made wider
    /// for what few things it was drawn from. Ratios: all are greater than nothing.
    pub(super) fn interval(
        &self,
        measured: f64,
        values: &mut [f64],
        DrawCount(things): DrawCount,
    ) -> Option<(f64, f64)> {
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence.clamp(0.0, 1.0)) / 2.0;
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
        let (low, high) = (at(tail)?.min(measured), at(1.0 - tail)?.max(measured));
        let by = widening(things, self.confidence);
        let wider = |end: f64| {
            if measured > 0.0 && end > 0.0 { measured * (end / measured).powf(by) } else { end }
        };
        Some((wider(low), wider(high)))
    }
}
