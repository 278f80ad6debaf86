//! Records of the `log` crate, for programs whose subscriber is ours.
//!
//! `tracing_subscriber`'s `init` takes them, with its feature `tracing-log`; so does ours, with the
//! feature `log`. The writer finds out where a record comes from (`writer/log_sites.rs`).

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::LevelFilter;
use tracing_log::{AsLog, LogTracer, log};

use crate::error::{Error, ErrorKind};

/// Whether the program's logger is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Makes events of all records of the program. Called when our subscriber is installed; from then on
/// `log`'s level is that of its most verbose callsite.
pub(crate) fn take() -> Result<(), Error> {
    let level = LevelFilter::current().as_log();
    LogTracer::builder().with_max_level(level).init().map_err(|source| {
        let message = "the subscriber is installed, but it gets no records of the `log` crate: the \
                       program has a logger already; leave that one out, or the feature `log` of \
                       spandrel";
        Error::new(ErrorKind::LoggerInstalled, message).with_source(source)
    })?;
    // Relaxed, as in `follow`: the level has an atomic of its own.
    TAKEN.store(true, Ordering::Relaxed);
    Ok(())
}

/// Passes the most verbose level of the subscriber on to `log`, after its filter has changed.
pub(crate) fn follow() {
    if TAKEN.load(Ordering::Relaxed) {
        log::set_max_level(LevelFilter::current().as_log());
    }
}
