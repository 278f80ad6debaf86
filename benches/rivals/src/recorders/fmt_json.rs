//! The `fmt` layer of `tracing-subscriber` as JSON, through `tracing-appender`'s non-blocking writer.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::subscriber;
use tracing_appender::non_blocking::{
    DEFAULT_BUFFERED_LINES_LIMIT, ErrorCounter, NonBlockingBuilder, WorkerGuard,
};
use tracing_subscriber::fmt::format::FmtSpan;

use super::counting_file::{CountingFile, Counts, wait_until};
use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

pub const ENTRY: Entry = Entry {
    name: "fmt JSON, non-blocking",
    packages: &["tracing-subscriber", "tracing-appender"],
    setting: "one line at close (`FmtSpan::CLOSE`), no list of spans; lossy, 128,000 lines (the \
        defaults), a buffered file; `WorkerGuard`. Enlarged: `buffered_lines_limit`",
    keeps: "every span as a line of JSON text: end, busy and idle time, fields as text; no start, no \
        parent; not queryable; counts lines lost to a full queue, not those lost at the end",
    cases: &Case::ALL,
    has_queue_size: true,
    install,
};

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let path = setup.folder.join("spans.json");
    let (file, counts) = CountingFile::create(&path)?;
    let lines = setup.queue.unwrap_or(0).max(DEFAULT_BUFFERED_LINES_LIMIT);
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines).finish(file);
    let lost = writer.error_counter();
    let fmt = tracing_subscriber::fmt()
        .json()
        .with_span_list(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(writer)
        .finish();
    subscriber::set_global_default(fmt)?;
    Ok(Box::new(FmtJson { path, counts, lost, guard: Some(guard) }))
}

struct FmtJson {
    path: PathBuf,
    counts: Arc<Counts>,
    lost: ErrorCounter,
    guard: Option<WorkerGuard>,
}

impl Recorder for FmtJson {
    fn rest(&mut self, made: u64) -> Result<()> {
        wait_until(&self.counts.lines, made - self.lost.dropped_lines() as u64)
    }

    fn close(&mut self) -> Result<()> {
        drop(self.guard.take());
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let mut spans = 0;
        for line in BufReader::new(File::open(&self.path)?).lines() {
            spans += u64::from(line?.ends_with('}'));
        }
        Ok(Some(Arrived { records: spans, said_lost: Some(self.lost.dropped_lines() as u64) }))
    }
}
