//! Measurements of many threads, seen by several who go at their own speed: one adds up, one raises alarms, and one shows the
//! newest and may be overtaken.
//!
//!     cargo run --release --example ring_metrics

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use spandrel_ring::broadcast::{self, Park, ReadError};

spandrel_ring::plain! {
    /// A measurement.
    #[derive(Debug, Default)]
    pub struct Sample {
        /// Which sensor.
        pub sensor: u64,
        /// Its number, from 1.
        pub number: u64,
        /// What it has measured, in degrees.
        pub degrees: f64,
    }
}

const SENSORS: u64 = 3;
const SAMPLES: u64 = 100_000;
const TOO_HOT: f64 = 99.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let patience = Duration::from_secs(60);
    // Threads that have nothing to do sleep. Who may be overtaken copies values: the ring is `readable`.
    let (producer, ring) =
        broadcast::ring::<Sample>(4_096).wait(Park::default()).readable().build()?;
    // Before anything is published, so that both see everything.
    let (mut adding, mut watching) = (ring.consumer()?, ring.consumer()?);
    let mut newest = ring.reader();

    let (totals, alarms, shown, missed) = thread::scope(|scope| {
        let adds = scope.spawn(move || {
            let mut totals = BTreeMap::<u64, (u64, f64)>::new();
            while let Ok(batch) = adding.read(patience) {
                for sample in batch.iter() {
                    let (samples, degrees) = totals.entry(sample.sensor).or_default();
                    (*samples, *degrees) = (*samples + 1, *degrees + sample.degrees);
                }
                // Dropped here, which gives all of the batch back by one store.
            }
            totals
        });
        let watches = scope.spawn(move || {
            let mut alarms = 0;
            while let Ok(batch) = watching.read(patience) {
                alarms += batch.iter().filter(|sample| sample.degrees >= TOO_HOT).count() as u64;
            }
            alarms
        });
        let shows = scope.spawn(move || {
            let (mut shown, mut missed) = (0, 0);
            loop {
                match newest.read(patience) {
                    Ok(_) => shown += 1,
                    Err(ReadError::Overtaken(samples)) => missed += samples,
                    Err(_) => break (shown, missed),
                }
            }
        });
        for sensor in 0..SENSORS {
            let mut producer = producer.clone();
            scope.spawn(move || {
                for number in 1..=SAMPLES {
                    let degrees = (number % 100) as f64;
                    // The consumers hold the sensors back, for as long as these are ready to wait.
                    if producer.send(Sample { sensor, number, degrees }, patience).is_err() {
                        break;
                    }
                }
            });
        }
        // When the last producer is gone, the ring has ended.
        drop(producer);
        let (shown, missed) = shows.join().unwrap_or_default();
        (adds.join().unwrap_or_default(), watches.join().unwrap_or_default(), shown, missed)
    });

    for (sensor, (samples, degrees)) in &totals {
        println!(
            "sensor {sensor}: {samples} samples, {:.1} degrees on average",
            degrees / *samples as f64
        );
    }
    let all = SENSORS * SAMPLES;
    println!("{alarms} alarms; the display has shown {shown} samples and missed {missed}");
    let is_complete = totals.values().all(|(samples, _)| *samples == SAMPLES);
    if !is_complete || alarms != all / 100 || shown + missed != all {
        return Err("something is missing".into());
    }
    Ok(())
}
