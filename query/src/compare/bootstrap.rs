//! Confidence intervals by drawing blocks of time with replacement.

use super::drawing::{DrawCount, Random};
use super::small_samples::{chance, upper, widening};
use crate::statistics::normal::normal_quantile;

/// A relative change, B / A - 1, with its confidence interval: 0.1 is 10 % more.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// As measured.
    pub change: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// Probability of a change at least this far from zero by chance alone.
    pub p_value: f64,
}

/// How confidence intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bootstrap {
    /// Number of recordings that are drawn for each side.
    pub draws: usize,
    /// The share of drawn values that the interval contains, such as 0.95.
    pub confidence: f64,
    /// The relative standard deviation between runs in which nothing changed, such as 0.02. If a side has several
    /// runs it is measured; the interval of a side with a single run cannot contain it, and is widened by this much.
    pub between_runs: f64,
    /// Seed of the random numbers: the same seed gives the same interval.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1_000, confidence: 0.95, between_runs: 0.02, seed: 0x5350_414E_4452_454C }
    }
}

impl Bootstrap {
    /// Sets the confidence, from 0 to 1.
    #[must_use]
    pub fn confidence(self, confidence: f64) -> Self {
        Self { confidence, ..self }
    }

    /// Sets the relative standard deviation between runs.
    #[must_use]
    pub fn between_runs(self, between_runs: f64) -> Self {
        Self { between_runs, ..self }
    }

    /// Relative standard deviation of the ratio of two single runs.
    fn spread(&self) -> f64 {
        self.between_runs.max(0.0) * 2_f64.sqrt() * normal_quantile(upper(self.confidence))
    }

    /// The interval of a ratio if one side is a single run. The noise within runs and the noise between runs are
    /// independent, so their squares are added.
    pub(super) fn of_single_runs(&self, measured: f64, (low, high): (f64, f64)) -> (f64, f64) {
        let wider = |end: f64| {
            let by = (end / measured).ln().hypot(self.spread().ln_1p());
            if measured > 0.0 && end > 0.0 { by.exp() } else { 1.0 + self.spread() }
        };
        (measured / wider(low), measured * wider(high))
    }

    /// Probability of a ratio at least as far from one as `measured` by chance alone, from its interval.
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

    /// The interval around the measured ratio from the drawn `values`, all above zero; widened for how few blocks or
    /// runs were drawn from.
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
