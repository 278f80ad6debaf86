//! `tracing-timing`: histograms of the time between the events of a span.

use tracing::Dispatch;
use tracing_timing::{Builder, Histogram, TimingSubscriber};

use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

pub const ENTRY: Entry = Entry {
    name: "tracing-timing",
    packages: &["tracing-timing"],
    setting: "its own subscriber, no `Registry`; the close of a span as the event that is timed, no \
        recursion, histograms up to 1 s with two digits; `force_synchronize`",
    keeps: "a histogram of durations by span name in memory; no single span, fields, parents or busy \
        time, nothing on disk; locks, but no queue",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(_: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    Histogram::<u64>::new_with_max(LONGEST_NS, DIGITS)?;
    let subscriber = Builder::default().no_span_recursion().span_close_events().build(|| {
        // The bounds were tried above, but the signature leaves no room for an error.
        Histogram::new_with_max(LONGEST_NS, DIGITS).unwrap_or_else(|_| std::process::abort())
    });
    let dispatch = Dispatch::new(subscriber);
    tracing::dispatcher::set_global_default(dispatch.clone())?;
    Ok(Box::new(Timing { dispatch }))
}

const LONGEST_NS: u64 = 1_000_000_000;
const DIGITS: u8 = 2;

struct Timing {
    dispatch: Dispatch,
}

impl Timing {
    fn subscriber(&self) -> Result<&TimingSubscriber> {
        self.dispatch.downcast_ref().ok_or_else(|| "the subscriber is not the one installed".into())
    }
}

impl Recorder for Timing {
    /// There is no queue, and `force_synchronize` would take the thread's recorders away.
    fn rest(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.subscriber()?.force_synchronize();
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let samples = self.subscriber()?.with_histograms(|groups| {
            let histograms = groups.values().flat_map(|group| group.values());
            histograms.map(|histogram| histogram.len()).sum()
        });
        Ok(Some(Arrived { records: samples, said_lost: Some(0) }))
    }
}
