//! What an application holds: the profiler, its settings, and named sections.

// The profiler and what it returns: a section of time, a report at the end.
mod profiler;
mod report;
mod section;

// Settings and their sources.
mod builder;
mod environment;
mod misspelt;
mod variables;

// From settings to a profiler that records.
mod run_info;
mod start;

// Who takes what is recorded.
mod backend;
#[cfg(feature = "collected")]
mod collected;
#[cfg(feature = "database")]
mod database;

// Values that the program sets.
#[cfg(feature = "gauges")]
mod gauges;

pub use self::builder::{Arguments, ProfilerBuilder};
#[cfg(feature = "database")]
pub use self::database::{Commit, Commits, ReadError, Tap, TappedSpan};
#[cfg(feature = "gauges")]
pub use self::gauges::{Gauge, GaugeValue, Samples};
pub use self::profiler::Profiler;
pub use self::report::Report;
pub use self::section::Section;
