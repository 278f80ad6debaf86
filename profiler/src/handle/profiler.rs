//! The profiler as an application holds it: flushes, copies, names moments, and closes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use spandrel_ring::Waker;
use spandrel_storage::{Snapshot, after};

use super::builder::ProfilerBuilder;
use super::environment;
use super::report::Report;
use super::section::Section;
use crate::error::{Error, ErrorKind};
use crate::front::ProfilerLayer;
use crate::front::ProfilerSubscriber;
use crate::mutex::Mutex;
use crate::panics;
use crate::recorder::Recorder;
use crate::recorder::losses::DropReason;
use crate::recorder::stats::Stats;
use crate::writer::control::Flush;
use crate::writer::mark_channel::{self, Mark};
use crate::writer::{self, WriterState};

/// How much longer than its deadline the writer may take, before `close` returns without it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

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
    pub(super) state: Arc<WriterState>,
    pub(super) control: Sender<Flush>,
    /// The poison pill goes through a channel of its own, in which there is always room for it.
    pub(super) pill: Sender<Instant>,
    pub(super) waker: Waker,
    /// Ends when the writer does.
    pub(super) ended: Receiver<()>,
    pub(super) closing: Mutex<Closing>,
    pub(super) close_timeout: Duration,
    /// The profile, as an absolute path.
    pub(super) database: PathBuf,
    /// While a copy is made the log may grow to this length.
    pub(super) copy_log_bytes_max: u64,
    /// The process that all this belongs to; a forked child has a copy, but not the writer.
    pub(super) pid: u32,
}

#[derive(Debug)]
pub(super) enum Closing {
    Running(Option<JoinHandle<()>>),
    Closed { timed_out: bool, took: Duration, log_bytes: u64 },
}

impl Profiler {
    /// Settings with their defaults.
    pub fn builder() -> ProfilerBuilder {
        ProfilerBuilder::default()
    }

    /// A profiler as the environment describes it; switched off, and costing nothing, if
    /// `SPANDREL_DB` is not set.
    ///
    /// | variable | is |
    /// |---|---|
    /// | `SPANDREL_DB` | [`ProfilerBuilder::database`] |
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
    /// | `SPANDREL_MAX_BYTES` | [`ProfilerBuilder::max_bytes`] |
    /// | `SPANDREL_MAX_AGE_S` | [`ProfilerBuilder::max_age`], seconds |
    ///
    /// If the profiler cannot be had, because another process records into the file, say, or a variable
    /// cannot be understood, the program goes on with one that is switched off, and one line on the
    /// standard error says why: a profile is never a reason for a program to end. Who wants to know
    /// calls [`try_from_env`](Self::try_from_env). Another line tells of variables that begin with
    /// `SPANDREL_` and are none of these, as a misspelt one does.
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
        let names = names.filter_map(|(name, _)| name.into_string().ok());
        if let Some(unknown) = environment::tell_unknown(names) {
            _ = writeln!(std::io::stderr(), "spandrel: {unknown}");
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
        let closed = || Error::new(ErrorKind::Closed, "cannot flush: the profiler is closed");
        if handle.recorder.ring.is_closed() {
            return Err(closed());
        }
        let (flush, waiter) = Flush::new();
        let timed_out = || {
            let error = handle.state.last_error();
            let why = error.map_or(String::new(), |error| format!("; last error: {error}"));
            Err(Error::new(
                ErrorKind::Timeout,
                format!("not everything was committed within {timeout:?}{why}"),
            ))
        };
        match handle.control.try_send(flush) {
            Ok(()) => handle.waker.wake(),
            Err(TrySendError::Disconnected(_)) => return Err(closed()),
            // So many threads wait already: the writer hangs in a system call.
            Err(TrySendError::Full(_)) => return timed_out(),
        }
        match waiter.answer.recv_deadline(after(Instant::now(), timeout)) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(closed()),
            Err(RecvTimeoutError::Timeout) => timed_out(),
        }
    }

    /// Copies the profile to a new file: everything that was recorded before this call, as it is at
    /// one moment, and what has been committed since. The copy has mode 0600 and needs no other file;
    /// the run has not ended in it.
    ///
    /// This is how a program reads, keeps or sends its own profile while it is recorded: it must never
    /// open the file by itself, as with [`std::fs::read`] or [`std::fs::copy`]. When it closes a file
    /// that SQLite has open in the same process, POSIX drops SQLite's locks on it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// # let copy = folder.path().join("copy.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// // ...
    /// let snapshot = profiler.snapshot(&copy)?;
    /// assert_eq!(snapshot.bytes, std::fs::read(&copy)?.len() as u64);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush); [`ErrorKind::Timeout`] also when the copy takes too long, and
    /// [`ErrorKind::Storage`] when it cannot be made: something is at the path already, the disk is
    /// full, or so much is recorded meanwhile that the write-ahead log reaches half of
    /// [`wal_bytes_max`](crate::StoreOptions::wal_bytes_max). Nothing is left behind then.
    /// [`ErrorKind::Closed`] for a profiler that is switched off: there is no profile.
    ///
    /// # Blocking
    ///
    /// The calling thread, up to [`ProfilerBuilder::close_timeout`]: it reads and writes the whole file, some 2 s for
    /// a GB. No other thread waits, and the recording goes on. Until the copy is made, the write-ahead
    /// log cannot begin anew and grows by what is recorded.
    pub fn snapshot(&self, path: impl AsRef<Path>) -> Result<Snapshot, Error> {
        let timeout = self.handle.as_ref().map_or(Duration::ZERO, |handle| handle.close_timeout);
        self.snapshot_within(path, timeout)
    }

    /// The same with a time-out of its own.
    ///
    /// # Errors
    ///
    /// As for [`snapshot`](Self::snapshot).
    ///
    /// # Blocking
    ///
    /// The calling thread, up to `timeout`.
    pub fn snapshot_within(
        &self,
        path: impl AsRef<Path>,
        timeout: Duration,
    ) -> Result<Snapshot, Error> {
        let Some(handle) = &self.handle else {
            let message = "cannot make a copy: the profiler is switched off, and has no profile";
            return Err(Error::new(ErrorKind::Closed, message));
        };
        handle.check_caller("make a copy")?;
        let began = Instant::now();
        self.flush(timeout)?;
        let rest = timeout.saturating_sub(began.elapsed());
        let (from, log_max) = (&handle.database, handle.copy_log_bytes_max);
        spandrel_storage::snapshot(from, path, rest, log_max).map_err(|error| match error.kind() {
            spandrel_storage::ErrorKind::TimedOut => {
                let message = format!("no copy was made within {timeout:?}: {error}");
                Error::new(ErrorKind::Timeout, message)
            }
            _ => error.into(),
        })
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
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// profiler.mark("cache is warm")?;
    /// let report = profiler.close()?;
    /// assert_eq!(report.marks, 1);
    /// assert!(profiler.mark("too late").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MarksFull`] when more marks come at once than the writer's channel holds, which is
    /// some thousand ([`Stats::marks_dropped`] counts it); [`ErrorKind::Closed`] after `close`;
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
        if handle.recorder.ring.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "cannot mark: the profiler is closed"));
        }
        let id = handle.state.marks.take_id();
        let mark = Mark { id, at, until: None, label: mark_channel::cut(label.into()) };
        handle.state.marks.send(mark).map_err(|_full| {
            let message = "too many marks at once; this one is dropped, and counted";
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
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// {
    ///     let _section = profiler.section("load test, 100 users");
    ///     // ...
    /// }
    /// assert_eq!(profiler.close()?.marks, 1);
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
                let label = mark_channel::cut(label.into());
                Section::begin(&handle.recorder, &handle.state, handle.pid, label)
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
            Some(handle) if !handle.is_forked() => handle.stats(),
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

impl Handle {
    /// Whether this process is a forked child, which has no writer.
    fn is_forked(&self) -> bool {
        std::process::id() != self.pid
    }

    fn forked(&self, doing: &str) -> Error {
        let message = format!("cannot {doing}: the profiler belongs to process {}", self.pid);
        Error::new(ErrorKind::Forked, message)
    }

    fn check_caller(&self, doing: &str) -> Result<(), Error> {
        if self.is_forked() {
            return Err(self.forked(doing));
        }
        if self.state.is_current_thread() {
            return Err(Error::new(
                ErrorKind::OnWriterThread,
                format!("cannot {doing} on the writer thread, which would wait for itself"),
            ));
        }
        Ok(())
    }

    /// Bytes of the log beside the profile. A close merges it, unless somebody reads the file.
    fn log_bytes(&self) -> u64 {
        let mut log = self.database.as_os_str().to_owned();
        log.push("-wal");
        Path::new(&log).metadata().map_or(0, |log| log.len())
    }

    fn stats(&self) -> Stats {
        writer::collect_stats(&self.recorder, &self.state)
    }

    fn close(&self) -> Result<Report, Error> {
        if self.is_forked() {
            // Silent: file and writer are the parent's. No lock is touched either: another thread of the
            // parent may have held it at the fork.
            return Ok(Report::default());
        }
        self.check_caller("close")?;
        let Some(mut closing) = self.closing.lock() else { return Ok(Report::default()) };
        if let Closing::Running(thread) = &mut *closing {
            let began = Instant::now();
            let thread = thread.take();
            self.recorder.close_ring();
            // An error means that the writer has ended already.
            let deadline = after(began, self.close_timeout);
            let _ended = self.pill.try_send(deadline);
            self.waker.wake();
            let ended = self.ended.recv_deadline(after(deadline, CLOSE_GRACE));
            let timed_out = match ended {
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(Err(payload)) = thread.map(JoinHandle::join) {
                        panics::discard(payload);
                        self.state.set_error("the writer thread panicked".into());
                    }
                    self.state.timed_out()
                }
                // It hangs in a system call. It is left alone, and the report says so.
                _ => true,
            };
            let log_bytes = self.log_bytes();
            *closing = Closing::Closed { timed_out, took: began.elapsed(), log_bytes };
        }
        let Closing::Closed { timed_out, took, log_bytes } = *closing else {
            return Err(Error::new(ErrorKind::Closed, "the profiler is closing"));
        };
        let mut stats = self.stats();
        if timed_out && stats.in_flight > 0 {
            // The writer has not ended: as far as we know, what it holds is not stored.
            give_up(&mut stats);
        }
        Ok(Report { stats, timed_out, took, log_bytes })
    }
}

/// Counts everything in flight as lost.
fn give_up(stats: &mut Stats) {
    let Stats { dropped, in_flight, events, links, entries, .. } = stats;
    let others = [events, links, entries].map(|kind| (&mut kind.dropped, &mut kind.in_flight));
    for (dropped, in_flight) in std::iter::once((dropped, in_flight)).chain(others) {
        dropped.add(DropReason::StoreError, std::mem::take(in_flight));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.is_forked() {
            // Nobody is there to read the report; it is in the database, too.
            let _report = self.close();
            return;
        }
        // The channels have locks of their own, which another thread of the parent may have held at the
        // fork.
        let (nobodys, _) = crossbeam_channel::bounded(1);
        std::mem::forget(std::mem::replace(&mut self.control, nobodys));
        let (nobodys, _) = crossbeam_channel::bounded(1);
        std::mem::forget(std::mem::replace(&mut self.pill, nobodys));
        std::mem::forget(std::mem::replace(&mut self.ended, crossbeam_channel::never()));
    }
}
