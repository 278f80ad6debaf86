//! The writer's thread, as the handles of a profiler know it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use spandrel_ring::Waker;
use spandrel_storage::after;

use crate::error::{Error, ErrorKind};
use crate::handle::backend::{Backend, Marks, NoRoom, Profile};
use crate::handle::report::Report;
use crate::mutex::Mutex;
use crate::panics;
use crate::recorder::Recorder;
use crate::recorder::losses::DropReason;
use crate::recorder::mark::Mark;
use crate::recorder::stats::Stats;
use crate::writer::control::Flush;
use crate::writer::{self, WriterState};

/// How much longer than its deadline the writer may take, before `close` returns without it.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A recording into a database, by a thread of this process.
#[derive(Debug)]
pub(super) struct Database {
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
    pub(super) path: PathBuf,
    /// While a copy is made the log may grow to this length.
    pub(super) copy_log_bytes_max: u64,
}

#[derive(Debug)]
pub(super) enum Closing {
    Running(Option<JoinHandle<()>>),
    Closed { timed_out: bool, took: Duration, log_bytes: u64 },
}

impl Backend for Database {
    fn check_caller(&self, doing: &str) -> Result<(), Error> {
        if self.state.is_current_thread() {
            return Err(Error::new(
                ErrorKind::OnWriterThread,
                format!("cannot {doing} on the writer thread, which would wait for itself"),
            ));
        }
        Ok(())
    }

    fn flush(&self, timeout: Duration) -> Result<(), Error> {
        let closed = || Error::new(ErrorKind::Closed, "cannot flush: the profiler is closed");
        let (flush, waiter) = Flush::new();
        let timed_out = || {
            let error = self.state.last_error();
            let why = error.map_or(String::new(), |error| format!("; last error: {error}"));
            Err(Error::new(
                ErrorKind::Timeout,
                format!("not everything was committed within {timeout:?}{why}"),
            ))
        };
        match self.control.try_send(flush) {
            Ok(()) => self.waker.wake(),
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

    fn stats(&self) -> Stats {
        writer::collect_stats(&self.recorder, &self.state)
    }

    fn profile(&self) -> Option<Profile<'_>> {
        Some(Profile {
            path: &self.path,
            copy_log_bytes_max: self.copy_log_bytes_max,
            timeout: self.close_timeout,
        })
    }

    fn writer(&self) -> Option<&WriterState> {
        Some(&self.state)
    }

    fn close(&self) -> Result<Report, Error> {
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
        if timed_out && stats.in_flight > 0 && !stats.is_crash_proof {
            // The writer has not ended: as far as we know, what it holds is not stored. (In a ring file it waits.)
            give_up(&mut stats);
        }
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &self.recorder.file
            && timed_out
            && stats.in_flight > 0
            && stats.last_error.is_none()
        {
            // Nor has the writer said so, which may still wait for the file.
            stats.last_error = Some(writer::left_in(file.path(), &stats));
        }
        Ok(Report { stats, timed_out, took, log_bytes })
    }

    fn forget(&mut self) {
        // The channels have locks of their own, which another thread of the parent may have held at the
        // fork.
        let (nobodys, _) = crossbeam_channel::bounded(1);
        std::mem::forget(std::mem::replace(&mut self.control, nobodys));
        let (nobodys, _) = crossbeam_channel::bounded(1);
        std::mem::forget(std::mem::replace(&mut self.pill, nobodys));
        std::mem::forget(std::mem::replace(&mut self.ended, crossbeam_channel::never()));
    }
}

impl Database {
    /// Bytes of the log beside the profile. A close merges it, unless somebody reads the file.
    fn log_bytes(&self) -> u64 {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        Path::new(&log).metadata().map_or(0, |log| log.len())
    }
}

impl Marks for WriterState {
    fn take_id(&self) -> u64 {
        self.marks.take_id()
    }

    fn send(&self, mark: Mark) -> Result<(), NoRoom> {
        self.marks.send(mark).map_err(|_full| NoRoom)
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
