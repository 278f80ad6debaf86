//! Ctrl-C: tell the workers, give them a moment, then close. What is still open by then is stored
//! as unfinished, without a made-up end.
//!
//!     cargo run --example graceful_shutdown
//!     cargo run --example graceful_shutdown -- --after 300    # as if by Ctrl-C, after 300 ms

use std::error::Error;
use std::time::Duration;

use rusqlite::Connection;
use spandrel::Profiler;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, instrument};
use tracing_subscriber::prelude::*;

async fn worker(mut stop: watch::Receiver<bool>) {
    for job in 1.. {
        tokio::select! {
            () = work(job) => {}
            _ = stop.changed() => break,
        }
    }
}

#[instrument]
async fn work(job: u32) {
    sleep(Duration::from_millis(20)).await;
    info!("done");
}

/// Heeds no one.
#[instrument]
async fn stubborn() {
    sleep(Duration::from_secs(3_600)).await;
}

async fn interrupted() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref(), words.next()) {
        (Some("--after"), Some(ms)) => sleep(Duration::from_millis(ms.parse()?)).await,
        (Some(word), _) => return Err(format!("{word}: the only option is --after MS").into()),
        (None, _) => {
            println!("working; press Ctrl-C to stop");
            tokio::signal::ctrl_c().await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let database = "graceful_shutdown.db";
    let profiler = Profiler::builder().database(database).build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    let (stop, stopped) = watch::channel(false);
    let good = tokio::spawn(worker(stopped));
    let bad = tokio::spawn(stubborn());

    interrupted().await?;
    println!("stopping");
    stop.send(true)?;
    good.await?;
    if timeout(Duration::from_millis(50), bad).await.is_err() {
        println!("one task does not stop; closing without it");
    }
    // Off the runtime's threads, because it waits for the disk.
    let report = tokio::task::spawn_blocking(move || profiler.close()).await??;

    println!("{report}, of them {} unfinished\n", report.unfinished);
    let conn = Connection::open(database)?;
    let mut select = conn.prepare(
        "SELECT printf('%-8s  %-10s  %4d', name, status, count(*)) FROM spans
         WHERE run_id = (SELECT max(id) FROM run) GROUP BY name, status ORDER BY name, status",
    )?;
    println!("span      status     count");
    for line in select.query_map([], |row| row.get::<_, String>(0))? {
        println!("{}", line?);
    }
    println!(
        "\nlook at it: sqlite3 {database} \"select * from spans where status = 'unfinished'\""
    );
    Ok(())
}
