//! The load on plain threads: each makes its trees one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::Dispatch;

use crate::schedule::Schedule;
use crate::sent::{Costs, Sent};
use crate::settings::Load;
use crate::workload::{Unit, Values};

/// Everything that thread `lane` has to do. `made` counts spans, for the progress.
pub(crate) fn run(
    load: &Load,
    lane: usize,
    schedule: &Schedule,
    dispatch: &Dispatch,
    made: &AtomicU64,
) -> Sent {
    let mut sent = Sent::new(load.threads);
    let mut values = vec![Values::default(); load.depth];
    tracing::dispatcher::with_default(dispatch, || {
        for sequence in 0.. {
            let n = sequence * load.threads as u64 + lane as u64;
            let Some(due) = schedule.wait_for(n) else { break };
            for (level, values) in values.iter_mut().enumerate() {
                *values = Values::of(Unit { lane, sequence, level }.code());
            }
            let mut costs = Costs::default();
            let late = due.elapsed();
            nest(&values, 0, load, &mut costs);
            sent.add(lane, &values, load, &costs, late);
            // Relaxed: only the progress is told by it.
            made.fetch_add(load.depth as u64, Ordering::Relaxed);
        }
    });
    sent
}

fn nest(values: &[Values<'_>], level: usize, load: &Load, costs: &mut Costs) {
    let Some(mine) = values.get(level) else {
        if load.events {
            values[level - 1].event();
        }
        return;
    };
    let before = Instant::now();
    let span = mine.span(load.fields).entered();
    let inside = Instant::now();
    nest(values, level + 1, load, costs);
    let leaving = Instant::now();
    drop(span);
    costs.spans[level] = (inside - before) + leaving.elapsed();
}
