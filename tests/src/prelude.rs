//! What nearly every test begins with: a profiler, something to record, and the file to look at.

pub use std::path::Path;
pub use std::time::Duration;

pub use spandrel::{ErrorKind, Profiler, ProfilerBuilder, Report};
pub use tracing::level_filters::LevelFilter;
pub use tracing::{
    Dispatch, Instrument, Level, Span, Subscriber, debug, debug_span, error, field, info,
    info_span, instrument, trace_span, warn,
};
pub use tracing_subscriber::prelude::*;

pub use crate::{
    Database, Front, Scratch, alone, child, dispatch, ledger, recorded, recorded_by_both,
    recording, recording_for, repeated, rounds, scratch, scratch_for, self_times, skipped, small,
    spin, subscriber, time_limit, within,
};
