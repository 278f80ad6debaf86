//! A program that does the same work each time it runs: for a gate that must not fail by noise.
//!
//!     SPANDREL_DB=work.db cargo run --release --example steady_work -- [REQUESTS] [PERCENT]
//!
//! REQUESTS (default: 2,000) trees of `request` > `parse`, `query`, `render`, which do nothing but
//! arithmetic, about 50, 200 and 100 microseconds of it. With PERCENT, `query` does so much more.
//! `scripts/alarms.sh` records it again and again and counts what `spandrel check` says.

use std::hint::black_box;

use spandrel::Profiler;
use tracing::info_span;
use tracing_subscriber::prelude::*;

/// So many steps of arithmetic: SplitMix64, each of which needs the one before.
fn work(steps: u64) -> u64 {
    (0..steps).fold(steps, |state, step| {
        let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ step;
        (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let requests: u64 = arguments.next().map_or(Ok(2_000), |number| number.parse())?;
    let percent: u64 = arguments.next().map_or(Ok(0), |number| number.parse())?;
    let profiler = Profiler::from_env()?;
    tracing_subscriber::registry().with(profiler.layer()).init();
    for number in 0..requests {
        // Some requests are larger than others, the same ones each time.
        let size = 100 + number * 7 % 40;
        let _request = info_span!("request", number).entered();
        info_span!("parse").in_scope(|| black_box(work(150 * size)));
        info_span!("query").in_scope(|| black_box(work(600 * size * (100 + percent) / 100)));
        info_span!("render").in_scope(|| black_box(work(300 * size)));
    }
    let report = profiler.close()?;
    println!("{report}");
    Ok(())
}
