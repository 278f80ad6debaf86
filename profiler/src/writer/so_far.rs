//! What the row of a run says before its end: why something was lost, what is wrong, and the memory that is
//! taken.
//!
//! The report of `close()` says all of it, but whoever asks a live recording, or one that was killed, has
//! none. So it is written with the first batch that the database accepts afterwards; memory, which is always
//! another number, with the first batch that has something else, once a second.

use std::time::{Duration, Instant};

use super::Writer;
use super::state::WriterState;
use crate::json_string::push_string;
use crate::recorder::losses::{DropReason, PerKind};

/// From one figure of the memory to the next.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// What was told, and what it was made of.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    /// What is wrong, as it stands in the row of the run; empty for nothing.
    told: String,
    /// The same, in the batch in hand.
    telling: Option<String>,
    /// When memory was told last.
    memory_at: Option<Instant>,
    /// How much was dropped as the store's fault when it was last looked at.
    lost: u64,
}

impl SoFar {
    /// The row is one of another file, and says nothing yet.
    pub(super) fn forget(&mut self) {
        *self = Self { lost: self.lost, ..Self::default() };
    }
}

/// What is wrong, as members of a JSON object with the names that the report of the end has.
fn wrong(state: &WriterState) -> String {
    let mut members = Vec::new();
    for (name, text) in [
        ("last_error", state.lasting_error()),
        ("last_refusal", state.last_refusal()),
        ("control_error", state.lasting_control_error()),
    ] {
        if let Some(text) = text {
            let mut member = format!(r#""{name}":"#);
            push_string(&mut member, &text);
            members.push(member);
        }
    }
    let dropped = state.marks.dropped();
    if dropped > 0 {
        members.push(format!(r#""marks":{{"dropped":{dropped}}}"#));
    }
    members.join(",")
}

impl Writer {
    /// Puts what is to be told into the batch in hand. Memory alone is no reason for a commit.
    pub(super) fn tell_so_far(&mut self) {
        self.charge_refusal();
        let wrong = wrong(&self.state);
        let memory_is_due = !self.batch.is_empty()
            && self.so_far.memory_at.is_none_or(|at| at.elapsed() >= MEMORY_INTERVAL);
        if wrong == self.so_far.told && !memory_is_due && self.batch.report.is_none() {
            return;
        }
        let separator = if wrong.is_empty() { "" } else { "," };
        let memory = self.state.memory.get().to_json();
        self.batch.report = Some(format!(r#"{{{wrong}{separator}"memory":{memory}}}"#));
        self.so_far.telling = Some(wrong);
    }

    /// The batch in hand is committed.
    pub(super) fn so_far_is_told(&mut self) {
        let told = self.batch.report.take().and_then(|_| self.so_far.telling.take());
        if let Some(told) = told {
            self.so_far.told = told;
            self.so_far.memory_at = Some(Instant::now());
        }
    }

    /// Finds out whether the last refusal has cost something, before another one takes its place.
    pub(super) fn charge_refusal(&mut self) {
        let of_store =
            |drops: &[PerKind]| -> u64 { drops[DropReason::StoreError as usize].iter().sum() };
        let partitions = self.recorder.counters.all();
        let lost = partitions.map(|partition| of_store(&partition.drops())).sum::<u64>()
            + of_store(&self.account.drops());
        if lost > self.so_far.lost {
            self.so_far.lost = lost;
            self.state.refusal_has_cost();
        }
    }
}
