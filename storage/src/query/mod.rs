//! What people ask of a profile: selections of spans, and the analyses over them.
//!
//! Everything here reads; nothing collects spans without a bound, so that a file larger than the
//! memory can be asked, too. Built with the feature `query`: a program that records needs none of it.

pub mod compare;
mod duration;
mod filter;
mod near;
mod scan;
mod span_ref;
mod time;

pub use self::duration::{DurationError, DurationNs, parse_duration_ns};
pub use self::filter::{Filter, FilterError, KEYS, Matcher, quote};
pub use self::scan::{Columns, Scan};
pub use self::span_ref::SpanRef;
pub use self::time::{RunTimes, TimeError, TimeRange, TimeSpec, TimeZone, Window};
