//! The load in tokio tasks: one thread starts a task for each tree when it is due.
//!
//! Each span yields, and the innermost one waits for a timer, so that the task goes on wherever the
//! runtime wakes it. Without a pace yields are enough: idle threads steal tasks from busy ones.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Span};

use crate::error::Error;
use crate::schedule::Schedule;
use crate::sent::{Costs, Sent};
use crate::settings::{Load, Rate};
use crate::workload::{Unit, Values};

/// Trees under way at once. A bound, so that a load that is too fast cannot fill the memory; low
/// without a pace, so that threads run out of tasks and steal.
pub(crate) fn in_flight(load: &Load) -> usize {
    if load.rate == Rate::Max { 32 * load.threads } else { 1_024 }
}

/// Starts all tasks and waits for them. `made` counts spans, for the progress.
pub(crate) fn run(
    load: &Load,
    schedule: &Schedule,
    dispatch: &Dispatch,
    made: &Arc<AtomicU64>,
) -> Result<Sent, Error> {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(load.threads).thread_name("load").enable_time().build();
    let runtime = runtime.map_err(|error| Error::generator("start a runtime", error))?;
    let closed = |error| Error::generator("wait for a task", error);
    let permits = Arc::new(Semaphore::new(in_flight(load)));
    let wait = (load.rate != Rate::Max).then_some(Duration::from_millis(1));
    let sums = (0..load.threads).map(|_| Sent::new(load.threads));
    let lanes: Vec<_> = sums.map(|sum| Arc::new(Mutex::new(sum))).collect();
    let shared = Arc::new(load.clone());
    for n in 0.. {
        let Some(due) = schedule.wait_for(n) else { break };
        let permit = runtime.block_on(permits.clone().acquire_owned()).map_err(closed)?;
        let lane = n as usize % load.threads;
        let sequence = n / load.threads as u64;
        let code = |level| Unit { lane, sequence, level }.code();
        let values: Arc<[_]> = (0..load.depth).map(|level| Values::of(code(level))).collect();
        let load = Arc::clone(&shared);
        let (sent, made) = (lanes[lane].clone(), made.clone());
        let tree = async move {
            let late = due.elapsed();
            let costs = nest(values.clone(), 0, load.clone(), wait).await;
            lock(&sent).add(lane, &values, &load, &costs, late);
            // Relaxed: only the progress is told by it.
            made.fetch_add(values.len() as u64, Ordering::Relaxed);
            drop(permit);
        };
        runtime.spawn(tree.with_subscriber(dispatch.clone()));
    }
    // All permits are back when the last task has ended.
    drop(runtime.block_on(permits.acquire_many(in_flight(load) as u32)).map_err(closed)?);
    Ok(lanes.iter().fold(Sent::new(load.threads), |sum, lane| sum.merge(&lock(lane))))
}

/// Each addition is whole, or does not show: a task that panicked has left nothing behind.
fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

type Tree = Pin<Box<dyn Future<Output = Costs> + Send>>;

fn nest(
    values: Arc<[Values<'static>]>,
    level: usize,
    load: Arc<Load>,
    wait: Option<Duration>,
) -> Tree {
    let mine = values[level];
    let fields = load.fields;
    let inside = async move {
        yield_now().await;
        let costs = if level + 1 < values.len() {
            nest(values, level + 1, load, wait).await
        } else {
            if load.events {
                mine.event();
            }
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            Costs::default()
        };
        yield_now().await;
        costs
    };
    let before = Instant::now();
    let span = Some(mine.span(fields));
    let cost = before.elapsed();
    Box::pin(Measured { span, inside: Box::pin(inside), level, cost, thread: None })
}

/// What `tracing`'s `Instrumented` does, with a clock around each entry and exit.
struct Measured {
    span: Option<Span>,
    inside: Tree,
    level: usize,
    cost: Duration,
    thread: Option<ThreadId>,
}

impl Future for Measured {
    type Output = Costs;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Costs> {
        let this = &mut *self;
        let here = thread::current().id();
        let moved = *this.thread.get_or_insert(here) != here;
        let Some(span) = &this.span else { return Poll::Ready(Costs::default()) };

        let before = Instant::now();
        let entered = span.enter();
        let inside = Instant::now();
        let result = this.inside.as_mut().poll(cx);
        let leaving = Instant::now();
        drop(entered);
        if result.is_ready() {
            this.span = None;
        }
        this.cost += (inside - before) + leaving.elapsed();

        let mut costs = ready!(result);
        costs.spans[this.level] = this.cost;
        costs.moved |= moved;
        Poll::Ready(costs)
    }
}
