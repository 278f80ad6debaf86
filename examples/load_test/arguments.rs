//! The command line.

use std::time::Duration;

use spandrel_load::{Load, Rate};

use crate::options::Options;

pub const HELP: &str = "\
Records a known load, closes, opens the file again and verifies every span in it.

Usage: cargo run --release --example load_test -- [OPTIONS]

Options:
  --rate N|max      spans a second over all threads; max: as fast as they come [default: 10000]
  --seconds S       how long, fractions allowed [default: 10]
  --threads N       threads that make spans, 1 to 256 [default: 4]
  --depth N         spans nested in each other, 1 to 16 [default: 3]
  --fields N        fields of each span, 0 to 6 [default: 3]
  --no-events       trees without an event; without fields, too, the verification then looks at
                    the shape of the trees, and not which of them each span belongs to
  --long-lived N    open so many spans once, and enter them again and again, --depth of them inside
                    each other; the rate is that of entries, and there are no fields and events
  --async           make the spans in tokio tasks that move between threads
  --subscriber      record by spandrel's own subscriber, without `Registry`
  --crash-proof     with the ring in a file; takes the feature of this name
  --baseline S      how long the load runs first over a layer that does nothing [default: 3]
  --ring SLOTS      slots of the profiler's ring [default: the profiler's]
  --batch SPANS     spans in a batch of the profiler's writer [default: the profiler's]
  --database PATH   the profile database [default: load_test.db]
                    One that a load test made is replaced; another file is never touched.
  -h, --help        this text

One unit of load is a tree: --depth spans, each inside the one before, and an event in the
innermost. Trees begin at fixed moments, whether or not the ones before were late. The same load
runs first, and not for longer, over a layer that does nothing, for comparison.

The last line is for machines:
  RESULT rate= recorded= stored= dropped= unfinished= in_flight= verified=yes|no p99_ns=
         bytes_per_span= writer_ns= ring= p9999_ns= baseline_p9999_ns= entries= entries_stored=
         entries_dropped= memory_half_kib= memory_end_kib=
rate is the spans a second that were made, p99_ns and p9999_ns the cost of one span as its thread
sees it (p99.99 also with a layer that does nothing), bytes_per_span the growth of the file,
writer_ns the writer's processor time for each stored span, ring the percentage of the ring that was
in use at most, entries those that were recorded one by one, memory_half_kib and memory_end_kib what
the process had in memory when half of the load was made, and all of it. With --long-lived, rate,
p99_ns, bytes_per_span and writer_ns are of entries.

Exit code: 0 verified, 1 the ledger does not balance or the verification failed, 2 wrong usage.";

/// `None` when help was asked for.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Load>, String> {
    let mut load = Load::default();
    let mut options = Options::new(words);
    while let Some(name) = options.next() {
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--async" => load.tasks = options.flag()?,
            "--subscriber" => load.subscriber = options.flag()?,
            "--crash-proof" => load.crash_proof = options.flag()?,
            "--no-events" => load.events = !options.flag()?,
            "--long-lived" => load.long_lived = options.number()?,
            "--ring" => load.ring = Some(options.number()?),
            "--batch" => load.batch = Some(options.number()?),
            "--rate" => load.rate = rate(&options.value("spans a second, or max")?)?,
            "--baseline" => load.baseline = Some(seconds(&name, options.number()?)?),
            "--seconds" => load.length = seconds(&name, options.number()?)?,
            "--threads" => load.threads = options.number()?,
            "--depth" => load.depth = options.number()?,
            "--fields" => load.fields = options.number()?,
            "--database" => load.database = options.value("a path")?.into(),
            _ => {
                return Err(format!(
                    "there is no option {name}; there are --rate, --seconds, --threads, \
                     --depth, --fields, --no-events, --long-lived, --async, --subscriber, \
                     --crash-proof, --baseline, --ring, --batch and --database"
                ));
            }
        }
    }
    load.check().map_err(|error| error.to_string())?;
    Ok(Some(load))
}

fn rate(text: &str) -> Result<Rate, String> {
    match text.parse() {
        Ok(rate) => Ok(Rate::PerSecond(rate)),
        Err(_) if text == "max" => Ok(Rate::Max),
        Err(_) => Err(format!("--rate {text}: give a number, or max")),
    }
}

fn seconds(name: &str, seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{name} {seconds}: give a number of seconds from 0.01 to 86400"))
}
