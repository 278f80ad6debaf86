//! Gauges: values that the program sets, sampled once an interval (feature `gauges`).

mod cell;
mod gauge;
mod process;
mod profiler;
mod samples;
mod sampling;
mod table;
mod value;

pub use self::gauge::Gauge;
pub use self::samples::Samples;
pub(super) use self::sampling::Sampling;
pub use self::value::GaugeValue;
