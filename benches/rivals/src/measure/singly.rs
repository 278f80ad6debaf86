//! The cost of one span after the other, at a pace that every recorder can follow: what the thread
//! waits for a span in the middle of its work, and how long at worst.

use std::hint;
use std::time::{Duration, Instant};

use super::FIRST_SPANS;
use super::session::Session;
use crate::case::Case;
use crate::recorder::{Entry, Result};

/// Spans a second.
pub const RATE: u64 = 100_000;
/// The percentiles that are printed, as `p` and the digits after the point.
pub const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99_99", 0.9999)];

pub fn run(entry: &Entry, spans: u64) -> Result<()> {
    // Touched before the recorder is started, so as not to count as its memory.
    let mut samples = vec![u32::MAX; usize::try_from(spans)?];
    clock(&mut samples);
    println!("clock_ns {}", percentile(&mut samples, 0.5));

    let mut session = Session::start(entry, Case::NoFields, None)?;
    for _ in 0..FIRST_SPANS {
        session.one();
    }
    session.rest()?;
    let interval = Duration::from_nanos(1_000_000_000 / RATE);
    let mut due = Instant::now();
    for sample in &mut samples {
        due += interval;
        while Instant::now() < due {
            hint::spin_loop();
        }
        let start = Instant::now();
        session.one();
        *sample = nanoseconds(start.elapsed());
    }
    for (name, share) in PERCENTILES {
        println!("{name}_ns {}", percentile(&mut samples, share));
    }
    session.finish()
}

/// What the clock adds to each sample.
fn clock(samples: &mut [u32]) {
    for sample in samples {
        let start = Instant::now();
        *sample = nanoseconds(start.elapsed());
    }
}

fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}

/// The smallest sample that so large a share of all does not exceed.
fn percentile(samples: &mut [u32], share: f64) -> u32 {
    samples.sort_unstable();
    let rank = (share * samples.len() as f64).ceil() as usize;
    samples.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
