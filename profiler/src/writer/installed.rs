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

use super::Writer;
use crate::panics;

/// How often this is done: a thread that meets a callsite at the moment of the installation may still
/// switch it off after the first time.
const TIMES: u8 = 2;

/// How often it was done.
#[derive(Debug, Default)]
pub(super) struct Installed {
    rebuilt: u8,
}

impl Writer {
    /// As soon as there is a global subscriber, makes `tracing` ask about all callsites. It is also
    /// checked before a flush is answered: so after a flush all callsites are on.
    pub(super) fn look_whether_installed(&mut self) {
        if self.installed.rebuilt == 0 {
            self.rebuild_interest();
        }
    }

    /// The second time, a while later.
    pub(super) fn look_again_whether_installed(&mut self) {
        if (1..TIMES).contains(&self.installed.rebuilt) {
            self.rebuild_interest();
        }
    }

    /// Not while ours is the only subscriber and not installed: `tracing` would ask the subscriber of
    /// this thread, which has none, and switch everything off. Once there is a global subscriber, it is
    /// asked.
    fn rebuild_interest(&mut self) {
        let is_there = || dispatcher::get_default(|global| !global.is::<NoSubscriber>());
        if !self.recorder.has_dispatch() || !is_there() {
            return;
        }
        self.installed.rebuilt += 1;
        // This calls other people's layers.
        if panics::catch(callsite::rebuild_interest_cache).is_err() {
            self.state.set_error("a subscriber panicked when it was asked about a callsite".into());
        }
    }
}
