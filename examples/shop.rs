//! A shop under load: requests that wait for a database, for each other, and now and then for too long.
//! What it records has something to see in each view of `spandrel report`.
//!
//!     cargo run --release --example shop -- [seconds] [database] [label]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spandrel::Profiler;
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep};
use tracing::{Instrument, field, info_span, instrument, warn};
use tracing_subscriber::prelude::*;

/// Connections to the database; more queries than that wait.
const CONNECTIONS: usize = 6;
/// The database that answers slowly.
const SLOW_SHARD: u64 = 7;

/// Chance without a generator: the same requests in each run.
fn chance(of: u64, seed: u64) -> u64 {
    let mut x = of.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 29)
}

/// Works for a while.
fn spin(micros: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

#[instrument(name = "http.request", skip_all, fields(route = field::Empty, user = number % 97))]
async fn request(number: u64, pool: Arc<Semaphore>) {
    let route = ["/cart", "/search", "/product", "/checkout"][(chance(number, 1) % 4) as usize];
    tracing::Span::current().record("route", route);
    authenticate(number).await;
    match route {
        "/search" => search(number, pool).await,
        "/checkout" => checkout(number, pool).await,
        _ => {
            query(number, &pool).await;
        }
    }
    render(number, 0);
}

#[instrument(name = "auth.verify", skip_all)]
async fn authenticate(number: u64) {
    spin(120 + chance(number, 2) % 150);
}

/// Asks all shards at once and waits for the last.
#[instrument(name = "search.all_shards", skip_all)]
async fn search(number: u64, pool: Arc<Semaphore>) {
    let asked: Vec<_> = (0..4)
        .map(|part| {
            let pool = pool.clone();
            let ask = async move { query(number * 7 + part, &pool).await };
            tokio::spawn(ask.instrument(info_span!("search.shard", part)))
        })
        .collect();
    for answer in asked {
        let _answer = answer.await;
    }
}

#[instrument(name = "checkout.pay", skip_all, fields(attempts = field::Empty))]
async fn checkout(number: u64, pool: Arc<Semaphore>) {
    query(number, &pool).await;
    for attempt in 1..=3 {
        tracing::Span::current().record("attempts", attempt);
        let failed = chance(number, 10 + attempt).is_multiple_of(5);
        let paying = async {
            sleep(Duration::from_micros(1_500 + chance(number, attempt) % 3_000)).await;
            if failed {
                warn!(attempt, "the bank did not answer");
                tracing::error!("payment failed");
            }
        };
        paying.instrument(info_span!("bank.transfer", attempt)).await;
        if !failed {
            return;
        }
    }
}

#[instrument(name = "db.query", skip_all, fields(shard = number % 11))]
async fn query(number: u64, pool: &Semaphore) -> u64 {
    let connection = pool.acquire().instrument(info_span!("db.pool.wait")).await;
    let base = if number % 11 == SLOW_SHARD { 22_000 } else { 1_200 };
    sleep(Duration::from_micros(base + chance(number, 3) % (base / 2))).await;
    spin(60);
    drop(connection);
    number
}

/// A page is made of parts that are made of parts.
#[instrument(name = "render", skip_all, fields(depth))]
fn render(number: u64, depth: u32) {
    spin(30);
    if depth < 4 {
        for part in 0..1 + chance(number + u64::from(depth), 4) % 2 {
            render(number + part, depth + 1);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let seconds: u64 = args.next().map_or(Ok(5), |text| text.parse())?;
    let database = args.next().unwrap_or_else(|| "shop.db".into());
    let mut builder = Profiler::builder().database(&database);
    if let Some(label) = args.next() {
        builder = builder.label(label);
    }
    let profiler = builder.build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    let pool = Arc::new(Semaphore::new(CONNECTIONS));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut pace = interval(Duration::from_millis(4));
    let mut number = 0;
    let mut tasks = Vec::new();
    while Instant::now() < end {
        pace.tick().await;
        number += 1;
        tasks.push(tokio::spawn(request(number, pool.clone())));
    }
    for task in tasks {
        task.await?;
    }
    println!("{}", profiler.close()?);
    println!("look at it: spandrel --db {database} report");
    Ok(())
}
