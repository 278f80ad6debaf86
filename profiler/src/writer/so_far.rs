//! What the row of a run says before its end: why something was lost, and what is wrong.
//!
//! The report of `close()` says all of it, but whoever asks a live recording, or one that was killed, has
//! none. So it is written with the first batch that the database accepts afterwards.

use super::Writer;
use super::json::push_string;
use super::state::WriterState;
use crate::counters::PerKind;
use crate::stats::DropReason;

/// What was told, and what it was made of.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    /// As it stands in the row of the run; empty for nothing.
    told: String,
    /// How much was dropped as the store's fault when it was last looked at.
    lost: u64,
}

impl SoFar {
    /// The row is one of another file, and says nothing yet.
    pub(super) fn forget(&mut self) {
        self.told.clear();
    }

    /// What is to be told, if that is not what was told before.
    fn news(&self, state: &WriterState) -> Option<String> {
        let now = json(state);
        (now != self.told).then_some(now)
    }
}

/// A JSON object with the names that the report of the end has; empty if there is nothing to tell.
fn json(state: &WriterState) -> String {
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
    if members.is_empty() { String::new() } else { format!("{{{}}}", members.join(",")) }
}

impl Writer {
    /// Puts what is to be told into the batch in hand.
    pub(super) fn tell_so_far(&mut self) {
        self.charge_refusal();
        if let Some(news) = self.so_far.news(&self.state) {
            // Nothing any more, as when a log could be merged again.
            self.batch.report = Some(if news.is_empty() { "{}".to_owned() } else { news });
        }
    }

    /// The batch in hand is committed.
    pub(super) fn so_far_is_told(&mut self) {
        if let Some(told) = self.batch.report.take() {
            self.so_far.told = if told == "{}" { String::new() } else { told };
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
