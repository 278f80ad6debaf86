//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::workload::{DEPTH_MAX, FIELDS_MAX};

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
  --async           make the spans in tokio tasks that move between threads
  --subscriber      record by spandrel's own subscriber, without `Registry`
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
         bytes_per_span= writer_ns= ring= p9999_ns= baseline_p9999_ns=
rate is the spans a second that were made, p99_ns and p9999_ns the cost of one span as its thread
sees it (p99.99 also with a layer that does nothing), bytes_per_span the growth of the file,
writer_ns the writer's processor time for each stored span, ring the percentage of the ring that was
in use at most.

Exit code: 0 verified, 1 the ledger does not balance or the verification failed, 2 wrong usage.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    PerSecond(u64),
    Max,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(n) => n.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Args {
    pub rate: Rate,
    pub seconds: f64,
    pub threads: usize,
    pub depth: usize,
    pub fields: usize,
    pub events: bool,
    pub tasks: bool,
    pub subscriber: bool,
    pub baseline: f64,
    pub ring: Option<usize>,
    pub batch: Option<usize>,
    pub database: PathBuf,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            rate: Rate::PerSecond(10_000),
            seconds: 10.0,
            threads: 4,
            depth: 3,
            fields: 3,
            events: true,
            tasks: false,
            subscriber: false,
            baseline: 3.0,
            ring: None,
            batch: None,
            database: "load_test.db".into(),
        }
    }
}

impl fmt::Display for Args {
    /// The flags that bring the same load again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, seconds, threads, depth, fields, .. } = self;
        write!(f, "--rate {rate} --seconds {seconds} --threads {threads}")?;
        write!(f, " --depth {depth} --fields {fields}")?;
        let flags = [
            (" --no-events", !self.events),
            (" --async", self.tasks),
            (" --subscriber", self.subscriber),
        ];
        for (flag, given) in flags {
            if given {
                f.write_str(flag)?;
            }
        }
        for (flag, value) in [("--ring", self.ring), ("--batch", self.batch)] {
            if let Some(value) = value {
                write!(f, " {flag} {value}")?;
            }
        }
        Ok(())
    }
}

impl Args {
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Whether nothing in a span tells which one it is.
    pub fn nameless(&self) -> bool {
        self.fields == 0 && !self.events
    }

    /// `None` when help was asked for.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let (flag, joined) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = |form: &str| {
                joined.clone().or_else(|| words.next()).ok_or(format!("{flag} needs {form}"))
            };
            match flag {
                "-h" | "--help" => return Ok(None),
                "--async" | "--no-events" | "--subscriber" if joined.is_some() => {
                    return Err(format!("{flag} takes no value"));
                }
                "--async" => args.tasks = true,
                "--subscriber" => args.subscriber = true,
                "--no-events" => args.events = false,
                "--ring" => args.ring = Some(number(flag, &value("slots")?, 1, 1 << 26)?),
                "--batch" => args.batch = Some(number(flag, &value("spans")?, 1, 1 << 24)?),
                "--rate" => args.rate = rate(&value("spans a second, or max")?)?,
                "--baseline" => {
                    args.baseline = number(flag, &value("a number of seconds")?, 0.01, 86_400.0)?;
                }
                "--seconds" => {
                    args.seconds = number(flag, &value("a number of seconds")?, 0.01, 86_400.0)?;
                }
                "--threads" => args.threads = number(flag, &value("a number")?, 1, 256)?,
                "--depth" => args.depth = number(flag, &value("a number")?, 1, DEPTH_MAX)?,
                "--fields" => args.fields = number(flag, &value("a number")?, 0, FIELDS_MAX)?,
                "--database" => args.database = value("a path")?.into(),
                _ => {
                    return Err(format!(
                        "there is no option {flag}; there are --rate, --seconds, --threads, \
                         --depth, --fields, --no-events, --async, --subscriber, --baseline, --ring, \
                         --batch and --database"
                    ));
                }
            }
        }
        Ok(Some(args))
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    number("--rate", text, 1, 1_000_000_000)
        .map(Rate::PerSecond)
        .map_err(|error| format!("{error}, or max"))
}

fn number<T>(flag: &str, text: &str, least: T, most: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    match text.parse() {
        Ok(value) if least <= value && value <= most => Ok(value),
        _ => Err(format!("{flag} {text}: give a number from {least} to {most}")),
    }
}
