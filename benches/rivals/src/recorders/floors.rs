//! What a span costs before anybody records it.

use tracing::{Subscriber, subscriber};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result};

pub const NOBODY: Entry = Entry {
    name: "no subscriber",
    packages: &["tracing"],
    setting: "nothing is installed",
    keeps: "nothing",
    cases: &Case::ALL,
    has_queue_size: false,
    install: |_| Ok(Box::new(Nothing)),
};

pub const NOOP: Entry = Entry {
    name: "Registry + no-op layer",
    packages: &["tracing-subscriber"],
    setting: "a layer without a single callback",
    keeps: "nothing; what every layer pays before it does anything",
    cases: &Case::ALL,
    has_queue_size: false,
    install: |_| {
        subscriber::set_global_default(tracing_subscriber::registry().with(NoopLayer))?;
        Ok(Box::new(Nothing))
    },
};

struct NoopLayer;

impl<S: Subscriber> Layer<S> for NoopLayer {}

struct Nothing;

impl Recorder for Nothing {
    fn rest(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        Ok(None)
    }
}
