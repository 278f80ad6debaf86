//! Records of the `log` crate, for programs whose subscriber is ours.
//!
//! `tracing_subscriber`'s `init` takes them, by its feature `tracing-log`; so does ours, by the feature
//! `log`. Where a record comes from is seen to in the writer (`writer/log_sites.rs`).

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::LevelFilter;
use tracing_log::{AsLog, LogTracer, log};

use crate::error::{Error, ErrorKind};

/// Whether the program's logger is the one that we have set.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Makes events of the records of the whole program. Called when its subscriber is installed, whose
/// most verbose level is that of `log` from then on.
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

/// Takes over the most verbose level of the subscriber, after its filter has changed.
pub(crate) fn follow() {
    if TAKEN.load(Ordering::Relaxed) {
        log::set_max_level(LevelFilter::current().as_log());
    }
}
