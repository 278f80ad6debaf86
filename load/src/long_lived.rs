//! A load of spans that live as long as it does, and are entered again and again.
//!
//! Each lane opens its share of them and enters each once. When the youngest is more than a second old,
//! so that each further entry is recorded, the lanes go round all spans, each from its own share on: so
//! spans are entered by the thread that made them and by others. One unit of load is `depth` entries,
//! each inside the one before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Dispatch, Span, info_span};

use crate::error::Error;
use crate::generator::{self, Moment};
use crate::run::Made;
use crate::schedule::Schedule;
use crate::sent::{Costs, Sent};
use crate::settings::Load;

/// More than the second from which on entries are recorded.
const AGE: Duration = Duration::from_millis(1_100);

/// Which span comes when: a function of the lane and how many entries it has made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) spans: u64,
    lanes: u64,
    pub(crate) depth: u64,
}

impl Rounds {
    pub(crate) fn of(load: &Load) -> Self {
        let [spans, lanes, depth] = [load.long_lived, load.threads, load.depth].map(|n| n as u64);
        Self { spans, lanes, depth }
    }

    /// The first span of a lane's share.
    fn first(&self, lane: usize) -> u64 {
        self.spans * lane as u64 / self.lanes
    }

    /// The span of a lane's entry, the first of which is number 0.
    pub(crate) fn span(&self, lane: usize, entry: u64) -> u64 {
        (self.first(lane) + entry) % self.spans
    }

    /// How many of so many entries of a lane are of this span.
    pub(crate) fn entries_of(&self, span: u64, lane: usize, entries: u64) -> u64 {
        let first = (span + self.spans - self.first(lane)) % self.spans;
        entries.saturating_sub(first).div_ceil(self.spans)
    }

    /// The lane's next entry from number `from` on that is of this span, and whether it is the outermost of
    /// its unit as said: others may be missing before it.
    pub(crate) fn next(
        &self,
        span: u64,
        lane: usize,
        from: u64,
        is_outermost: bool,
    ) -> Option<u64> {
        let gap = (span + self.spans - self.span(lane, from)) % self.spans;
        (0..self.depth)
            .map(|round| from + gap + round * self.spans)
            .find(|entry| entry.is_multiple_of(self.depth) == is_outermost)
    }
}

/// What a lane needs to begin.
type Begin = (Arc<[Span]>, Schedule);

/// Makes the load for so long, as [`generator::run`].
pub(crate) fn run(
    load: &Load,
    length: Duration,
    dispatch: &Dispatch,
    look: &mut dyn FnMut(Moment),
) -> Result<Made, Error> {
    let made = &AtomicU64::new(0);
    let (sent, schedule) = thread::scope(|scope| {
        let (opened, shares) = mpsc::channel();
        let (mut lanes, mut begins) = (Vec::new(), Vec::new());
        for lane in 0..load.threads {
            let (begin, wait) = mpsc::channel();
            let opened = opened.clone();
            let work = move || Ok(enter(load, lane, dispatch, made, &opened, &wait));
            lanes.push(generator::spawn(scope, lane, work)?);
            begins.push(begin);
        }
        drop(opened);
        let mut shares: Vec<(usize, Vec<Span>)> = shares.iter().take(load.threads).collect();
        shares.sort_by_key(|(lane, _)| *lane);
        let spans: Arc<[Span]> = shares.into_iter().flat_map(|(_, spans)| spans).collect();
        thread::sleep(AGE);
        let schedule = Schedule::new(load, length);
        for begin in begins {
            // One that has ended already says why when it is joined.
            let _ = begin.send((Arc::clone(&spans), schedule));
        }
        generator::watch(&lanes, &schedule, made, look);
        Ok((generator::join(load, lanes)?, schedule))
    })?;
    Ok(generator::finish(sent, &schedule))
}

/// Everything that thread `lane` has to do. `made` counts entries, for the progress.
fn enter(
    load: &Load,
    lane: usize,
    dispatch: &Dispatch,
    made: &AtomicU64,
    opened: &mpsc::Sender<(usize, Vec<Span>)>,
    begin: &mpsc::Receiver<Begin>,
) -> Sent {
    let mut sent = Sent::new(load.threads);
    let rounds = Rounds::of(load);
    tracing::dispatcher::with_default(dispatch, || {
        let share: Vec<_> = (rounds.first(lane)..rounds.first(lane + 1)).map(open).collect();
        sent.spans = share.len() as u64;
        // No answer: another lane could not be started.
        let Some((spans, schedule)) = opened.send((lane, share)).ok().and(begin.recv().ok()) else {
            return;
        };
        for sequence in 0.. {
            let n = sequence * load.threads as u64 + lane as u64;
            let Some(due) = schedule.wait_for(n) else { break };
            let mut costs = Costs::default();
            let late = due.elapsed();
            nest(&spans, rounds, (lane, sequence * rounds.depth), 0, &mut costs);
            sent.add_entries(lane, load.depth, &costs, late);
            // Relaxed: only the progress is told by it.
            made.fetch_add(rounds.depth, Ordering::Relaxed);
        }
    });
    sent
}

/// Opens a span and enters it for the first time.
fn open(unit: u64) -> Span {
    let span = info_span!("actor", unit);
    span.in_scope(|| {});
    span
}

fn nest(
    spans: &[Span],
    rounds: Rounds,
    (lane, first): (usize, u64),
    level: u64,
    costs: &mut Costs,
) {
    if level == rounds.depth {
        return;
    }
    let span = &spans[rounds.span(lane, first + level) as usize];
    let before = Instant::now();
    let entered = span.enter();
    let inside = Instant::now();
    nest(spans, rounds, (lane, first), level + 1, costs);
    let leaving = Instant::now();
    drop(entered);
    costs.spans[level as usize] = (inside - before) + leaving.elapsed();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_goes_round_all_spans_and_each_entry_is_counted_once() {
        let load = Load { long_lived: 10, threads: 3, depth: 4, ..Load::default() };
        let rounds = Rounds::of(&load);
        let shares: Vec<_> = (0..=3).map(|lane| rounds.first(lane)).collect();
        assert_eq!(shares, [0, 3, 6, 10]);
        for lane in 0..3 {
            for entries in 0..45 {
                let mut counted = [0; 10];
                (0..entries).for_each(|entry| counted[rounds.span(lane, entry) as usize] += 1);
                let expected = (0..10).map(|span| rounds.entries_of(span, lane, entries));
                assert_eq!(counted.to_vec(), expected.collect::<Vec<_>>());
            }
            for entry in 0..40 {
                let (span, is_outermost) = (rounds.span(lane, entry), entry % 4 == 0);
                assert_eq!(rounds.next(span, lane, entry, is_outermost), Some(entry));
                assert!(rounds.next(span, lane, 0, is_outermost) <= Some(entry));
            }
        }
    }
}
