//! What a load is.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::workload::{DEPTH_MAX, FIELDS_MAX};

/// Most threads that make spans: three digits of a unit's number are for them.
pub const THREADS_MAX: usize = 256;

const LENGTH: RangeInclusive<f64> = 0.01..=86_400.0;

/// How fast spans are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many spans a second over all threads, at moments that are fixed beforehand.
    PerSecond(u64),
    /// As fast as they come.
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

/// What a load is. The fields are public, so that it can be built from its default; more may come.
///
/// One unit of load is a tree: `depth` spans, each inside the one before, and an event in the
/// innermost. Trees begin at fixed moments, whether or not the ones before were late.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// How fast; at most 1,000,000,000 spans a second. Default: 10,000 a second.
    pub rate: Rate,
    /// How long, 10 ms to a day. Default: 10 s.
    pub length: Duration,
    /// Threads that make spans, 1 to [`THREADS_MAX`]. Default: 4.
    pub threads: usize,
    /// Spans nested in each other, 1 to [`DEPTH_MAX`]. Default: 3.
    pub depth: usize,
    /// Fields of each span, 0 to [`FIELDS_MAX`]. Default: 3.
    pub fields: usize,
    /// Whether each tree has an event. Without events and fields the verification looks at the shape
    /// of the trees, and not at which of them each span belongs to. Default: yes.
    pub events: bool,
    /// So many spans stay open as long as the load lasts, and a unit of load is `depth` entries of them, each
    /// inside the one before, without fields and events; the rate is that of entries. 0, or `depth` to
    /// 1,000,000. Default: 0, none.
    pub long_lived: usize,
    /// Whether the spans are made in tokio tasks that move between threads. Default: no.
    pub tasks: bool,
    /// Whether spandrel's own subscriber records, without `Registry`. Default: no.
    pub subscriber: bool,
    /// Whether the ring lies in a file that outlives the process. Takes the feature `crash-proof`. Default: no.
    pub crash_proof: bool,
    /// How long, and never longer than `length`, the load runs first over a layer that does nothing,
    /// 10 ms to a day; `None`: not at all. Default: 3 s.
    pub baseline: Option<Duration>,
    /// Slots of the profiler's ring. Default: the profiler's.
    pub ring: Option<usize>,
    /// Spans in a batch of the profiler's writer. Default: the profiler's.
    pub batch: Option<usize>,
    /// The profile database. One that a load made is replaced; another file is never touched.
    pub database: PathBuf,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rate: Rate::PerSecond(10_000),
            length: Duration::from_secs(10),
            threads: 4,
            depth: 3,
            fields: 3,
            events: true,
            long_lived: 0,
            tasks: false,
            subscriber: false,
            crash_proof: false,
            baseline: Some(Duration::from_secs(3)),
            ring: None,
            batch: None,
            database: "load_test.db".into(),
        }
    }
}

impl fmt::Display for Load {
    /// The options of the example `load_test` that bring the same load again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, threads, depth, fields, .. } = self;
        let seconds = self.length.as_secs_f64();
        write!(f, "--rate {rate} --seconds {seconds} --threads {threads}")?;
        write!(f, " --depth {depth} --fields {fields}")?;
        if self.long_lived > 0 {
            write!(f, " --long-lived {}", self.long_lived)?;
        }
        let flags = [
            (" --no-events", !self.events),
            (" --async", self.tasks),
            (" --subscriber", self.subscriber),
            (" --crash-proof", self.crash_proof),
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

impl Load {
    /// Whether every setting is within its range.
    ///
    /// # Errors
    ///
    /// `InvalidSetting`, with the setting, its value and the range.
    pub fn check(&self) -> Result<(), Error> {
        if let Rate::PerSecond(rate) = self.rate {
            within("rate", rate, 1..=1_000_000_000)?;
        }
        within("length in seconds", self.length.as_secs_f64(), LENGTH)?;
        if let Some(baseline) = self.baseline {
            within("baseline in seconds", baseline.as_secs_f64(), LENGTH)?;
        }
        within("threads", self.threads, 1..=THREADS_MAX)?;
        within("depth", self.depth, 1..=DEPTH_MAX)?;
        within("fields", self.fields, 0..=FIELDS_MAX)?;
        if self.long_lived > 0 {
            within("long-lived spans", self.long_lived, self.depth..=1_000_000)?;
            if self.tasks {
                let message = "long-lived spans are entered by threads; take tasks or them";
                return Err(Error::new(ErrorKind::InvalidSetting, message));
            }
        }
        if self.crash_proof && !cfg!(feature = "crash-proof") {
            let message = "crash-proof: this was built without the feature";
            return Err(Error::new(ErrorKind::InvalidSetting, message));
        }
        within("slots of the ring", self.ring.unwrap_or(1), 1..=1 << 26)?;
        within("spans in a batch", self.batch.unwrap_or(1), 1..=1 << 24)
    }

    /// Whether nothing in a span tells which one it is.
    pub(crate) fn nameless(&self) -> bool {
        self.fields == 0 && !self.events
    }

    /// Trees that are due in such a time; `None` without a pace.
    pub(crate) fn trees_due(&self, length: Duration) -> Option<u64> {
        self.trees_per_second().map(|trees| (trees * length.as_secs_f64()).round().max(1.0) as u64)
    }

    /// Nanoseconds from tree to tree over all threads; `None` without a pace.
    pub(crate) fn spacing_ns(&self) -> Option<f64> {
        self.trees_per_second().map(|trees| 1e9 / trees)
    }

    fn trees_per_second(&self) -> Option<f64> {
        match self.rate {
            Rate::PerSecond(rate) => Some(rate as f64 / self.depth as f64),
            Rate::Max => None,
        }
    }

    /// Spans that are due over the whole length, or entries if spans are long-lived; `None` without a pace.
    pub fn spans_due(&self) -> Option<u64> {
        self.trees_due(self.length).map(|trees| trees * self.depth as u64)
    }
}

fn within<T>(what: &str, value: T, range: RangeInclusive<T>) -> Result<(), Error>
where
    T: PartialOrd + fmt::Display,
{
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    let message = format!("{what}: {value} is out of range; give a number from {least} to {most}");
    Err(Error::new(ErrorKind::InvalidSetting, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_named_with_its_range() {
        let default = Load::default;
        default().check().unwrap();
        for (what, load) in [
            ("rate: 0", Load { rate: Rate::PerSecond(0), ..default() }),
            ("seconds: 0.001", Load { length: Duration::from_millis(1), ..default() }),
            (
                "baseline in seconds: 90000",
                Load { baseline: Some(Duration::from_secs(90_000)), ..default() },
            ),
            ("threads: 257", Load { threads: 257, ..default() }),
            ("depth: 17", Load { depth: 17, ..default() }),
            ("fields: 7", Load { fields: 7, ..default() }),
            ("spans: 2", Load { long_lived: 2, ..default() }),
            ("tasks or them", Load { long_lived: 20, tasks: true, ..default() }),
            ("ring: 0", Load { ring: Some(0), ..default() }),
            ("batch: 0", Load { batch: Some(0), ..default() }),
        ] {
            let error = load.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSetting);
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn a_load_names_the_options_that_bring_it_again() {
        let load = Load { length: Duration::from_millis(50), events: false, ..Load::default() };
        let options = "--rate 10000 --seconds 0.05 --threads 4 --depth 3 --fields 3 --no-events";
        assert_eq!(load.to_string(), options);
        let load = Load { long_lived: 10_000, ..Load::default() };
        let options =
            "--rate 10000 --seconds 10 --threads 4 --depth 3 --fields 3 --long-lived 10000";
        assert_eq!(load.to_string(), options);
        let load = Load {
            rate: Rate::Max,
            tasks: true,
            subscriber: true,
            crash_proof: true,
            ring: Some(8),
            batch: Some(9),
            ..Load::default()
        };
        let options = "--rate max --seconds 10 --threads 4 --depth 3 --fields 3 --async \
                       --subscriber --crash-proof --ring 8 --batch 9";
        assert_eq!(load.to_string(), options);
    }

    #[test]
    fn what_is_due_is_whole_trees() {
        let load = Load { length: Duration::from_secs(1), ..Load::default() };
        assert_eq!(load.spans_due(), Some(9_999));
        assert_eq!(Load { rate: Rate::Max, ..load }.spans_due(), None);
    }
}
