//! The profiler as an application holds it: flushes, names moments, and closes.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, Marks};
use super::builder::ProfilerBuilder;
use super::environment;
use super::report::Report;
use super::section::Section;
use crate::error::{Error, ErrorKind};
use crate::front::ProfilerLayer;
use crate::front::ProfilerSubscriber;
use crate::recorder::Recorder;
use crate::recorder::mark::{self, Mark};
use crate::recorder::stats::Stats;

/// A profiler, and the guard that closes it.
///
/// Cheap to clone; all clones are the same profiler. When the last clone is dropped, the profiler
/// is closed as by [`close`](Self::close). The layers that it made stay installed, and then only
/// count.
///
/// # Files
///
/// The profile and what lies beside it (`-wal`, `-shm`) belong to the writer while it records. A program
/// should not open, copy, move or cut them by itself: POSIX drops the locks of SQLite when a process
/// closes any descriptor of a file that it has locked. The recorder guards against that as far as the
/// platform lets it, and notices the rest; the book says what remains (`docs/src/howto/files.md`).
#[derive(Debug, Clone)]
#[must_use = "the profiler is closed when its last handle is dropped"]
pub struct Profiler {
    /// `None` for a profiler that is switched off.
    pub(super) handle: Option<Arc<Handle>>,
}

/// What all clones of a profiler share.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) recorder: Arc<Recorder>,
    pub(super) backend: Box<dyn Backend>,
    pub(super) marks: Arc<dyn Marks>,
    #[cfg(feature = "gauges")]
    pub(super) gauges: Arc<super::gauges::Sampling>,
    /// The process that all this belongs to; a forked child has a copy, but not the backend's other end.
    pub(super) pid: u32,
}

impl Profiler {
    /// What it records with, for tests of the other end.
    #[cfg(all(test, feature = "collected", feature = "database", target_os = "linux", not(miri)))]
    pub(crate) fn recorder(&self) -> Option<Arc<Recorder>> {
        self.handle.as_ref().map(|handle| Arc::clone(&handle.recorder))
    }

    /// Settings with their defaults.
    pub fn builder() -> ProfilerBuilder {
        ProfilerBuilder::default()
    }

    /// A profiler as the environment describes it; switched off, and costing nothing, if neither
    /// `SPANDREL_DB` nor `SPANDREL_COLLECT` is set.
    ///
    /// | variable | is |
    /// |---|---|
    /// | `SPANDREL_DB` | [`ProfilerBuilder::database`] |
    /// | `SPANDREL_COLLECT` | `ProfilerBuilder::collected`, in place of `SPANDREL_DB` and of what is said about that; feature `collected` |
    /// | `SPANDREL_LABEL` | [`ProfilerBuilder::label`] |
    /// | `SPANDREL_COMMIT` | [`ProfilerBuilder::commit`] |
    /// | `SPANDREL_RING_CAPACITY` | [`ProfilerBuilder::ring_capacity`], slots |
    /// | `SPANDREL_PARTITIONS` | [`ProfilerBuilder::partitions`] |
    /// | `SPANDREL_BATCH_SIZE` | [`ProfilerBuilder::batch_size`] |
    /// | `SPANDREL_FLUSH_INTERVAL_MS` | [`ProfilerBuilder::flush_interval`], milliseconds |
    /// | `SPANDREL_MAX_OPEN_SPANS` | [`ProfilerBuilder::max_open_spans`] |
    /// | `SPANDREL_MAX_FIELD_BYTES` | [`ProfilerBuilder::max_field_bytes`] |
    /// | `SPANDREL_SPANS` | [`ProfilerBuilder::spans`]: `off`, `error`, `warn`, `info`, `debug`, `trace` |
    /// | `SPANDREL_FILTER` | [`ProfilerBuilder::filter`], as in `my_app=trace,h2=off` |
    /// | `SPANDREL_EVENTS` | [`ProfilerBuilder::events`]: `off`, `error`, `warn`, `info`, `debug`, `trace` |
    /// | `SPANDREL_ENTRIES` | [`ProfilerBuilder::entries`]: `off`, `long-lived` or `all`; and [`ProfilerBuilder::entries_of`], as in `long-lived,my_app::conn=all,db.query=off`; `all` by itself makes calls only of what lives long |
    /// | `SPANDREL_BUSY_TIME` | [`ProfilerBuilder::busy_time`]: `true` or `1`, `false` or `0` |
    /// | `SPANDREL_STATUS_RULES` | [`ProfilerBuilder::status_rules`]: the same |
    /// | `SPANDREL_CONTROL` | [`ProfilerBuilder::control`]: `true` or `1`, `false` or `0` |
    /// | `SPANDREL_LIVE_READERS` | [`ProfilerBuilder::live_readers`]: `true` or `1`, `false` or `0` |
    /// | `SPANDREL_CRASH_PROOF` | `ProfilerBuilder::crash_proof`: `true` or `1`, `false` or `0`; feature `crash-proof` |
    /// | `SPANDREL_SIGNAL_HANDLER` | `ProfilerBuilder::signal_handler`, likewise |
    /// | `SPANDREL_MAX_BYTES` | [`ProfilerBuilder::max_bytes`] |
    /// | `SPANDREL_MAX_AGE_S` | [`ProfilerBuilder::max_age`], seconds |
    /// | `SPANDREL_GAUGE_INTERVAL_MS` | `ProfilerBuilder::gauge_interval`, milliseconds; feature `gauges` |
    /// | `SPANDREL_PROCESS_GAUGES` | `ProfilerBuilder::process_gauges`: `true` or `1`, `false` or `0`; likewise |
    ///
    /// If the profiler cannot be had, because another process records into the file, say, or a variable
    /// cannot be understood, the program goes on with one that is switched off, and one line on the
    /// standard error says why: a profile is never a reason for a program to end. Who wants to know
    /// calls [`try_from_env`](Self::try_from_env). Another line tells of variables that begin with
    /// `SPANDREL_` and are none of these, as a misspelt one does, or that have no effect beside another or without one.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Blocking
    ///
    /// As [`ProfilerBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        let names = std::env::vars_os().filter(|(_, value)| !value.is_empty());
        let names: Vec<_> = names.filter_map(|(name, _)| name.into_string().ok()).collect();
        let unused = environment::tell_unused(|name| std::env::var_os(name));
        for line in environment::tell_unknown(names.into_iter()).into_iter().chain(unused) {
            _ = writeln!(std::io::stderr(), "spandrel: {line}");
        }
        Ok(Self::try_from_env().unwrap_or_else(|error| {
            // If the standard error is closed, there is nobody to tell.
            _ = writeln!(std::io::stderr(), "spandrel: this process is not recorded: {error}");
            Self::disabled()
        }))
    }

    /// The same as [`from_env`](Self::from_env) for programs that want to know why they are not recorded;
    /// prints nothing.
    ///
    /// # Errors
    ///
    /// As [`ProfilerBuilder::build`], and [`ErrorKind::InvalidOption`] for a variable that cannot be
    /// understood.
    ///
    /// # Blocking
    ///
    /// As [`ProfilerBuilder::build`].
    pub fn try_from_env() -> Result<Self, Error> {
        match environment::builder(|name| std::env::var_os(name))? {
            Some(builder) => builder.build(),
            None => Ok(Self::disabled()),
        }
    }

    /// A profiler that records nothing and costs nothing, for when a real one could not be built.
    pub fn disabled() -> Self {
        Self { handle: None }
    }

    /// Whether this profiler records; `false` for one that is switched off.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.handle.is_some()
    }

    /// A layer that records into this profiler.
    ///
    /// May be called more than once; each layer records what it is shown, so two layers on one
    /// subscriber record everything twice.
    #[must_use]
    pub fn layer<S: tracing_core::Subscriber>(&self) -> ProfilerLayer<S> {
        ProfilerLayer::new(self.handle.as_ref().map(|handle| &handle.recorder))
    }

    /// A whole `tracing` subscriber that records into this profiler: faster than a layer, and alone.
    /// See [`ProfilerSubscriber`] for which of the two to choose.
    ///
    /// Spans of a profiler's first front end, be it a layer or a subscriber, take the quickest way.
    pub fn subscriber(&self) -> ProfilerSubscriber {
        ProfilerSubscriber::new(self.handle.as_ref().map(|handle| &handle.recorder))
    }

    /// Waits until everything that was recorded before this call is committed, to a file that is where the
    /// path says, with its log.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] when that takes longer than `timeout` (nothing is lost: the writer
    /// goes on; the message has the store's last error), [`ErrorKind::Closed`] after `close`,
    /// [`ErrorKind::OnWriterThread`] on the writer thread, [`ErrorKind::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// Up to `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let Some(handle) = &self.handle else { return Ok(()) };
        handle.check_caller("flush")?;
        handle.check_open("cannot flush: the profiler is closed")?;
        #[cfg(feature = "gauges")]
        handle.gauges.record_all();
        handle.backend.flush(timeout)
    }

    /// Names this moment: a deployment, the start of a test, a click. It is stored in table `mark`, at
    /// its time among spans.
    ///
    /// `Ok` says that the mark waits for the writer, which stores it with the next batch that the database
    /// accepts; a [`flush`](Self::flush) that succeeds says that it is stored. Marks that wait while the
    /// database refuses everything to the end, or when their file is lost, are counted in
    /// [`Stats::marks_dropped`].
    ///
    /// A label of more than 256 bytes is cut. While the recording goes on, other processes can set
    /// marks, too; see [`ProfilerBuilder::control`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "database")] {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// profiler.mark("cache is warm")?;
    /// let report = profiler.close()?;
    /// assert_eq!(report.marks, 1);
    /// assert!(profiler.mark("too late").is_err());
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MarksFull`] when more marks come at once than the writer's channel holds, which is
    /// some thousand, or than a ring file has room for, which is some ten thousand ([`Stats::marks_dropped`] counts it); [`ErrorKind::Closed`] after `close`;
    /// [`ErrorKind::Forked`] in a forked child. A program can ignore them all. A profiler that is switched
    /// off takes any mark.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn mark(&self, label: impl Into<String>) -> Result<(), Error> {
        let Some(handle) = &self.handle else { return Ok(()) };
        let at = handle.recorder.clock.ticks();
        if handle.is_forked() {
            return Err(handle.forked("mark"));
        }
        handle.check_open("cannot mark: the profiler is closed")?;
        let id = handle.marks.take_id();
        let mark = Mark { id, at, until: None, label: mark::cut(label.into()) };
        handle.marks.send(mark).map_err(|_full| {
            let message = "too many marks; this one is dropped, and counted";
            Error::new(ErrorKind::MarksFull, message)
        })
    }

    /// Names a section of the program's time, from now until the guard is dropped. It is in table `mark`
    /// with its beginning soon after it has begun, and gets its end.
    ///
    /// A section belongs to no thread and to no span, and may overlap others.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "database")] {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// {
    ///     let _section = profiler.section("load test, 100 users");
    ///     // ...
    /// }
    /// assert_eq!(profiler.close()?.marks, 1);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Where [`mark`](Self::mark) is an error, the section is not recorded;
    /// [`Section::is_recorded`] says so.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn section(&self, label: impl Into<String>) -> Section {
        match &self.handle {
            Some(handle) if !handle.is_forked() && !handle.recorder.ring.is_closed() => {
                let label = mark::cut(label.into());
                Section::begin(&handle.recorder, &handle.marks, handle.pid, label)
            }
            _ => Section::none(),
        }
    }

    /// The ledger now. In a forked child it is empty.
    ///
    /// # Blocking
    ///
    /// Never for long: it reads counters, and the table of open spans once.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &self.handle {
            // If this process was forked in the middle of a change, the counters may disagree.
            Some(handle) if !handle.is_forked() => handle.backend.stats(),
            _ => Stats::default(),
        }
    }

    /// Stops recording, commits what remains, and joins the writer thread.
    ///
    /// Everything recorded before this call is in the database when it returns; spans that are
    /// still open are stored as unfinished. What is recorded from now on is counted as
    /// `already_shutdown`. Calling it again, on any clone and from any thread, waits for the first
    /// call and returns the same, with what has been counted since.
    ///
    /// In a forked child it does nothing and returns an empty report.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OnWriterThread`] on the writer thread. That the database did not take everything
    /// is not an error but stands in the report.
    ///
    /// # Blocking
    ///
    /// Until everything is committed, at most for [`ProfilerBuilder::close_timeout`] and a second.
    pub fn close(&self) -> Result<Report, Error> {
        let Some(handle) = &self.handle else { return Ok(Report::default()) };
        handle.close()
    }
}

impl Profiler {
    /// A profiler that records.
    pub(super) fn with(
        recorder: Arc<Recorder>,
        backend: Box<dyn Backend>,
        marks: Arc<dyn Marks>,
        gauge_interval: Duration,
    ) -> Self {
        let pid = std::process::id();
        #[cfg(feature = "gauges")]
        let gauges = super::gauges::Sampling::new(&recorder, gauge_interval);
        _ = gauge_interval;
        Self {
            handle: Some(Arc::new(Handle {
                recorder,
                backend,
                marks,
                #[cfg(feature = "gauges")]
                gauges,
                pid,
            })),
        }
    }
}

impl Handle {
    /// Whether this process is a forked child, in which nobody takes what is recorded.
    fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    fn forked(&self, doing: &str) -> Error {
        let message = format!("cannot {doing}: the profiler belongs to process {}", self.pid);
        Error::new(ErrorKind::Forked, message)
    }

    /// Whether anything is recorded still.
    fn check_open(&self, closed: &'static str) -> Result<(), Error> {
        if !self.recorder.ring.is_closed() {
            return Ok(());
        }
        if self.recorder.is_cut() {
            return Err(Error::new(ErrorKind::RingFile, self.recorder.tell_cut()));
        }
        Err(Error::new(ErrorKind::Closed, closed))
    }

    pub(super) fn check_not_forked(&self, doing: &str) -> Result<(), Error> {
        if self.is_forked() { Err(self.forked(doing)) } else { Ok(()) }
    }

    pub(super) fn check_caller(&self, doing: &str) -> Result<(), Error> {
        if self.is_forked() {
            return Err(self.forked(doing));
        }
        self.backend.check_caller(doing)
    }

    fn close(&self) -> Result<Report, Error> {
        if self.is_forked() {
            // Silent: what is recorded is the parent's. No lock is touched either: another thread of the
            // parent may have held it at the fork.
            return Ok(Report::default());
        }
        self.backend.check_caller("close")?;
        #[cfg(feature = "gauges")]
        self.gauges.close();
        self.backend.close()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.is_forked() {
            self.backend.forget();
        } else {
            // Nobody is there to read the report; it is in the profile, too.
            let _report = self.close();
        }
    }
}
