//! The writer's side of what it shows to others in the process: closed spans as they are converted, and commits.

use std::sync::Arc;

use spandrel_storage::{Appended, Batch, SpanRow};

use super::closed_span_parts::{Part, Parts};
use super::commit_shown::CommitShown;
use super::outlet::Producer;
use super::state::WriterState;

/// Slots of the ring of closed spans, of 64 bytes: a span takes some three.
pub(crate) const SPAN_SLOTS: usize = 32_768;
/// Slots of the ring of commits.
pub(crate) const COMMIT_SLOTS: usize = 1_024;
/// A claim may be no larger, as readers leave alone what the next one might overwrite.
const PARTS_MAX: usize = SPAN_SLOTS / 4;
/// After so many spans the recorder's ring is looked at.
const RELIEF_SPANS: usize = 256;

/// What the writer writes by. When it is dropped, those who read are told that nothing more comes.
#[derive(Debug)]
pub(super) struct Outlets {
    state: Arc<WriterState>,
    spans: Option<Producer<Part>>,
    commits: Option<Producer<CommitShown>>,
    spans_shown: u64,
    commits_shown: u64,
}

impl Outlets {
    pub(super) fn new(state: Arc<WriterState>) -> Self {
        Self { state, spans: None, commits: None, spans_shown: 0, commits_shown: 0 }
    }

    /// Whether closed spans are looked at.
    pub(super) fn wants_spans(&mut self) -> bool {
        if let Some(producer) = self.state.spans_shown.take_producer() {
            self.spans = Some(producer);
        }
        self.spans.is_some() && self.state.spans_shown.is_watched()
    }

    /// Shows spans, with the numbers of their callsites. `relieve` is called now and then.
    #[cold]
    pub(super) fn show_spans(
        &mut self,
        rows: &[SpanRow],
        callsites: &[u32],
        text: &str,
        mut relieve: impl FnMut(),
    ) {
        let Self { state, spans: Some(producer), spans_shown, .. } = self else { return };
        for (at, (row, callsite)) in rows.iter().zip(callsites).enumerate() {
            if at % RELIEF_SPANS == RELIEF_SPANS - 1 {
                relieve();
            }
            let number = *spans_shown;
            let Some(parts) = Parts::of((number, *callsite), row, text, PARTS_MAX) else {
                continue;
            };
            *spans_shown += 1;
            state.spans_shown.count(*spans_shown);
            // It is refused only when the ring is closed, which nobody but this does.
            let Ok(mut claim) = producer.try_claim(parts.len()) else { return };
            (0..parts.len()).for_each(|index| claim.set(index, parts.part(index)));
            claim.publish();
        }
    }

    /// What a batch is to those who follow commits; none if nobody does, or there is nothing in it to be looked for.
    pub(super) fn describe(&mut self, appended: &Appended, batch: &Batch) -> Option<CommitShown> {
        if let Some(producer) = self.state.commits_shown.take_producer() {
            self.commits = Some(producer);
        }
        let batch_id = appended.batch_id?;
        let is_wanted = self.commits.is_some() && self.state.commits_shown.is_watched();
        is_wanted.then_some(CommitShown {
            batch_id,
            spans: batch.spans.len() as u64,
            events: batch.events.len() as u64,
            entries: batch.entries.len() as u64,
            links: batch.links.len() as u64,
            marks: batch.marks.len() as u64,
        })
    }

    /// Tells of a commit.
    pub(super) fn show_commit(&mut self, commit: CommitShown) {
        let Self { state, commits: Some(producer), commits_shown, .. } = self else { return };
        *commits_shown += 1;
        state.commits_shown.count(*commits_shown);
        // As above.
        _ = producer.try_send(commit);
    }
}

impl Drop for Outlets {
    fn drop(&mut self) {
        self.state.spans_shown.end();
        self.state.commits_shown.end();
    }
}
