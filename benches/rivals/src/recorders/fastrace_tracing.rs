//! `fastrace` behind `tracing`, by its own layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrace_tracing::FastraceCompatLayer;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;

use super::fastrace_native::{GROUP, Group, report_to_counter};
use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work;

pub const ENTRY: Entry = Entry {
    name: "fastrace-tracing",
    packages: &["fastrace-tracing", "fastrace"],
    setting: "no location, threads or level; under a local parent of fastrace, which it says is \
        critical, one for each 100 spans, not counted; a reporter that only counts; \
        `fastrace::flush()`",
    keeps: "every span as `SpanRecord` with parent and fields as text, for a reporter, which is not \
        part of the figure; no busy time; counts no losses",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(_: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let reported = report_to_counter();
    let layer = FastraceCompatLayer::new().with_location(false).with_threads(false);
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(Compat { reported, group: None, left: 0 }))
}

struct Compat {
    reported: Arc<AtomicU64>,
    /// What [`one`](Recorder::one) is in, and how many spans it still takes.
    group: Option<Group>,
    left: u64,
}

impl Recorder for Compat {
    fn run(&mut self, case: Case, spans: u64) -> u64 {
        let mut made = 0;
        while made < spans {
            let _group = Group::open(GROUP);
            made += work::run(case, TREE_CHILDREN.min(spans - made));
        }
        made
    }

    /// Every hundredth closes one group and opens the next.
    fn one(&mut self) -> u64 {
        if self.left == 0 {
            drop(self.group.take());
            self.group = Some(Group::open(GROUP));
            self.left = TREE_CHILDREN;
        }
        self.left -= 1;
        work::one();
        1
    }

    fn rest(&mut self, _: u64) -> Result<()> {
        fastrace::flush();
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        drop(self.group.take());
        fastrace::flush();
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        Ok(Some(Arrived::uncounted(self.reported.load(Ordering::Relaxed))))
    }
}
