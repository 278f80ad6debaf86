//! What an application holds: the profiler, its settings, and named sections.

mod builder;
mod environment;
mod path_pattern;
mod profiler;
mod report;
mod run_info;
mod section;
mod start;

pub use self::builder::{Arguments, Builder};
pub use self::profiler::Profiler;
pub use self::report::Report;
pub use self::section::Section;
