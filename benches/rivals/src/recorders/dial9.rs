//! `dial9`: an event for each entry, each exit and each close, encoded into a buffer of the thread.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use dial9_core::buffer::DiskBuffer;
use dial9_core::recorder::recorder;
use dial9_core::recording;
use dial9_trace_format::decoder::Decoder;
use dial9_utils::tracing_layer::Dial9TracingLayer;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;

use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};
use crate::work::ENTRIES;

pub const ENTRY: Entry = Entry {
    name: "dial9",
    packages: &["dial9-core", "dial9-utils"],
    setting: "`Dial9TracingLayer`, a `DiskBuffer` of one file that nothing is deleted from, its handle \
        for all threads, no sources, not attached to a runtime; buffers of a thread go when they \
        have 1 MiB; `graceful_shutdown`",
    keeps: "every entry and exit, fields as text, explicit parents only (others by nesting in time), \
        thread; a file of its own for its viewer; counts no losses",
    cases: &Case::ALL,
    has_queue_size: false,
    install,
};

/// More than the pause of the thread that writes.
const WRITTEN: Duration = Duration::from_millis(20);
/// Of the worker, which there is none of here.
const SHUTDOWN: Duration = Duration::from_secs(60);

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let recording = recorder(DiskBuffer::single_file(setup.folder.join("trace.bin"))?).build();
    recording.install_global_handle()?;
    let layer = Dial9TracingLayer::new();
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(Dial9 { folder: setup.folder.to_owned(), recording: Some(recording) }))
}

struct Dial9 {
    folder: PathBuf,
    recording: Option<recording::Recorder>,
}

impl Recorder for Dial9 {
    /// It has no flush: what the thread's buffer holds stays there.
    fn rest(&mut self, _: u64) -> Result<()> {
        thread::sleep(WRITTEN);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if let Some(recording) = self.recording.take() {
            recording.graceful_shutdown(SHUTDOWN);
        }
        Ok(())
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        let mut exits = 0;
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            if !file.file_name().as_encoded_bytes().ends_with(b".bin") {
                continue;
            }
            let bytes = fs::read(file.path())?;
            let mut decoder =
                Decoder::new(&bytes).ok_or("what dial9 wrote has no header of its own")?;
            decoder
                .for_each_event(|event| exits += u64::from(event.name.starts_with("SpanExit:")))?;
        }
        Ok(Some(Arrived::uncounted(exits)))
    }

    fn records(&self, case: Case, spans: u64) -> u64 {
        if case == Case::Async { spans * ENTRIES } else { spans }
    }
}
