//! Tasks that move between threads: a span knows its busy time from its waiting time, and stays
//! one span wherever it goes on.
//!
//!     cargo run --example async_tokio

use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spandrel::Profiler;
use tracing::{Instrument, Span, field, info_span, instrument};
use tracing_subscriber::prelude::*;

/// `threads` is not known before the end: it is recorded then.
#[instrument(fields(threads = field::Empty))]
async fn deliver(order: u32) {
    let mut threads = HashSet::from([thread::current().id()]);
    pack(order).await;
    for stop in 1..=3 {
        drive(stop).instrument(info_span!("drive", stop)).await;
        threads.insert(thread::current().id());
    }
    Span::current().record("threads", threads.len());
}

/// Works all the time, in pieces between which others may run.
#[instrument(skip_all)]
async fn pack(parcels: u32) {
    for _ in 0..parcels {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(300) {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }
}

/// Waits most of the time.
async fn drive(stop: u64) {
    tokio::time::sleep(Duration::from_millis(5 * stop)).await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = "async_tokio.db";
    let profiler = Profiler::builder().database(database).build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    let tasks: Vec<_> = (1..=6).map(|order| tokio::spawn(deliver(order))).collect();
    for task in tasks {
        task.await?;
    }
    // Waits for the disk; a task that others wait for does better in `spawn_blocking`.
    let report = profiler.close()?;

    println!("order  threads  entries  duration ms   busy ms   idle");
    let conn = Connection::open(database)?;
    let mut select = conn.prepare(
        "SELECT fields ->> 'order', fields ->> 'threads', entries, duration_ms, busy_ms
         FROM spans WHERE name = 'deliver' AND run_id = (SELECT max(id) FROM run) ORDER BY id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (order, threads, entries): (u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (duration, busy): (f64, f64) = (row.get(3)?, row.get(4)?);
        let idle = 100.0 * (1.0 - busy / duration);
        println!("{order:5}  {threads:7}  {entries:7}  {duration:11.3}  {busy:8.3}  {idle:4.0} %");
    }
    println!("\n{report}");
    println!("look at it: spandrel top --db {database}");
    Ok(())
}
