//! The settings of a profiler.

use std::path::PathBuf;
use std::time::Duration;

use spandrel_ring::RingOptions;
use spandrel_storage::{StoreOptions, Synchronous};
use tracing_core::LevelFilter;

use crate::error::{Error, ErrorKind};
use crate::memory;
use crate::recorder::DoesNotFit;
use crate::recorder::entry_rules::{Entries, EntryRules};
use crate::recorder::open_spans::OpenSpans;
use crate::recorder::record::Slot;
use crate::recorder::rule::Rule;
use crate::redact::Redaction;
#[cfg(feature = "faults")]
use crate::writer::Fault;

/// Most partitions that a thread can have for itself.
pub(crate) const PARTITIONS_MAX: usize = 64;
/// Bytes that the writer holds for a record without fields: its slot and its row.
const BATCH_BYTES: u64 = 200;
/// Longest encoded fields of one span or event: as much as one claim of the ring can hold.
pub(crate) const FIELD_BYTES_MAX: usize = 32 * 1024;

/// Slots of the ring by default.
const RING: usize = 65_536;
/// The same where slots are kept until what was in them is committed.
const CRASH_PROOF_RING: usize = 4 * RING;

/// The names of environment variables that are settings begin with this.
pub(super) const VARIABLE_PREFIX: &str = "SPANDREL_";

/// Settings of a [`Profiler`](crate::Profiler); every one has a default.
#[derive(Debug, Clone)]
#[must_use = "call build() to start the profiler"]
pub struct ProfilerBuilder {
    pub(crate) database: PathBuf,
    pub(crate) label: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) ring_capacity: Option<usize>,
    pub(crate) partitions: usize,
    pub(crate) batch_size: usize,
    pub(crate) flush_interval: Duration,
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
    /// The environment variables that settings come from, to be named in messages.
    pub(crate) variables: Vec<&'static str>,
    pub(crate) control: bool,
    pub(crate) close_timeout: Duration,
    pub(crate) store: StoreOptions,
    #[cfg(feature = "crash-proof")]
    pub(crate) crash_proof: bool,
    #[cfg(feature = "faults")]
    pub(crate) fault: Option<Fault>,
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
            database: "%n.spandrel.db".into(),
            label: None,
            commit: None,
            ring_capacity: None,
            partitions: std::thread::available_parallelism().map_or(4, |n| n.get().min(16)),
            batch_size: 8_192,
            flush_interval: Duration::from_millis(500),
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
            variables: Vec::new(),
            control: true,
            close_timeout: Duration::from_secs(30),
            store: StoreOptions::default(),
            #[cfg(feature = "crash-proof")]
            crash_proof: is_tested_crash_proof(),
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

/// All tests of spandrel itself can be run over ring files.
#[cfg(feature = "crash-proof")]
fn is_tested_crash_proof() -> bool {
    cfg!(any(test, feature = "faults")) && std::env::var_os("SPANDREL_TEST_CRASH_PROOF").is_some()
}

impl ProfilerBuilder {
    /// The profile database; made if it is missing, appended to if it is one of ours.
    ///
    /// `%p` in it is the process id, `%t` the time of the start (`20261128T162233Z`), `%n` the name of the
    /// program and `%%` a percent sign, as in `"%n-%p.db"` for several processes of one program; any
    /// other percent sign stands for itself.
    ///
    /// Default: `<program>.spandrel.db` in the current folder.
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = path.into();
        self
    }

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
        let default = if self.is_crash_proof() { CRASH_PROOF_RING } else { RING };
        self.ring_capacity.unwrap_or(default)
    }

    /// Whether the ring is to lie in a file.
    pub(crate) fn is_crash_proof(&self) -> bool {
        #[cfg(feature = "crash-proof")]
        return self.crash_proof;
        #[cfg(not(feature = "crash-proof"))]
        false
    }

    /// Whether what is recorded outlives the process, however that ends: `kill -9`, an abort, out of memory. Default
    /// `false`. (Feature `crash-proof`; Linux and macOS.)
    ///
    /// The ring, the open spans and the names of both then lie in a mapped file in memory, `$XDG_RUNTIME_DIR/spandrel` or
    /// `/dev/shm/spandrel-UID`, some 50 MB. [`close`](crate::Profiler::close) removes it. If the process ends before that, whoever
    /// next records into the same database moves what is in the file into it, and `spandrel recover` does: every span
    /// that was published, and those that were open, with the status `crashed`. A power failure takes the file with it.
    ///
    /// Slots of the ring are free again when what was in them is committed. So the ring, and not the writer's memory, is what
    /// a burst has to fit into: [`ring_capacity`](Self::ring_capacity) is four times as large by default.
    ///
    /// The file has room for the names of some 20,000 callsites, and of some 60,000 threads where callsites are few. Spans of
    /// further callsites are dropped as `callsites_full`; further threads have one number in common.
    ///
    /// If the file cannot be made, because there is no room for it, say, recording goes on without;
    /// [`Stats::crash_proof_error`](crate::Stats::crash_proof_error) says why.
    #[cfg(feature = "crash-proof")]
    pub fn crash_proof(mut self, outlives: bool) -> Self {
        self.crash_proof = outlives;
        self
    }

    /// How many threads can have a partition of the ring for themselves; all others share one
    /// more. Default: the available parallelism, at most 16.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Commit when so many spans and events have come together. Default 8,192.
    pub fn batch_size(mut self, records: usize) -> Self {
        self.batch_size = records;
        self
    }

    /// Commit at least so often while anything comes. Default 500 ms.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
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

    /// Whether other processes of the same user can ask the running recording for something, such as a
    /// mark: through a small file beside the database, `<database>-ctl`, at which the writer looks
    /// some 20 to 50 times a second, and which is removed at the end. Default `true`.
    ///
    /// If that file cannot be made or read the recording goes on without;
    /// [`Stats::control_error`](crate::Stats::control_error) says why.
    pub fn control(mut self, listen: bool) -> Self {
        self.control = listen;
        self
    }

    /// How long `close()` may wait for the database. Default 30 s.
    ///
    /// For a disk that was full before, and at the close still is, it waits 2 s at most. What could not be stored by then is counted as `store_error`.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How careful SQLite is with power failures. Default [`Synchronous::Normal`]: a power failure
    /// may lose the last commits, but never corrupts the file. (A crash of the program or a kill
    /// loses no commit in any of them.)
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.store.synchronous = synchronous;
        self
    }

    /// Keep the database below this size, about, by deleting the oldest spans. Default: no limit.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.store.max_bytes = Some(bytes);
        self
    }

    /// Delete spans that are older than this. Default: never.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.store.max_age = Some(age);
        self
    }

    /// Whether other processes may read the profile while it is recorded. Default `true`.
    ///
    /// With `false` the file is locked for other processes meanwhile, and the index of its write-ahead log
    /// is in memory. Otherwise that is a file, `<database>-shm`, which is mapped: a program that cuts it
    /// short under the recording (`: > profile.db-shm`) may end it by SIGBUS.
    pub fn live_readers(mut self, may_read: bool) -> Self {
        self.store.live_readers = may_read;
        self
    }

    /// All settings of the store at once, for what has no method of its own.
    pub fn store_options(mut self, options: StoreOptions) -> Self {
        self.store = options;
        self
    }

    /// The writer brings a fault upon itself: for tests of what becomes of a recording then.
    #[cfg(feature = "faults")]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Which spans and events are kept.
    pub(crate) fn rule(&self) -> Result<Rule, Error> {
        Rule::new(self.spans, self.events).with_text(&self.filter)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let range = |name, value: usize, least, most| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::new(
                ErrorKind::InvalidOption,
                format!("{} is {value}; choose a value from {least} to {most}", self.called(name)),
            ))
        };
        range("ring_capacity", self.ring_slots(), 1, 1 << 32)?;
        range("partitions", self.partitions, 1, PARTITIONS_MAX)?;
        range("batch_size", self.batch_size, 1, 10_000_000)?;
        range("max_open_spans", self.max_open_spans, 1, 1 << 24)?;
        range("max_field_bytes", self.max_field_bytes, 0, FIELD_BYTES_MAX)?;
        if self.flush_interval.is_zero() {
            return Err(Error::new(
                ErrorKind::InvalidOption,
                format!("{} is zero; choose at least 1 ms", self.called("flush_interval")),
            ));
        }
        match memory::available() {
            Some(available) => self.check_memory(available),
            None => Ok(()),
        }
    }

    /// Checks whether everything that will be allocated fits into so many bytes.
    fn check_memory(&self, available: u64) -> Result<(), Error> {
        let needed = self.memory();
        if needed.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add) <= available {
            return Ok(());
        }
        let (name, bytes) = needed.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
        let (bytes, available) = (memory::human(bytes), memory::human(available));
        Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "{} is {}, which takes {bytes} of memory, and {available} are available; \
                 choose a smaller value",
                self.called(name),
                self.value_of(name)
            ),
        ))
    }

    /// What takes memory, and about how many bytes.
    fn memory(&self) -> [(&'static str, u64); 3] {
        let ring = RingOptions { capacity: self.ring_slots(), partitions: self.partitions };
        let ring = ring.bytes(size_of::<Slot>());
        let spans = OpenSpans::bytes(self.max_open_spans, self.max_field_bytes / 8);
        [
            ("ring_capacity", ring.map_or(u64::MAX, |bytes| bytes as u64)),
            ("max_open_spans", spans as u64),
            ("batch_size", (self.batch_size as u64).saturating_mul(BATCH_BYTES)),
        ]
    }

    /// The name under which the user knows a setting: a method, or a variable.
    fn called<'a>(&self, setting: &'a str) -> &'a str {
        let mut variables = self.variables.iter().copied();
        variables.find(|variable| is_of(variable, setting)).unwrap_or(setting)
    }

    fn value_of(&self, name: &str) -> usize {
        match name {
            "ring_capacity" => self.ring_slots(),
            "max_open_spans" => self.max_open_spans,
            _ => self.batch_size,
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
