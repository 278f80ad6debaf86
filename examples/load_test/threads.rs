//! The load on plain threads: each makes its trees one after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::Dispatch;

use crate::args::Args;
use crate::schedule::Schedule;
use crate::sent::{Costs, Sent};
use crate::workload::{Unit, Values};

/// Everything that thread `lane` has to do. `made` counts spans, for the progress bar.
pub fn run(
    args: &Args,
    lane: usize,
    schedule: &Schedule,
    dispatch: &Dispatch,
    made: &AtomicU64,
) -> Sent {
    let mut sent = Sent::new(args.threads);
    let mut values = vec![Values::default(); args.depth];
    tracing::dispatcher::with_default(dispatch, || {
        for sequence in 0.. {
            let n = sequence * args.threads as u64 + lane as u64;
            let Some(due) = schedule.wait_for(n) else { break };
            for (level, values) in values.iter_mut().enumerate() {
                *values = Values::of(Unit { lane, sequence, level }.code());
            }
            let mut costs = Costs::default();
            let late = due.elapsed();
            nest(&values, 0, args, &mut costs);
            sent.add(lane, &values, args, &costs, late);
            // Relaxed: only the progress bar reads it.
            made.fetch_add(args.depth as u64, Ordering::Relaxed);
        }
    });
    sent
}

fn nest(values: &[Values<'_>], level: usize, args: &Args, costs: &mut Costs) {
    let Some(mine) = values.get(level) else {
        if args.events {
            values[level - 1].event();
        }
        return;
    };
    let before = Instant::now();
    let span = mine.span(args.fields).entered();
    let inside = Instant::now();
    nest(values, level + 1, args, costs);
    let leaving = Instant::now();
    drop(span);
    costs.spans[level] = (inside - before) + leaving.elapsed();
}
