//! Queries on a profile: selections of spans, and analyses of them.
//!
//! Everything here reads; nothing collects spans without a bound, so that a file larger than the
//! memory can be asked, too. A program that records needs none of it. What reads returns an [`Error`] when the
//! file cannot be read; where more can go wrong, its documentation says what.
//!
//! Three small languages select what is analyzed, and are the same on a command line, in a terminal, in a browser and
//! in a link: a [`Filter`] selects spans (`name=db.* dur>10ms field.shard=7`), a [`TimeRange`] a window of time
//! (`30s`, `14:05..14:06`, `mark:deploy`), a [`RunSelector`] a run (`latest~1`, `7`, a label). None of them panics or
//! recurses without bound on any text, and each reports what was wrong with a text, where, and what to write instead.

#![forbid(unsafe_code)]

// Three languages: spans, times, runs; and durations.
mod duration;
mod filter;
mod run_selector;
mod time;

// Rows as they are stored, with names.
mod event_text;
mod fields;
mod preloaded_names;
mod raw_span;
mod reader;
mod related_rows;
mod rows;
mod span_ref;

// Passes over spans, calls and entries.
mod calls;
mod entry_scan;
mod fold_calls;
mod id_near;
mod id_range;
mod id_set;
mod index_by_number;
mod order_rows;
mod scan;
mod scanning;
mod span_pages;
mod workers;

// Where rows are, and sums: commits, indexes, zones.
mod commit_map;
mod indexes;
mod optimize;
mod sum_tables;
mod window_sums;
mod zone_lookup;
mod zones;

// Analyses.
mod child_time;
pub mod compare;
pub mod critical_path;
mod distribution;
mod durations;
mod exact;
pub mod explain;
mod groups;
mod misleading;
mod slow;
pub mod stacks;
mod stalls;
mod statistics;
pub mod trace;

// Following a live profile; SQL of the user; checks of a profile.
pub mod follow;
mod recent;
pub mod sql;
mod verify;

// For the exports; for tests.
#[doc(hidden)]
pub mod internals;
#[cfg(test)]
mod test_profile;

pub use self::child_time::ChildTime;
pub use self::critical_path::CriticalPath;
pub use self::distribution::{Bar, Mode, bars, modes};
pub use self::duration::{DurationError, DurationNs, parse_duration_ns};
pub use self::durations::Durations;
pub use self::event_text::{event_name, event_text};
pub use self::exact::ExactPercentiles;
pub use self::explain::{Explain, Explanation};
pub use self::filter::{EventMatcher, Filter, FilterError, KEYS, Matcher, Subject, quote};
pub use self::groups::{By, Group, Groups, Key};
#[doc(hidden)]
pub use self::id_set::IdSet;
pub use self::indexes::Indexes;
pub use self::misleading::{KeptOpen, LongByLifetime, MostlyWaiting, NestedInItself};
pub use self::optimize::{OptimizeProgress, Optimized, drop_indexes, optimize};
#[doc(hidden)]
pub use self::order_rows::OrderRows;
pub use self::reader::{
    Callsite, CountedBy, Counts, Elsewhere, Entry, Event, Gauge, Link, Loss, Mark, OpenSpan,
    Reader, Run, Span, SpanContext, Thread, Top, WriterStat,
};
pub use self::recent::Rollup;
pub use self::run_selector::{RunSelector, RunSelectorError};
pub use self::scan::{Columns, Scan};
pub use self::slow::{SlowBy, SlowScope, Slowest};
pub use self::span_ref::SpanRef;
pub use self::stacks::{StackTree, Stacks, Weight};
pub use self::stalls::{InnerSpan, RuntimeThreads, Stall, Stalls, StallsOn, longest_entry_began};
pub use self::time::{RunTimes, TimeError, TimeRange, TimeSpec, TimeZone, Window};
pub use self::trace::Trace;
pub use self::verify::Contradiction;
pub use self::window_sums::Extent;
pub use spandrel_storage::{Error, ErrorKind, nearest};
