//! `tracing-flame`: folded stacks with the time since the last line, written by the thread itself.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::PathBuf;

use tracing::subscriber;
use tracing_flame::{FlameLayer, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;

use crate::case::{Case, TREE_CHILDREN};
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::ENTRIES;

pub const ENTRY: Entry = Entry {
    name: "tracing-flame",
    packages: &["tracing-flame"],
    setting: "`with_file`; no empty samples, threads collapsed, no module path, file or line; \
        `FlushGuard`",
    keeps: "a line of text for each entry and exit with the stack's names and the time since the last; \
        no fields, no single spans, no threads; a mutex around the file, no queue, so no losses",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let path = setup.folder.join("tracing.folded");
    let (layer, guard) = FlameLayer::with_file(&path)?;
    let layer = layer
        .with_empty_samples(false)
        .with_threads_collapsed(true)
        .with_module_path(false)
        .with_file_and_line(false);
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(Flame { path, guard }))
}

struct Flame {
    path: PathBuf,
    guard: FlushGuard<BufWriter<File>>,
}

impl Recorder for Flame {
    fn rest(&mut self, _: u64) -> Result<()> {
        Ok(self.guard.flush()?)
    }

    fn close(&mut self) -> Result<()> {
        Ok(self.guard.flush()?)
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let mut lines = 0;
        for line in BufReader::new(File::open(&self.path)?).lines() {
            line?;
            lines += 1;
        }
        Ok(Some(Arrived { records: lines, said_lost: Some(0) }))
    }

    /// A line for each exit, and one for each entry that has something around it.
    fn records(&self, case: Case, spans: u64) -> u64 {
        match case {
            Case::NoFields | Case::ThreeFields => spans,
            Case::Async => spans * ENTRIES,
            Case::Nested => spans / 3 * 5,
            Case::Tree => spans / case.piece() * (2 * TREE_CHILDREN + 1),
        }
    }
}
