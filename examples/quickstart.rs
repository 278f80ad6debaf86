//! The whole of it: build a profiler, install its layer, work, close.
//!
//!     cargo run --example quickstart

use spandrel::Profiler;
use tracing_subscriber::prelude::*;

#[tracing::instrument]
fn greet(name: &str) {
    tracing::info!("hello");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiler = Profiler::builder().database("profile.db").build()?;
    tracing_subscriber::registry().with(profiler.layer()).init();

    greet("world");

    let report = profiler.close()?;
    println!("{report}");
    println!("look at it: spandrel top");
    Ok(())
}
