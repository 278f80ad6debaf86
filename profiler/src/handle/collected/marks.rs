//! Marks in a ring file: appended, so that they neither wait nor take room from spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::handle::backend::{Marks, NoRoom};
use crate::recorder::Recorder;
use crate::recorder::mark::Mark;
use crate::recorder::ring_file::layout::names;
use crate::recorder::ring_file::own::NAMES_BYTES;

/// Bytes of all marks together: a quarter of what names have. Callsites need the rest.
const BYTES_MAX: usize = NAMES_BYTES / 4;

/// Marks of a recording that is collected.
#[derive(Debug)]
pub(super) struct MarksInFile {
    recorder: Arc<Recorder>,
    next_id: AtomicU64,
    bytes: AtomicUsize,
    appended: AtomicU64,
    dropped: AtomicU64,
}

// Relaxed, below: independent figures, and ids that only have to differ.
impl MarksInFile {
    pub(super) fn new(recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            next_id: AtomicU64::new(1),
            bytes: AtomicUsize::new(0),
            appended: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// How many are in the file.
    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn append(&self, mark: &Mark) -> bool {
        let bytes = 48 + mark.label.len().next_multiple_of(8);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        let until = mark.until.map_or(0, |until| until.saturating_add(1));
        let Some(file) = &self.recorder.file else { return false };
        file.say(names::MARK, &[mark.id, mark.at, until], &[&mark.label])
    }
}

impl Marks for MarksInFile {
    fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, mark: Mark) -> Result<(), NoRoom> {
        let counter = if self.append(&mark) { &self.appended } else { &self.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
        if std::ptr::eq(counter, &self.appended) { Ok(()) } else { Err(NoRoom) }
    }
}
