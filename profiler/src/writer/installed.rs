//! Whether the program has a global subscriber by now, so that what `tracing` has decided before can be
//! decided anew.
//!
//! As long as there is one subscriber, `tracing` asks that of the thread which meets a callsite. Until
//! `set_global_default` a thread has none, so a callsite that is met after the subscriber was made
//! and before it was installed is switched off, and nothing ever switches it on again. Callsites that
//! were met earlier are no trouble: they are asked about when the subscriber is made.

use tracing_core::subscriber::NoSubscriber;
use tracing_core::{callsite, dispatcher};

use super::Writer;
use crate::panics;

/// How often it is asked again: a thread that was just meeting a callsite when the subscriber was
/// installed may switch it off after the first time.
const TIMES: u8 = 2;

/// What the writer has done about it.
#[derive(Debug, Default)]
pub(super) struct Installed {
    rebuilt: u8,
}

impl Writer {
    /// Makes `tracing` ask about all callsites, the first time that there is a global subscriber. What
    /// was recorded before a flush is in the file after it, and so the callsites are on.
    pub(super) fn look_whether_installed(&mut self) {
        if self.installed.rebuilt == 0 {
            self.rebuild_interest();
        }
    }

    /// Once more, a while later.
    pub(super) fn look_again_whether_installed(&mut self) {
        if (1..TIMES).contains(&self.installed.rebuilt) {
            self.rebuild_interest();
        }
    }

    /// Not while nobody but us has a subscriber: `tracing` would ask that of this thread, which has none,
    /// and switch everything off. Where there is a global one, it is asked, alone or among all others.
    fn rebuild_interest(&mut self) {
        let is_there = || dispatcher::get_default(|global| !global.is::<NoSubscriber>());
        if !self.recorder.has_dispatch() || !is_there() {
            return;
        }
        self.installed.rebuilt += 1;
        // Layers of others are asked, too.
        if panics::catch(callsite::rebuild_interest_cache).is_err() {
            self.state.set_error("a subscriber panicked when it was asked about a callsite".into());
        }
    }
}
