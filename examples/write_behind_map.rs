//! A write-behind map: threads change balances as often as they like, and a slow database, which fails now and then, gets the last
//! one of each account, in batches.
//!
//!     cargo run --example write_behind_map

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use spandrel_ring::buffer::{Batch, Map, Options, Update};

/// Stands for a database: a table, and calls that take a while, of which every fifth fails.
#[derive(Default)]
struct Database {
    balances: Mutex<HashMap<u32, (u64, u64)>>,
    calls: AtomicU64,
}

impl Database {
    /// A transaction: the whole batch, or nothing of it.
    fn write(&self, batch: &[Update<u32, u64>]) -> Result<(), String> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
        if call.is_multiple_of(5) {
            return Err("the database is busy".into());
        }
        let mut balances = self.balances.lock().map_err(|why| why.to_string())?;
        for update in batch {
            let version = update.version.unwrap_or_default();
            balances.insert(update.key, (version, update.value));
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const ACCOUNTS: u32 = 100;
    const CHANGES: u64 = 50_000;

    let database = Arc::new(Database::default());
    let options = Options::new()
        .partitions(4)
        .batch_size(50)
        .interval(Duration::from_millis(20)) // whichever comes first
        .time_out(Duration::from_secs(10))
        .tries(20)
        .backoff(Duration::from_millis(5))
        .capacity(10_000);
    let behind = Arc::clone(&database);
    let balances = Map::builder()
        .options(options)
        .start(move |batch: &Batch<Update<u32, u64>>| behind.write(batch))?;

    // The version is the number of the change: whichever thread comes last, the newest change stays.
    let version = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..CHANGES / 4 {
                    let version = version.fetch_add(1, Ordering::Relaxed);
                    let account = version as u32 % ACCOUNTS;
                    // It never waits for the database. What is refused is older than what is there.
                    _ = balances.put_newer(account, 10 * version, version);
                }
            });
        }
    });

    let closed = balances.close(Duration::from_secs(60));
    let metrics = balances.metrics();
    println!(
        "{CHANGES} changes became {} rows in {} batches; {} attempts failed and were repeated",
        metrics.processed, metrics.batches, metrics.errors
    );
    println!("at the end: {closed}");

    let table = database.balances.lock().map_err(|why| why.to_string())?;
    let newest = (CHANGES - u64::from(ACCOUNTS) + 1..=CHANGES)
        .all(|version| table[&(version as u32 % ACCOUNTS)] == (version, 10 * version));
    println!("each account has its newest balance: {newest}");
    if !newest || !closed.is_complete() {
        return Err("something is missing".into());
    }
    Ok(())
}
