//! `tracing-tracy`, without a server that it could send to.

use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_tracy::TracyLayer;

use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

pub const ENTRY: Entry = Entry {
    name: "tracing-tracy, no server",
    packages: &["tracing-tracy", "tracy-client"],
    setting: "not on demand, as by default, so that it records from the start, and keeps everything in \
        memory until a server comes; of the features only `enable`, `only-localhost` and \
        `manual-lifetime`; compiled with `TRACY_NO_CALLSTACK`",
    keeps: "every zone for a viewer that connects in time: times, place, fields as text in the name, \
        thread; without one nothing outlives the process; no async spans across threads",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(_: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let layer = TracyLayer::default();
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(Tracy))
}

struct Tracy;

impl Recorder for Tracy {
    /// Nothing to flush to.
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
