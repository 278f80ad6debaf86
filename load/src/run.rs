//! From a load to its outcome: baseline, recording, close, verification.

use std::time::{Duration, Instant};

use spandrel::{Profiler, Report};
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry};

use crate::error::{Error, ErrorKind};
use crate::generator::{self, Moment};
use crate::lag::Lag;
use crate::latency::Latencies;
use crate::memory::Memory;
use crate::progress::{Phase, Progress, Rows};
use crate::sent::Sent;
use crate::settings::Load;
use crate::verify::{self, Verification};
use crate::{database, tasks};

/// A load whose settings are sound and whose file has room.
#[derive(Debug)]
pub struct Prepared {
    load: Load,
    replaced: bool,
}

/// A load that was made: what was sent, and how long it took.
#[derive(Debug)]
pub struct Made {
    pub(crate) sent: Sent,
    pub(crate) took: Duration,
}

/// What became of a load.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What the load was.
    pub load: Load,
    /// What looking at the clock adds to the cost of each span.
    pub clock: Duration,
    /// The load over a layer that does nothing, if that was wished.
    pub baseline: Option<Made>,
    /// The load that was recorded.
    pub made: Made,
    /// How long after they ended spans were committed, in samples of 20 ms, and to within as much.
    pub lag: Latencies,
    /// What the process had in memory while it was recorded.
    pub memory: Memory,
    /// What the profiler says.
    pub report: Report,
    /// By how much the file has grown.
    pub bytes: u64,
    /// What the file says.
    pub verification: Verification,
}

impl Load {
    /// Checks the settings, and removes the database of an earlier load, so that the size of the new one
    /// is that of one run.
    ///
    /// # Errors
    ///
    /// `InvalidSetting`; `NotOurs` if the file holds anything else; `Database` if it cannot be read or
    /// removed, or is being recorded.
    pub fn prepare(self) -> Result<Prepared, Error> {
        self.check()?;
        let replaced = database::make_room(&self.database, database::LABEL)?;
        Ok(Prepared { load: self, replaced })
    }
}

impl Prepared {
    /// What will be made.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Whether the database of an earlier load was removed.
    #[must_use]
    pub fn replaced(&self) -> bool {
        self.replaced
    }

    /// Makes the load, records it, closes, and verifies every span. `watch` is told how far it is.
    ///
    /// # Errors
    ///
    /// When the load could not be made, recorded or read again. What is wrong with it stands in the
    /// outcome.
    ///
    /// # Blocking
    ///
    /// For as long as the load is, and the baseline, and a moment for each 100,000 spans.
    pub fn run(self, watch: &mut dyn FnMut(&Progress)) -> Result<Outcome, Error> {
        let load = self.load;
        let clock = generator::clock_overhead();
        let baseline = load.baseline.map(|length| baseline(&load, length, watch)).transpose()?;

        let profiler = profiler(&load)?;
        let empty_bytes = database::bytes(&load.database);
        let (made, mut lag, memory) = record(&load, &profiler, watch)?;
        let report = profiler.close().map_err(Error::profiler)?;
        lag.look(Instant::now(), &report);
        let lag = lag.latencies;

        let mut looked = Rows::new(watch, 2 * report.stored + report.entries.stored);
        let verification = verify::verify(&load.database, &load, &made.sent, &report, &mut looked)
            .map_err(|error| Error::reading(&load.database, error))?;
        let bytes = database::bytes(&load.database).saturating_sub(empty_bytes);
        Ok(Outcome { load, clock, baseline, made, lag, memory, report, bytes, verification })
    }
}

fn baseline(
    load: &Load,
    length: Duration,
    watch: &mut dyn FnMut(&Progress),
) -> Result<Made, Error> {
    let plain = Dispatch::new(Registry::default().with(Nothing));
    let length = length.min(load.length);
    generator::run(load, length, &plain, &mut |moment| {
        watch(&Progress { stats: None, ..progress(Phase::Baseline, moment) });
    })
}

/// A layer that does nothing: what `tracing` itself costs.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

fn profiler(load: &Load) -> Result<Profiler, Error> {
    let mut builder = Profiler::builder()
        .database(&load.database)
        .label(format!("{} {load}", database::LABEL))
        .max_open_spans(open_spans(load));
    if let Some(slots) = load.ring {
        builder = builder.ring_capacity(slots);
    }
    if let Some(spans) = load.batch {
        builder = builder.batch_size(spans);
    }
    #[cfg(feature = "crash-proof")]
    if load.crash_proof {
        builder = builder.crash_proof(true);
    }
    let profiler = builder.build().map_err(Error::profiler)?;
    // It records on the heap then, which is not what was to be seen.
    match profiler.stats().crash_proof_error {
        Some(why) => Err(Error::new(ErrorKind::InvalidSetting, format!("crash-proof: {why}"))),
        None => Ok(profiler),
    }
}

/// Room for all spans that can be open at once, four times over, as the table is divided into sets
/// that do not fill evenly; at least the default, which holds ten thousand long-lived ones.
fn open_spans(load: &Load) -> usize {
    let trees = if load.tasks { tasks::in_flight(load) } else { load.threads };
    (4 * trees * load.depth).max(load.long_lived * 3 / 2).max(16_384)
}

fn record(
    load: &Load,
    profiler: &Profiler,
    watch: &mut dyn FnMut(&Progress),
) -> Result<(Made, Lag, Memory), Error> {
    let dispatch = match load.subscriber {
        true => Dispatch::new(profiler.subscriber()),
        false => Dispatch::new(Registry::default().with(profiler.layer())),
    };
    let mut lag = Lag::default();
    let mut memory = Memory::default();
    let made = generator::run(load, load.length, &dispatch, &mut |moment| {
        memory.look(moment.elapsed, moment.length);
        let stats = profiler.stats();
        lag.look(Instant::now(), &stats);
        watch(&Progress { stats: Some(stats), ..progress(Phase::Recording, moment) });
    })?;
    Ok((made, lag, memory))
}

fn progress(phase: Phase, moment: Moment) -> Progress {
    let [done, total] = [moment.elapsed, moment.length].map(|time| time.as_millis() as u64);
    Progress { phase, done, total, spans: moment.spans, stats: None }
}

impl Made {
    /// Spans made.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.sent.spans
    }

    /// Events made.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sent.events
    }

    /// Entries of long-lived spans made, but for the first of each.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.sent.entries
    }

    /// Trees made.
    #[must_use]
    pub fn trees(&self) -> u64 {
        self.sent.trees_in_all()
    }

    /// Trees that ended on another thread than they began.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.sent.moved
    }

    /// From the moment when the first tree was due to the end of the last.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Spans, or entries if spans are long-lived.
    pub(crate) fn units(&self) -> u64 {
        if self.sent.entries > 0 { self.sent.entries } else { self.sent.spans }
    }

    /// Spans a second, or entries if spans are long-lived.
    #[must_use]
    pub fn rate(&self) -> u64 {
        (self.units() as f64 / self.took.as_secs_f64().max(1e-9)).round() as u64
    }

    /// What a span costs the thread that makes it: to create, enter, exit and close. What an entry does, if
    /// spans are long-lived.
    #[must_use]
    pub fn service(&self) -> &Latencies {
        &self.sent.service
    }

    /// The same, counted from the moment when its tree was due.
    #[must_use]
    pub fn response(&self) -> &Latencies {
        &self.sent.response
    }
}

impl Outcome {
    /// Whether the ledger balances and the file holds what was sent, apart from what the ledger says
    /// was dropped.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.verification.passed() && self.ledger_faults().is_empty()
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.ledger_faults();
        faults.extend(self.verification.checks.iter().filter_map(|check| check.clone().err()));
        faults
    }

    /// The spans that were due, or entries if spans are long-lived, if fewer were made.
    #[must_use]
    pub fn fell_behind(&self) -> Option<u64> {
        self.load.spans_due().filter(|due| self.made.units() < *due)
    }

    /// Bytes a stored span, or entry if spans are long-lived, with its share of the events.
    #[must_use]
    pub fn bytes_per_span(&self) -> f64 {
        self.bytes as f64 / self.stored() as f64
    }

    /// The writer's processor time for each of those; 0 where the system does not tell.
    #[must_use]
    pub fn writer_ns(&self) -> u64 {
        self.report.writer_cpu.map_or(0, |cpu| cpu.as_nanos() as u64 / self.stored())
    }

    /// Spans stored, or entries if spans are long-lived; at least one, to be divided by.
    fn stored(&self) -> u64 {
        let report = &self.report;
        let stored = if self.load.long_lived > 0 { report.entries.stored } else { report.stored };
        stored.max(1)
    }

    fn ledger_faults(&self) -> Vec<String> {
        let (report, sent) = (&self.report, &self.made.sent);
        let mut faults = Vec::new();
        if !report.balances() {
            faults.push(format!("the ledger does not balance: {report}"));
        }
        // Otherwise an entry of a span that happened to be open for a second is one more.
        let entries = if self.load.long_lived > 0 { sent.entries } else { report.entries.recorded };
        for (what, counted, expected) in [
            ("entries recorded", report.entries.recorded, entries),
            ("entries in flight after close", report.entries.in_flight, 0),
            ("spans recorded", report.recorded, sent.spans),
            ("events recorded", report.events.recorded, sent.events),
            ("spans in flight after close", report.in_flight, 0),
            ("events in flight after close", report.events.in_flight, 0),
            ("spans unfinished, though all had ended", report.unfinished, 0),
        ] {
            if counted != expected {
                let fault = format!("{what}: {counted} instead of {expected}");
                faults.push(format!("the ledger is wrong: {fault}"));
            }
        }
        if report.timed_out {
            faults.push("closing took too long and was given up".into());
        }
        faults
    }
}
