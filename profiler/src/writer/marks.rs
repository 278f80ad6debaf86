//! Marks on their way into a batch. They are counted separately: a flush waits for positions of the
//! partitions and for a number of marks.

use spandrel_storage::MarkRow;

use super::Writer;
use crate::recorder::mark::Mark;
use crate::writer::mark_channel::{MARKS_MAX, Marks};

/// Most marks in one batch: all that can be waiting, and as many again from a batch whose file is gone.
const BATCH_MAX: usize = 2 * MARKS_MAX;

/// What the writer knows of marks.
#[derive(Debug, Default)]
pub(super) struct MarkRows {
    /// For the next batch: marks of other processes, and marks of a batch whose file is gone.
    rows: Vec<MarkRow>,
    /// How many of any kind were taken so far.
    taken: u64,
    /// Up to this number all are committed, or given up.
    committed: u64,
    /// Stored in the present file.
    in_file: u64,
}

/// The marks of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingMarks {
    /// Marks and sections that begin; the end of a section is no mark of its own.
    begun: u64,
    /// How many were taken so far, with these.
    taken: u64,
}

/// How many of them are marks or begin a section.
fn begun(marks: &[MarkRow]) -> u64 {
    marks.iter().filter(|mark| mark.until_ns.is_none()).count() as u64
}

impl PendingMarks {
    /// Some were taken out of the batch; these are left.
    pub(super) fn are_left(&mut self, marks: &[MarkRow]) {
        self.begun = begun(marks);
    }
}

impl MarkRows {
    /// Takes one for the next batch.
    pub(super) fn push(&mut self, row: MarkRow) {
        self.rows.push(row);
        self.taken += 1;
    }

    /// Only so many are left in the file; `counts` has those that were stored.
    pub(super) fn keep_only(&mut self, left: u64, counts: &Marks) {
        let lost = self.in_file.saturating_sub(left);
        self.in_file -= lost;
        counts.forget_stored(lost);
    }

    /// Whether all up to a number from [`Writer::marks_so_far`] are committed or given up.
    pub(super) fn are_committed(&self, number: u64) -> bool {
        self.committed >= number
    }
}

impl Writer {
    /// The number of the last mark that was set or asked for before this call.
    pub(super) fn marks_so_far(&self) -> u64 {
        self.marks.taken + self.state.marks.waiting() as u64
    }

    /// Whether marks should be committed, though nothing else has come.
    pub(super) fn marks_are_due(&self) -> bool {
        let waiting = self.state.marks.waiting();
        waiting >= MARKS_MAX / 2
            || (waiting > 0 || !self.marks.rows.is_empty())
                && self.last_commit.elapsed() >= self.options.flush_interval
    }

    /// Adds all marks to the batch. There may be some already, of batches whose files are gone: up to a
    /// bound; the others stay in the channel, which counts those that it has no room for.
    pub(super) fn add_marks(&mut self) -> PendingMarks {
        let Self { marks, batch, state, converter, .. } = self;
        batch.marks.append(&mut marks.rows);
        converter.timeline.renew();
        let room = BATCH_MAX.saturating_sub(batch.marks.len());
        for _ in 0..state.marks.waiting().min(room) {
            let Some(Mark { id, at, until, label }) = state.marks.take() else { break };
            marks.taken += 1;
            let timeline = &converter.timeline;
            let until_ns = until.map(|until| timeline.ns(until));
            // A section ends after its beginning, even if the counter has gone back meanwhile.
            let at_ns = until_ns.map_or_else(|| timeline.ns(at), |end| timeline.start_ns(at, end));
            batch.marks.push(MarkRow { id, at_ns, until_ns, label, fields: None });
        }
        PendingMarks { begun: begun(&batch.marks), taken: marks.taken }
    }

    pub(super) fn marks_committed(&mut self, marks: PendingMarks) {
        self.state.marks.add_stored(marks.begun);
        self.marks.in_file += marks.begun;
        self.marks.committed = marks.taken;
    }

    /// The marks of the batch in hand are lost with it.
    pub(super) fn lose_marks(&mut self) {
        let lost = self.batch.marks.len() as u64;
        if lost > 0 {
            self.batch.marks.clear();
            self.state.marks.drop_many(lost);
            let done = self.marks.taken - self.marks.rows.len() as u64;
            let why = "it was lost with the batch in which it was to be stored";
            self.fail_requests(why, |waiting| waiting.targets.is_empty() && waiting.marks <= done);
            self.marks.committed = done;
        }
    }

    /// The marks of the batch in hand go into the next one, of another file.
    pub(super) fn keep_marks(&mut self) {
        let kept = std::mem::take(&mut self.batch.marks);
        self.marks.rows.splice(0..0, kept);
    }

    /// The file is left. `lost`: nobody can find it.
    pub(super) fn leave_marks(&mut self, lost: bool) {
        let stored = std::mem::take(&mut self.marks.in_file);
        if lost {
            self.state.marks.forget_stored(stored);
        }
    }

    /// At the end: counts marks that are in no batch. Those in the channel are counted there.
    pub(super) fn give_up_marks(&mut self) {
        self.state.marks.drop_many(self.marks.rows.len() as u64);
        self.marks.rows.clear();
    }
}
