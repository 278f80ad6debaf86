//! Makes `tracing` ask again about callsites, as soon as the program has a global subscriber.

use super::Writer;
use crate::recorder::installed::TIMES;

/// How often this was done.
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

    fn rebuild_interest(&mut self) {
        let rebuilt = self.recorder.rebuild_interest();
        self.installed.rebuilt += u8::from(rebuilt != Ok(false));
        if rebuilt.is_err() {
            self.state.set_error("a subscriber panicked when it was asked about a callsite".into());
        }
    }
}
