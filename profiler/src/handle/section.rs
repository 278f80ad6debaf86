//! A named section of the program's time, as a guard.

use std::sync::Arc;

use super::backend::Marks;
use crate::recorder::Recorder;
use crate::recorder::mark::Mark;

/// A section of time under a name, which lasts until this is dropped; see [`Profiler::section`].
///
/// It may be dropped on another thread, and outlive the profiler: a section that has not ended when the
/// profiler is closed has no end in the file.
///
/// [`Profiler::section`]: crate::Profiler::section
#[derive(Debug)]
#[must_use = "the section ends when this is dropped"]
pub struct Section(Option<Begun>);

#[derive(Debug)]
struct Begun {
    recorder: Arc<Recorder>,
    marks: Arc<dyn Marks>,
    /// The process that the recording belongs to.
    pid: u32,
    mark: Mark,
}

impl Section {
    /// A section that is not recorded.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Begins a section now. It is not recorded if too many marks wait already.
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        marks: &Arc<dyn Marks>,
        pid: u32,
        label: String,
    ) -> Self {
        let (id, at) = (marks.take_id(), recorder.clock.ticks());
        let mark = |label| Mark { id, at, until: None, label };
        match marks.send(mark(label.clone())) {
            Ok(()) => Self(Some(Begun {
                recorder: Arc::clone(recorder),
                marks: Arc::clone(marks),
                pid,
                mark: mark(label),
            })),
            Err(_counted) => Self::none(),
        }
    }

    /// Whether it is recorded. It is not if the profiler is switched off, closed, or belongs to the
    /// parent of this process, or if too many marks were waiting.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let Some(Begun { recorder, marks, pid, mut mark }) = self.0.take() else { return };
        let ticks = recorder.clock.ticks();
        if recorder.ring.is_closed() || std::process::id() != pid {
            return;
        }
        mark.until = Some(ticks);
        // If the channel is full, it has counted that.
        let _counted = marks.send(mark);
    }
}
