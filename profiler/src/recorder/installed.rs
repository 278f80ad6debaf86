//! Whether the program has a global subscriber by now, so that `tracing` can be made to ask again about
//! callsites.
//!
//! As long as there is only one subscriber, `tracing` asks the subscriber of the thread that meets a
//! callsite. Before `set_global_default` a thread has none; so a callsite that is met after the
//! subscriber was made and before it was installed is switched off, and nothing ever switches it on
//! again. Callsites that were met earlier are no problem: `tracing` asks about them when the subscriber
//! is made.

use tracing_core::subscriber::NoSubscriber;
use tracing_core::{callsite, dispatcher};

use super::Recorder;
use crate::panics::{self, Panicked};

/// How often this is done: a thread that meets a callsite at the moment of the installation may still
/// switch it off after the first time.
pub(crate) const TIMES: u8 = 2;

impl Recorder {
    /// If there is a global subscriber, makes `tracing` ask about all callsites, and says so. Only for a thread that
    /// records nothing.
    ///
    /// Not while ours is the only subscriber and not installed: `tracing` would ask the subscriber of
    /// this thread, which has none, and switch everything off. Once there is a global subscriber, it is
    /// asked.
    pub(crate) fn rebuild_interest(&self) -> Result<bool, Panicked> {
        let is_there = || dispatcher::get_default(|global| !global.is::<NoSubscriber>());
        if !self.has_dispatch() || !is_there() {
            return Ok(false);
        }
        // This calls other people's layers.
        panics::catch(callsite::rebuild_interest_cache).map(|()| true)
    }
}
