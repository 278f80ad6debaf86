//! The settings of a profiler.

#[cfg(feature = "collected")]
use std::path::PathBuf;
use std::time::Duration;

use spandrel_ring::RingOptions;
use tracing_core::LevelFilter;

#[cfg(feature = "database")]
use super::database::settings::DatabaseSettings;
use crate::error::{Error, ErrorKind};
use crate::memory;
use crate::recorder::entry_rules::{Entries, EntryRules};
use crate::recorder::open_spans::OpenSpans;
use crate::recorder::record::Slot;
use crate::recorder::rule::Rule;
use crate::recorder::{DoesNotFit, RecorderOptions};
use crate::redact::Redaction;

/// Most partitions that a thread can have for itself.
pub(crate) const PARTITIONS_MAX: usize = 64;
/// Longest encoded fields of one span or event: as much as one claim of the ring can hold.
pub(crate) const FIELD_BYTES_MAX: usize = 32 * 1024;

/// Slots of the ring by default.
const RING: usize = 65_536;
/// The same where slots are kept until what was in them is committed.
const RING_IN_FILE: usize = 4 * RING;

/// Longest interval between two samples of gauges, in milliseconds: a day.
const GAUGE_INTERVAL_MAX: usize = 86_400_000;

/// The names of environment variables that are settings begin with this.
pub(super) const VARIABLE_PREFIX: &str = "SPANDREL_";

/// Settings of a [`Profiler`](crate::Profiler); every one has a default.
#[derive(Debug, Clone)]
#[must_use = "call build() to start the profiler"]
pub struct ProfilerBuilder {
    pub(crate) label: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) ring_capacity: Option<usize>,
    pub(crate) partitions: usize,
    pub(crate) max_open_spans: usize,
    pub(crate) max_field_bytes: usize,
    pub(crate) spans: LevelFilter,
    pub(crate) events: LevelFilter,
    pub(crate) filter: String,
    pub(crate) busy_time: bool,
    pub(crate) status_rules: bool,
    pub(crate) entries: EntryRules,
    pub(crate) arguments: Arguments,
    pub(crate) redaction: Redaction,
    pub(crate) gauge_interval: Duration,
    pub(crate) process_gauges: bool,
    /// The environment variables that settings come from, to be named in messages.
    pub(crate) variables: Vec<&'static str>,
    #[cfg(feature = "database")]
    pub(crate) database: DatabaseSettings,
    /// The folder to record into, in place of a database.
    #[cfg(feature = "collected")]
    pub(crate) collected: Option<PathBuf>,
    /// Whether a handler of SIGBUS may be installed for a ring file.
    #[cfg(feature = "crash-proof")]
    pub(crate) signal_handler: bool,
}

/// A setting that takes memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) setting: &'static str,
    pub(super) value: usize,
    pub(super) bytes: u64,
}

/// What is stored of the arguments of the program's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Arguments {
    /// All arguments without secrets, as far as these can be recognised: values behind names such as
    /// `password` or `token`, passwords in URLs, and what looks like a key. A secret that looks like a
    /// word, and stands alone, cannot be recognised.
    #[default]
    Redacted,
    /// None.
    Omitted,
    /// All, as they are.
    Whole,
}

impl Default for ProfilerBuilder {
    fn default() -> Self {
        Self {
            label: None,
            commit: None,
            ring_capacity: None,
            partitions: std::thread::available_parallelism().map_or(4, |n| n.get().min(16)),
            max_open_spans: 16_384,
            max_field_bytes: 4_096,
            spans: LevelFilter::DEBUG,
            events: LevelFilter::INFO,
            filter: String::new(),
            busy_time: true,
            status_rules: true,
            entries: EntryRules::default(),
            arguments: Arguments::default(),
            redaction: Redaction::default(),
            gauge_interval: Duration::from_secs(1),
            process_gauges: false,
            variables: Vec::new(),
            #[cfg(feature = "database")]
            database: DatabaseSettings::default(),
            #[cfg(feature = "collected")]
            collected: None,
            #[cfg(feature = "crash-proof")]
            signal_handler: true,
        }
    }
}

impl ProfilerBuilder {
    /// A name for this run, such as `"checkout, before the index"`.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The commit of the source that the program was built from, kept with the settings of the run.
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// Slots of the ring over all partitions, 64 bytes each. Rounded down to a power of two.
    /// Default 65,536 (4 MiB); four times as many where the ring is to outlive the process.
    ///
    /// A span without fields takes one slot, one with three small fields two.
    pub fn ring_capacity(mut self, slots: usize) -> Self {
        self.ring_capacity = Some(slots);
        self
    }

    /// Slots of the ring, as it was set or by default.
    pub(crate) fn ring_slots(&self) -> usize {
        let default = if self.is_in_file() { RING_IN_FILE } else { RING };
        self.ring_capacity.unwrap_or(default)
    }

    /// Whether the ring is to lie in a file.
    pub(super) fn is_in_file(&self) -> bool {
        #[cfg(feature = "collected")]
        if self.collected.is_some() {
            return true;
        }
        #[cfg(feature = "database")]
        return self.database.crash_proof;
        #[cfg(not(feature = "database"))]
        false
    }

    /// How many threads can have a partition of the ring for themselves; all others share one
    /// more. Default: the available parallelism, at most 16.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Whether a handler of SIGBUS may be installed where the ring lies in a file (`crash_proof`, `collected`). Default
    /// `true`; Linux.
    ///
    /// Another process of the same user that cuts this file short makes every later access to what is gone a SIGBUS,
    /// which ends the program. The handler puts zeros there: the program goes on, nothing is recorded any more, and the
    /// ledger says why. It deals with faults inside the ring file only. For every other SIGBUS the handler that was there
    /// before it is called, as the system would have called it; without one the program ends as it would have.
    ///
    /// It is installed by [`build`](Self::build) with the first ring file, and stays. A program that installs its own later
    /// takes its place, and does well to call the one before it for what is none of its own. Threads that block SIGBUS
    /// are ended by the system whatever is installed.
    #[cfg(feature = "crash-proof")]
    pub fn signal_handler(mut self, may_install: bool) -> Self {
        self.signal_handler = may_install;
        self
    }

    /// Spans that can be open at the same time, at least. The table has twice as many places, because
    /// they are found by hash; a span that finds none is dropped and counted (its children are not).
    /// Default 16,384, at some 800 bytes each.
    pub fn max_open_spans(mut self, spans: usize) -> Self {
        self.max_open_spans = spans;
        self
    }

    /// Bytes for the fields of one span or event, some overhead included. Default 4,096, at most
    /// 32,768, and never more than fits half of the smallest partition of the ring.
    ///
    /// One value may have half of them, if there are more fields than one; and for each field of the
    /// callsite that may still come some are kept, up to 128. What is longer is cut, and what finds no
    /// room is left out: both are named under `$truncated` in the column `fields`, with the bytes that
    /// they had. Whether a field `error` makes a span failed does not depend on it.
    pub fn max_field_bytes(mut self, bytes: usize) -> Self {
        self.max_field_bytes = bytes;
        self
    }

    /// Which spans are kept: those of this level and the more severe ones. Default `DEBUG`. Spans
    /// inside one that is not kept belong to the nearest one that is.
    ///
    /// Where the layer is alone, `tracing` does not even make what is below all levels.
    pub fn spans(mut self, level: impl Into<LevelFilter>) -> Self {
        self.spans = level.into();
        self
    }

    /// Targets that have a level of their own, as in `my_app=trace,h2=off`: for spans and events alike, and
    /// whatever [`spans`](Self::spans) and [`events`](Self::events) say. The nearest target counts; all that
    /// begins with it belongs to it. A level without a target, as in `warn,my_app=debug`, takes the place
    /// of both levels; a target without a level is one with `trace`. A digit is a level, too, from 0, `off`,
    /// to 5, `trace`: `h2=5` is `h2=trace`.
    ///
    /// Records of the `log` crate go by the target that they were logged with, no matter what has made them
    /// events.
    ///
    /// Of a target that is `off` nothing is kept, and no error marks a span. A text that cannot be
    /// understood is an error of [`build`](Self::build).
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.filter = directives.into();
        self
    }

    /// Which events are kept: this level and the more severe ones. Default `INFO`;
    /// `LevelFilter::OFF` keeps none. An event at ERROR marks its span as failed even if it is
    /// not kept.
    pub fn events(mut self, level: impl Into<LevelFilter>) -> Self {
        self.events = level.into();
        self
    }

    /// Whether the time that threads spend inside a span is measured, which takes two of the four
    /// readings of the clock for a span that is entered once. Without it the column `busy_ns` is
    /// NULL in this run; entries are counted all the same. Default `true`.
    pub fn busy_time(mut self, measured: bool) -> Self {
        self.busy_time = measured;
        self
    }

    /// Whether fields with names of OpenTelemetry's conventions say how a span has ended. Default `true`.
    ///
    /// | field | the span has failed |
    /// |---|---|
    /// | `otel.status_code` | if it is `error`, in any case; and not if it is `ok`, whatever else is said or happens |
    /// | `otel.status_description`, `otel.status_message` | if there is one, and no code |
    /// | `http.response.status_code`, `http.status_code` | if it is 500 or more |
    /// | `rpc.grpc.status_code` | if it is not 0; of a span with `otel.kind = "server"` if the server is to blame: 2, 4, 12, 13, 14, 15 |
    ///
    /// Numbers may be texts, and gRPC's codes names. The last value counts, whenever it was recorded. A field
    /// `error` is no rule: where that is recorded, it says how the span has ended, in place of the status codes
    /// of HTTP and gRPC; false, `None` and an empty text say that nothing has failed.
    pub fn status_rules(mut self, are_applied: bool) -> Self {
        self.status_rules = are_applied;
        self
    }

    /// Which entries of spans are recorded one by one, in table `entry`. Default [`Entries::LongLived`]. Not where
    /// [`busy_time`](Self::busy_time) is off.
    ///
    /// An entry is a record of a slot. It has a ledger of its own, [`Stats::entries`](crate::Stats::entries), and never
    /// takes the place of a span.
    ///
    /// [`Entries::All`] records the entries of all spans, and makes calls of them only where a span lives long: a
    /// request that was polled thirty times is still one call. Ask by name, as in
    /// `.entries_of("connection", Entries::All)`, to have each entry of a span be a call from the first one on.
    pub fn entries(mut self, entries: Entries) -> Self {
        self.entries.others = entries;
        self
    }

    /// The same for some spans: those whose name this is, or whose target is this or begins with this and `::`.
    /// With [`Entries::All`] each entry of theirs is a call, however long the span lives.
    /// With a star at its end it is the beginning of names and targets. Of several that fit a span, the longest
    /// one decides.
    pub fn entries_of(mut self, pattern: impl Into<String>, entries: Entries) -> Self {
        self.entries.add(pattern.into(), entries);
        self
    }

    /// How often gauges are sampled that were set: [`Profiler::gauge`](crate::Profiler::gauge). Default 1 s, at least 1 ms.
    #[cfg(feature = "gauges")]
    pub fn gauge_interval(mut self, interval: Duration) -> Self {
        self.gauge_interval = interval;
        self
    }

    /// Whether this process itself is watched, by gauges once an interval: `process.cpu_percent` (100 is one processor),
    /// `process.resident_bytes`, `process.threads` and `process.open_files`. Linux; elsewhere there are none. Default
    /// `false`: a program that sets no gauges has no thread for them.
    #[cfg(feature = "gauges")]
    pub fn process_gauges(mut self, are_recorded: bool) -> Self {
        self.process_gauges = are_recorded;
        self
    }

    /// What is stored of the command line's arguments. Default [`Arguments::Redacted`].
    pub fn arguments(mut self, arguments: Arguments) -> Self {
        self.arguments = arguments;
        self
    }

    /// More names of fields with secrets: `"[redacted]"` stands in the file for their values. Names of
    /// options on the command line likewise.
    ///
    /// By default those with `password`, `secret`, `token`, `key`, `authorization`, `cookie`,
    /// `credential` and the like are. A name is compared by words, in any case: `key` is found in
    /// `apiKey` and `ssh.key`, not in `keyboard`; nor where something is said about the secret, as in
    /// `token_count`, or in names such as `cache_key` and `primary_key`. Only `password`, `secret`, `token`
    /// and a few more are found in words that were run together, as in `PGPASSWORD`. A number or boolean under
    /// `token`, `key`, `cookie`, `credential` or `authorization` is kept; under all other names, those
    /// added here included, nothing is.
    ///
    /// In URLs, wherever they stand in a field or a message, passwords are left out, and what a query says
    /// under the name of a secret, a signature included: `postgres://me:[redacted]@db`,
    /// `https://host/?token=[redacted]`. In fields with names such as `uri`, `path`, `query`, `endpoint` or
    /// `dsn` this is so without a scheme, too. A password in a URL counts as a field `password`.
    ///
    /// With `!` before it, a name is none of a secret (`"!key"`); `"!*"` forgets all names so far.
    /// Free texts are otherwise not looked into: messages of events, structures that are shown with
    /// `Debug`; labels are not at all.
    ///
    /// ```
    /// # use spandrel::Profiler;
    /// let builder = Profiler::builder().redact_fields(["card_number", "!key"]);
    /// ```
    pub fn redact_fields<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        names.into_iter().for_each(|name| self.redaction.add(name.as_ref()));
        self
    }

    /// Which spans and events are kept.
    pub(crate) fn rule(&self) -> Result<Rule, Error> {
        Rule::new(self.spans, self.events).with_text(&self.filter)
    }

    pub(super) fn recorder_options(&self, rule: Rule, first_id: u64) -> RecorderOptions {
        RecorderOptions {
            ring_capacity: self.ring_slots(),
            partitions: self.partitions,
            open_spans_max: self.max_open_spans,
            field_bytes_max: self.max_field_bytes,
            rule,
            busy_time: self.busy_time,
            status_rules: self.status_rules,
            entries: self.entries.clone(),
            first_id,
        }
    }

    /// Checks the settings of the recorder. `others` takes memory, too.
    pub(super) fn check(&self, others: Option<Memory>) -> Result<(), Error> {
        self.check_range("ring_capacity", self.ring_slots(), 1, 1 << 32)?;
        self.check_range("partitions", self.partitions, 1, PARTITIONS_MAX)?;
        self.check_range("max_open_spans", self.max_open_spans, 1, 1 << 24)?;
        self.check_range("max_field_bytes", self.max_field_bytes, 0, FIELD_BYTES_MAX)?;
        let interval = usize::try_from(self.gauge_interval.as_millis()).unwrap_or(usize::MAX);
        self.check_range("gauge_interval", interval, 1, GAUGE_INTERVAL_MAX)?;
        match memory::available() {
            Some(available) => self.check_memory(others, available),
            None => Ok(()),
        }
    }

    pub(super) fn check_range(
        &self,
        name: &str,
        value: usize,
        least: usize,
        most: usize,
    ) -> Result<(), Error> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidOption,
            format!("{} is {value}; choose a value from {least} to {most}", self.called(name)),
        ))
    }

    /// Checks whether everything that will be allocated fits into so many bytes.
    fn check_memory(&self, others: Option<Memory>, available: u64) -> Result<(), Error> {
        let needed = || self.memory().into_iter().chain(others);
        if needed().map(|memory| memory.bytes).fold(0, u64::saturating_add) <= available {
            return Ok(());
        }
        let Some(Memory { setting, value, bytes }) = needed().max_by_key(|memory| memory.bytes)
        else {
            return Ok(());
        };
        let (bytes, available) = (memory::human(bytes), memory::human(available));
        Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "{} is {value}, which takes {bytes} of memory, and {available} are available; \
                 choose a smaller value",
                self.called(setting),
            ),
        ))
    }

    /// What takes memory of the recorder's, and about how many bytes.
    fn memory(&self) -> [Memory; 2] {
        let ring = RingOptions { capacity: self.ring_slots(), partitions: self.partitions };
        let ring = ring.bytes(size_of::<Slot>()).map_or(u64::MAX, |bytes| bytes as u64);
        let spans = OpenSpans::bytes(self.max_open_spans, self.max_field_bytes / 8) as u64;
        let memory = |setting, bytes| Memory { setting, value: self.value_of(setting), bytes };
        [memory("ring_capacity", ring), memory("max_open_spans", spans)]
    }

    /// The name under which the user knows a setting: a method, or a variable.
    pub(super) fn called<'a>(&self, setting: &'a str) -> &'a str {
        let mut variables = self.variables.iter().copied();
        variables.find(|variable| is_of(variable, setting)).unwrap_or(setting)
    }

    fn value_of(&self, name: &str) -> usize {
        match name {
            "ring_capacity" => self.ring_slots(),
            _ => self.max_open_spans,
        }
    }

    pub(crate) fn too_large(&self, refused: DoesNotFit) -> Error {
        let DoesNotFit { setting, source } = refused;
        let value = self.value_of(setting);
        let name = self.called(setting);
        let message = format!("{name} is {value}: {source}; choose a smaller value");
        Error::new(ErrorKind::InvalidOption, message).with_source(source)
    }
}

/// Whether a variable is the setting of this name, in whatever unit.
fn is_of(variable: &str, setting: &str) -> bool {
    let name = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or_default();
    name.strip_suffix("_MS").unwrap_or(name).eq_ignore_ascii_case(setting)
}
