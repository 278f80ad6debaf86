//! Runs the load over one subscriber, with a progress bar when somebody watches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::Dispatch;

use crate::args::Args;
use crate::schedule::Schedule;
use crate::sent::Sent;
use crate::{tasks, threads};

/// Makes the load for so long. `note` is asked what to show at the end of the bar.
pub fn run(
    args: &Args,
    length: Duration,
    dispatch: &Dispatch,
    title: &'static str,
    note: impl Fn() -> String,
) -> io::Result<(Sent, Duration)> {
    let made = Arc::new(AtomicU64::new(0));
    let schedule = Schedule::new(args, length);
    let (args, made, schedule) = (args, &made, &schedule);
    let sent = thread::scope(|scope| {
        let mut lanes = Vec::new();
        for lane in 0..if args.tasks { 1 } else { args.threads } {
            let work = move || match args.tasks {
                true => tasks::run(args, schedule, dispatch, made),
                false => Ok(threads::run(args, lane, schedule, dispatch, made)),
            };
            lanes.push(
                thread::Builder::new().name(format!("load-{lane}")).spawn_scoped(scope, work)?,
            );
        }
        let bar = bar(title, schedule.length().as_millis() as u64);
        while lanes.iter().any(|lane| !lane.is_finished()) {
            let elapsed = schedule.start().elapsed().min(schedule.length());
            bar.set_position(elapsed.as_millis() as u64);
            let spans = made.load(Ordering::Relaxed);
            bar.set_message(format!("{} spans  {}", crate::report::group(spans), note()));
            thread::sleep(Duration::from_millis(20));
        }
        bar.finish_and_clear();
        let sum = Sent::new(args.threads);
        lanes.into_iter().try_fold(sum, |sum, lane| {
            // A panic in the load is a fault of this program; pass it on.
            let sent = lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, io::Error>(sum.merge(&sent))
        })
    })?;
    let finished = sent.finished.unwrap_or_else(Instant::now);
    let took = finished.saturating_duration_since(schedule.start());
    Ok((sent, took))
}

/// On stderr, and only when that is a terminal; indicatif looks.
pub fn bar(title: &'static str, length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix:12} [{bar:32}] {percent:>3}%  {wide_msg}").unwrap();
    ProgressBar::new(length).with_style(style.progress_chars("=> ")).with_prefix(title)
}

/// What the two pairs of clock readings around each span cost by themselves.
pub fn clock_overhead() -> Duration {
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
