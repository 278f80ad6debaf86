//! `tracing-chrome`: a JSON event for each entry and each exit, formatted by a thread.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::subscriber;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;

use super::counting_file::{CountingFile, Counts, wait_until};
use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::ENTRIES;

pub const ENTRY: Entry = Entry {
    name: "tracing-chrome",
    packages: &["tracing-chrome"],
    setting: "`Threaded`, no locations, arguments only where there are fields; its unbounded channel; \
        `FlushGuard`",
    keeps: "every entry and exit as JSON text, fields as text; no span that spans threads, no parents \
        but by nesting; not queryable, JSON only when closed; counts no losses",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let path = setup.folder.join("trace.json");
    let (file, counts) = CountingFile::create(&path)?;
    let (layer, guard) = ChromeLayerBuilder::new()
        .writer(file)
        .include_locations(false)
        .include_args(setup.case == Case::ThreeFields)
        .build();
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(Chrome { path, counts, guard: Some(guard) }))
}

struct Chrome {
    path: PathBuf,
    counts: Arc<Counts>,
    guard: Option<FlushGuard>,
}

impl Recorder for Chrome {
    fn rest(&mut self, _: u64) -> Result<()> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let flushes = self.counts.flushes.load(Ordering::Relaxed);
        // Only asks; the writer thread does it when it has come so far.
        guard.flush();
        wait_until(&self.counts.flushes, flushes + 1)
    }

    fn close(&mut self) -> Result<()> {
        drop(self.guard.take());
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let mut exits = 0;
        for line in BufReader::new(File::open(&self.path)?).lines() {
            exits += u64::from(line?.contains(r#""ph":"E""#));
        }
        Ok(Some(Arrived::uncounted(exits)))
    }

    fn records(&self, case: Case, spans: u64) -> u64 {
        if case == Case::Async { spans * ENTRIES } else { spans }
    }
}
