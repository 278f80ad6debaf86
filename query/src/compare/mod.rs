//! Two recordings beside each other: what got slower, and whether that is noise.
//!
//! A quantile of one recording is a number; how sure it is, is found by drawing recordings that could
//! have been, again and again, from the one that was: the bootstrap (Efron, "Bootstrap methods:
//! another look at the jackknife", Annals of Statistics 7, 1979). Spans that run at the same time are
//! slow together, so that whole blocks of time are drawn and not single spans (Künsch, "The jackknife
//! and the bootstrap for general stationary observations", Annals of Statistics 17, 1989); and where a
//! side has several runs, runs are drawn first and then blocks of each: only then does the interval
//! know of the noise between runs. Noise that lasts longer than a block is found by drawing long blocks,
//! too; the wider interval counts. From few runs or few blocks an interval is made wider still.
//!
//! Of a hundred figures that have not changed, five lie outside of their 95 % intervals. So which changes
//! are believed is decided for all figures of a comparison together.

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
