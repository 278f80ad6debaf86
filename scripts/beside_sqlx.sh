#!/usr/bin/env bash
# A program with sqlx's SQLite and spandrel, built and run: one library serves both, every span is
# stored, and sqlx's events are in their spans.
#
#   scripts/beside_sqlx.sh [version of sqlx]     0.9 by default
#
# Needs the registry; some minutes, most of it for compiling sqlx.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}/beside-sqlx
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"

cat >"$folder/Cargo.toml" <<MANIFEST
[package]
name = "beside-sqlx"
version = "0.1.0"
edition = "2024"

[dependencies]
spandrel = { path = "$root/profiler" }
sqlx = { version = "${1:-0.9}", features = ["sqlite", "runtime-tokio"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
tracing = "0.1"
tracing-subscriber = "0.3"

[profile.dev]
debug = 0
MANIFEST

cat >"$folder/src/main.rs" <<'PROGRAM'
use sqlx::sqlite::SqlitePoolOptions;
use tracing::Instrument;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = spandrel::Profiler::builder().database("profile.db");
    let profiler = builder.events(LevelFilter::DEBUG).build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();
    let pool = SqlitePoolOptions::new().connect("sqlite:app.db?mode=rwc").await?;
    sqlx::query("CREATE TABLE t (n INTEGER)").execute(&pool).await?;
    for n in 0..100_i64 {
        let span = tracing::info_span!("insert", n);
        sqlx::query("INSERT INTO t VALUES (?)").bind(n).execute(&pool).instrument(span).await?;
    }
    let sum = "SELECT sum(n), sqlite_version() FROM t";
    let (sum, theirs): (i64, String) = sqlx::query_as(sum).fetch_one(&pool).await?;
    pool.close().await;
    let report = profiler.close()?;
    println!("SQLite {theirs} for both; {report}; {} events", report.events.stored);
    assert_eq!((sum, theirs), (4_950, report.sqlite.to_string()));
    assert_eq!((report.recorded, report.stored), (100, 100));
    assert!(report.events.stored > 100, "an event a statement");
    Ok(())
}
PROGRAM

cd "$folder"
CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$target cargo build --quiet
"$target/debug/beside-sqlx"
