//! Two ways to read a profile: the reader of `spandrel-query`, which knows percentiles and trees,
//! and plain SQL, for what nobody has thought of.
//!
//!     cargo run --example query                  # makes a small profile first
//!     cargo run --example query -- load_test.db  # any other, also while it is being recorded

use std::collections::HashMap;
use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use spandrel::Profiler;
use spandrel_query::{Reader, Span};
use tracing::instrument;
use tracing_subscriber::prelude::*;

#[instrument]
fn report(month: u64) {
    for shard in 0..3 {
        scan(month, shard);
    }
}

#[instrument]
fn scan(month: u64, shard: u64) {
    sleep(Duration::from_micros(200 + 150 * shard * month));
}

fn record(database: &str) -> Result<(), Box<dyn Error>> {
    let profiler = Profiler::builder().database(database).label("twelve reports").build()?;
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(subscriber, || (1..=12).for_each(report));
    profiler.close()?;
    Ok(())
}

fn with_the_reader(database: &str) -> Result<(), Box<dyn Error>> {
    let reader = Reader::open(database)?;
    let run = reader.latest_run()?.ok_or("no run in this file")?;
    let (label, program) = (run.info.label.as_deref().unwrap_or("no label"), &run.info.program);
    println!("run {} ({label}) of {program}: {} spans", run.id, run.spans);
    println!("complete: {}\n", if run.is_complete() { "yes" } else { "no, or still recording" });

    println!("  calls   total ms     p50 ms     p99 ms     max ms  name");
    for top in reader.top(run.id, 5)? {
        let [p50, p99] = [0.5, 0.99].map(|q| top.percentile_ns(q).unwrap_or(0));
        let [sum, p50, p99, max] = [top.sum_ns, p50, p99, top.max_ns].map(ms);
        let (calls, name) = (top.calls, &top.callsite.name);
        println!("{calls:7} {sum:10.3} {p50:10.3} {p99:10.3} {max:10.3}  {name}");
    }

    println!("\nthe slowest span, and everything in its tree (at most 10 lines):");
    let Some(slowest) = reader.slow(run.id, None, 1)?.pop() else { return Ok(()) };
    let tree = reader.tree(slowest.root_id)?;
    // Parents come before their children, as ids grow with time.
    let mut depths: HashMap<u64, usize> = HashMap::new();
    for Span { id, parent_id, callsite, duration_ns, fields, .. } in tree.iter().take(10) {
        let depth = parent_id.and_then(|id| depths.get(&id)).map_or(0, |depth| depth + 1);
        depths.insert(*id, depth);
        let (name, fields) = (&callsite.name, fields.as_deref().unwrap_or_default());
        println!("{:10.3} ms  {:2$}{name} {fields}", ms(duration_ns.unwrap_or(0)), "", 2 * depth);
    }
    Ok(())
}

fn with_sql(database: &str) -> Result<(), Box<dyn Error>> {
    println!("\nwho calls whom, by plain SQL:");
    let conn = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut select = conn.prepare(
        "SELECT caller.name || ' -> ' || spans.name, count(*), sum(spans.duration_ms)
         FROM spans JOIN spans AS caller ON caller.id = spans.parent_id
         WHERE spans.run_id = (SELECT max(id) FROM run) GROUP BY 1 ORDER BY 3 DESC LIMIT 5",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (arrow, calls, ms): (String, u32, f64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        println!("{calls:7} {ms:10.3} ms  {arrow}");
    }
    Ok(())
}

fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1);
    let database = given.as_deref().unwrap_or("query.db");
    if given.is_none() {
        record(database)?;
    }
    with_the_reader(database)?;
    with_sql(database)?;
    println!("\nask your own: sqlite3 {database} 'select * from spans limit 5'");
    Ok(())
}
