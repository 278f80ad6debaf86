//! A profiler that records into a folder of its own, and what it leaves in the file.

use spandrel::{Profiler, ProfilerBuilder};
use tracing::Dispatch;

use crate::database::Database;
use crate::ledger;
use crate::scratch::{Scratch, dispatch, scratch, scratch_for, small, within};

/// A [`small`] profiler and the folder it writes into.
pub fn recording() -> (Scratch, Profiler) {
    let scratch = scratch();
    let profiler = small(scratch.db()).build().expect("a profiler");
    (scratch, profiler)
}

/// The same, for a test that may take so many seconds: see [`time_limit`](crate::time_limit).
pub fn recording_for(seconds: u64) -> (Scratch, Profiler) {
    let scratch = scratch_for(seconds);
    let profiler = small(scratch.db()).build().expect("a profiler");
    (scratch, profiler)
}

/// What a small profiler that is installed so has of `body`, which is all of it.
pub fn recorded(install: impl FnOnce(&Profiler) -> Dispatch, body: impl FnOnce()) -> Database {
    let (scratch, profiler) = recording();
    within(&install(&profiler), body);
    ledger::check_complete(scratch.db(), &profiler.close().expect("it was open"))
}

/// What the layer and what the subscriber of a profiler that is set so have of `body`, which is all of it.
pub fn recorded_by_both(
    set: impl Fn(ProfilerBuilder) -> ProfilerBuilder,
    body: impl Fn(),
) -> [Database; 2] {
    Front::BOTH.map(|front| {
        let scratch = scratch();
        let profiler = set(small(scratch.db())).build().expect("a profiler");
        within(&front.dispatch(&profiler), &body);
        ledger::check_complete(scratch.db(), &profiler.close().expect("it was open"))
    })
}

/// How a program is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    Layer,
    Subscriber,
}

impl Front {
    pub const BOTH: [Self; 2] = [Self::Layer, Self::Subscriber];

    /// What a thread has as its subscriber then.
    pub fn dispatch(self, profiler: &Profiler) -> Dispatch {
        match self {
            Self::Layer => dispatch(profiler),
            Self::Subscriber => subscriber(profiler),
        }
    }
}

/// The profiler's own subscriber.
pub fn subscriber(profiler: &Profiler) -> Dispatch {
    Dispatch::new(profiler.subscriber())
}
