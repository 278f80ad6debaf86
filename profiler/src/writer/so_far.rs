//! What the row of a run says before its end: why something was lost, what is wrong, and how much memory
//! is used.
//!
//! The report of `close()` says all of it, but there is none for a live recording, or for one that was
//! killed. So this is written with the next batch that the database accepts. Memory changes all the
//! time: it is written with the first batch in each second that has something else in it.

use std::time::{Duration, Instant};

use super::Writer;
use super::state::WriterState;
use crate::json_string::push_string;
use crate::recorder::losses::{DropReason, PerKind};

/// How often memory is written.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// What was written, and what it depends on.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    /// What is wrong, according to the row of the run; empty if nothing is.
    told: String,
    /// What is wrong, according to the batch in hand.
    telling: Option<String>,
    /// When memory was written last.
    memory_at: Option<Instant>,
    /// How much was dropped because of the store, at the last look.
    lost: u64,
}

impl SoFar {
    /// The row is in another file, and says nothing yet.
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
    /// Adds it to the batch in hand, if it has changed. Memory alone is no reason for a commit.
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

    /// Checks whether the last refusal has cost anything, before the next one takes its place.
    pub(super) fn charge_refusal(&mut self) {
        let of_store =
            |drops: &[PerKind]| -> u64 { drops[DropReason::StoreError as usize].iter().sum() };
        let partitions = self.recorder.counters.all_drops();
        let lost =
            partitions.map(|drops| of_store(&drops)).sum::<u64>() + of_store(&self.account.drops());
        if lost > self.so_far.lost {
            self.so_far.lost = lost;
            self.state.refusal_has_cost();
        }
    }
}
