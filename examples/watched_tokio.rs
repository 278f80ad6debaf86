//! Values over time beside spans: the length of a queue, what tokio's runtime says of itself, and what the system says of
//! the process.
//!
//!     cargo run --example watched_tokio

use std::error::Error;
use std::time::Duration;

use rusqlite::Connection;
use spandrel::Profiler;
use tokio::runtime::Handle;
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = "watched_tokio.db";
    let profiler = Profiler::builder()
        .database(database)
        .gauge_interval(Duration::from_millis(20))
        .process_gauges(true)
        .build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    // Asked once an interval, on a thread of the profiler.
    let tokio = Handle::current().metrics();
    profiler.sample(move |gauges| {
        gauges.set("tokio.workers", tokio.num_workers());
        gauges.set("tokio.alive_tasks", tokio.num_alive_tasks());
        gauges.set("tokio.global_queue_depth", tokio.global_queue_depth());
    });

    // Set where it changes.
    let waiting = profiler.gauge("jobs.waiting");
    let jobs: Vec<_> = (0..60_u64)
        .map(|job| {
            waiting.add(1);
            let waiting = waiting.clone();
            let work = async move {
                tokio::time::sleep(Duration::from_millis(5 * job)).await;
                waiting.add(-1);
            };
            tokio::spawn(work.instrument(info_span!("job", job)))
        })
        .collect();
    for job in jobs {
        job.await?;
    }
    // Waits for the disk; a task that others wait for does better in `spawn_blocking`.
    let report = profiler.close()?;

    println!("{} samples of gauges stored", report.gauges.stored);
    let conn = Connection::open(database)?;
    let mut select = conn.prepare(
        "SELECT name, min(value), max(value), sum(updates) FROM gauge
         WHERE run_id = (SELECT max(id) FROM run) GROUP BY name ORDER BY name",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, min, max): (String, Option<f64>, Option<f64>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let updates: i64 = row.get(3)?;
        println!("{name:30} {:>14} .. {:>14}  set {updates} times", text(min), text(max));
    }
    Ok(())
}

fn text(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}
