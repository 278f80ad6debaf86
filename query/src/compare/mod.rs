//! Compares two recordings: what got slower, and is it noise?
//!
//! The confidence interval of a quantile comes from the bootstrap: recordings are resampled from the measured one,
//! again and again (Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979). Spans
//! that run at the same time are slow together, so whole blocks of time are drawn and not single spans (Künsch, "The
//! jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989). If a side has
//! several runs, runs are drawn first and then blocks of each, so that the interval contains the noise between runs.
//! Long blocks are drawn, too, for noise that lasts longer than a block; the wider interval counts. Intervals from
//! few runs or blocks are widened further.
//!
//! Of a hundred figures that have not changed, five lie outside of their 95 % intervals. So the significance of all
//! figures of a comparison is decided together (false discovery rate).

mod blocks;
mod bootstrap;
mod change;
mod counting;
mod drawing;
mod samples;
mod small_samples;

pub use self::blocks::Samples;
pub use self::bootstrap::{Bootstrap, Estimate};
pub use self::change::{Change, Comparison, Delta, JUDGED_MAX, Measured, Metric};
pub use self::samples::{SampleSet, SpanName};
