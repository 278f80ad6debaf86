//! The language for times and windows of a run.
//!
//! | moment | is |
//! |---|---|
//! | `30s`, `1h30m` | so long before the end of the run, or its newest moment if it is live |
//! | `+12.5s` | so long after the start of the run |
//! | `14:05`, `14:05:06.250` | a time of day, of a day of the run |
//! | `2026-11-20 14:02`, `2026-11-20` | a date, with a time of day or its beginning |
//! | `2026-11-20T14:02:00+01:00` | a moment as in RFC 3339 |
//! | `mark:deploy`, `mark:"a b"` | the newest mark of that label |
//! | `start`, `end` | the bounds of the run |
//!
//! Times of day and dates without an offset are of the time zone that is asked for. A time of day
//! is the newest such moment inside the run (before the other end, if both are given); if there is
//! none, that of the run's day, or the nearer one of a run over midnight.
//!
//! A range is `A..B`; an end that is left out is open. A mark that is a section is its beginning on
//! the left and its end on the right, and alone, without dots, both.

mod clock;
mod error;
mod range;
mod resolve;
mod spec;

pub use jiff::tz::TimeZone;

pub use self::error::TimeError;
pub use self::range::TimeRange;
pub use self::resolve::{RunTimes, Window};
pub use self::spec::TimeSpec;
