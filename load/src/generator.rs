//! Runs the load over one subscriber.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use tracing::Dispatch;

use crate::error::Error;
use crate::run::Made;
use crate::schedule::Schedule;
use crate::sent::Sent;
use crate::settings::Load;
use crate::{long_lived, tasks, threads};

/// From one look at the load to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// How far a load is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) elapsed: Duration,
    pub(crate) length: Duration,
    /// Spans made, or entries if spans are long-lived.
    pub(crate) spans: u64,
}

/// Makes the load for so long. `look` is told every so often how far it is.
pub(crate) fn run(
    load: &Load,
    length: Duration,
    dispatch: &Dispatch,
    look: &mut dyn FnMut(Moment),
) -> Result<Made, Error> {
    if load.long_lived > 0 {
        return long_lived::run(load, length, dispatch, look);
    }
    let made = Arc::new(AtomicU64::new(0));
    let schedule = Schedule::new(load, length);
    let (made, schedule) = (&made, &schedule);
    let sent = thread::scope(|scope| {
        let mut lanes = Vec::new();
        for lane in 0..if load.tasks { 1 } else { load.threads } {
            let work = move || match load.tasks {
                true => tasks::run(load, schedule, dispatch, made),
                false => Ok(threads::run(load, lane, schedule, dispatch, made)),
            };
            lanes.push(spawn(scope, lane, work)?);
        }
        watch(&lanes, schedule, made, look);
        join(load, lanes)
    })?;
    Ok(finish(sent, schedule))
}

/// A thread that makes a part of the load.
pub(crate) type Lane<'scope> = ScopedJoinHandle<'scope, Result<Sent, Error>>;

/// Starts one, by the name that the verification knows.
pub(crate) fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    lane: usize,
    work: impl FnOnce() -> Result<Sent, Error> + Send + 'scope,
) -> Result<Lane<'scope>, Error> {
    let thread = thread::Builder::new().name(format!("load-{lane}"));
    let lane = thread.spawn_scoped(scope, work);
    lane.map_err(|error| Error::generator("start a thread", error))
}

/// Tells how far they are until all have ended.
pub(crate) fn watch(
    lanes: &[Lane<'_>],
    schedule: &Schedule,
    made: &AtomicU64,
    look: &mut dyn FnMut(Moment),
) {
    while lanes.iter().any(|lane| !lane.is_finished()) {
        let length = schedule.length();
        let elapsed = schedule.start().elapsed().min(length);
        look(Moment { elapsed, length, spans: made.load(Ordering::Relaxed) });
        thread::sleep(PAUSE);
    }
}

/// What all of them have made.
pub(crate) fn join(load: &Load, lanes: Vec<Lane<'_>>) -> Result<Sent, Error> {
    lanes.into_iter().try_fold(Sent::new(load.threads), |sum, lane| {
        // A panic in the load is a fault of this program; pass it on.
        let sent = lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(sum.merge(&sent))
    })
}

pub(crate) fn finish(sent: Sent, schedule: &Schedule) -> Made {
    let finished = sent.finished.unwrap_or_else(Instant::now);
    let took = finished.saturating_duration_since(schedule.start());
    Made { sent, took }
}

/// What the two pairs of clock readings around each span cost by themselves.
pub(crate) fn clock_overhead() -> Duration {
    let mut costs: Vec<_> = (0..10_000)
        .map(|_| {
            let before = Instant::now();
            let inside = Instant::now();
            let leaving = Instant::now();
            (inside - before) + leaving.elapsed()
        })
        .collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}
