//! Closed spans, seen in the program itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spandrel_ring::broadcast;
use spandrel_storage::after;

use super::read_error::ReadError;
use super::tapped_span::TappedSpan;
use crate::error::{Error, ErrorKind};
use crate::handle::profiler::Profiler;
use crate::recorder::Recorder;
use crate::writer::closed_span_parts::{Assembly, ClosedSpan, Part};
use crate::writer::outlet::{NoWatch, Outlet, Watch};
use crate::writer::outlets::SPAN_SLOTS;

impl Profiler {
    /// Sees each span that closes from now on, in the program itself: for tests that assert on spans, live views and
    /// metrics.
    ///
    /// A span is seen when the writer converts it, with its times and status as they are stored: after
    /// [`flush_interval`](crate::ProfilerBuilder::flush_interval) at the latest if nothing delays the writer, or after a
    /// [`flush`](Self::flush). It may be lost all the same afterwards, as when the disk is full. Spans that are open at
    /// the end are not seen.
    ///
    /// A tap holds nobody up: it reads from a ring of 2 MiB, has some ten thousand spans' time, and
    /// is told how many it has [missed](ReadError::Overtaken). While no tap is there nothing is done for them. There may be
    /// several; each sees everything.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use tracing_subscriber::prelude::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// let subscriber = tracing_subscriber::registry().with(profiler.layer());
    /// # tracing::subscriber::with_default(subscriber, || -> Result<(), spandrel::Error> {
    ///
    /// let mut tap = profiler.tap()?;
    /// tracing::info_span!("parse", rows = 3).in_scope(|| ());
    /// profiler.flush(Duration::from_secs(5))?;
    /// assert!(tap.take().iter().any(|span| span.name() == "parse" && span.field("rows") == Some("3")));
    /// # Ok(())
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What reads a tap should record no span for each that it sees, or it sees spans for ever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] when the profiler is closed or switched off, [`ErrorKind::Forked`] in a forked child,
    /// [`ErrorKind::InvalidOption`] where it is `spandrel collect` that writes the profile, or the ring's memory cannot
    /// be had.
    ///
    /// # Blocking
    ///
    /// Never for long: the first one allocates the ring.
    pub fn tap(&self) -> Result<Tap, Error> {
        let (recorder, watch) = self.watch("tap", SPAN_SLOTS, |outlets| &outlets.spans_shown)?;
        Ok(Tap {
            recorder,
            next: watch.begin,
            watch,
            assembly: Assembly::default(),
            found: None,
            missed: 0,
            pid: std::process::id(),
        })
    }

    /// Watches one of the writer's outlets.
    pub(super) fn watch<T: broadcast::Plain + Default>(
        &self,
        doing: &str,
        slots: usize,
        outlet: impl Fn(&crate::writer::WriterState) -> &Outlet<T>,
    ) -> Result<(Arc<Recorder>, Watch<T>), Error> {
        let closed = |why: &str| Error::new(ErrorKind::Closed, format!("cannot {doing}: {why}"));
        let Some(handle) = &self.handle else {
            return Err(closed("the profiler is switched off"));
        };
        handle.check_not_forked(doing)?;
        let Some(state) = handle.backend.writer() else {
            let message = format!(
                "cannot {doing}: it is `spandrel collect` that sees the spans; read the profile that it writes"
            );
            return Err(Error::new(ErrorKind::InvalidOption, message));
        };
        let watch = outlet(state).watch(slots).map_err(|error| match error {
            NoWatch::Ended => closed("the profiler is closed"),
            NoWatch::Refused(error) => {
                Error::new(ErrorKind::InvalidOption, format!("cannot {doing}: {error}"))
                    .with_source(error)
            }
        })?;
        Ok((Arc::clone(&handle.recorder), watch))
    }
}

/// Sees closed spans; see [`Profiler::tap`].
///
/// It may be sent to another thread, and outlive the profiler's handles. When the profiler is closed it still has what
/// was shown before.
#[derive(Debug)]
pub struct Tap {
    recorder: Arc<Recorder>,
    watch: Watch<Part>,
    assembly: Assembly,
    /// A span that comes behind those that were missed, with its number.
    found: Option<(u64, ClosedSpan)>,
    /// The number of the next span that it expects.
    next: u64,
    missed: u64,
    /// The process that it belongs to.
    pid: u32,
}

impl Tap {
    /// The next span.
    ///
    /// # Errors
    ///
    /// [`ReadError::Empty`] if none has been shown yet; else as [`read`](Self::read).
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn try_read(&mut self) -> Result<TappedSpan, ReadError> {
        self.read_by(|tap| tap.watch.reader.try_read())
    }

    /// The next span, when there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError::Overtaken`] with the number of spans that it has missed, behind which the next call reads;
    /// [`ReadError::TimedOut`]; [`ReadError::Closed`] when the profiler is closed and everything was read;
    /// [`ReadError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// Up to `timeout`.
    pub fn read(&mut self, timeout: Duration) -> Result<TappedSpan, ReadError> {
        let until = after(Instant::now(), timeout);
        self.read_by(|tap| tap.watch.reader.read(until.saturating_duration_since(Instant::now())))
    }

    /// All spans that there are now. Those that it missed are in [`missed`](Self::missed).
    ///
    /// # Blocking
    ///
    /// Never. If spans are shown faster than they are read, it ends with those that there were when it was called.
    pub fn take(&mut self) -> Vec<TappedSpan> {
        let mut spans = Vec::new();
        let end = self.watch.shown.load(Ordering::Acquire);
        while self.next < end {
            match self.try_read() {
                Ok(span) => spans.push(span),
                Err(ReadError::Overtaken(_)) => {}
                Err(_) => break,
            }
        }
        spans
    }

    /// How many spans it has missed since it began.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn read_by(
        &mut self,
        mut part: impl FnMut(&mut Self) -> Result<Part, broadcast::ReadError>,
    ) -> Result<TappedSpan, ReadError> {
        // The locks of the ring may be held by a thread that is not in this process.
        if std::process::id() != self.pid {
            return Err(ReadError::Forked);
        }
        loop {
            if let Some((number, span)) = self.found.take() {
                if let Some(missed) = self.miss_up_to(number) {
                    self.found = Some((number, span));
                    return Err(missed);
                }
                self.next = self.next.max(number + 1);
                let callsite = self.recorder.callsites.metadata(span.callsite);
                return Ok(TappedSpan::new(callsite, span));
            }
            match part(self) {
                Ok(part) => self.found = self.assembly.add(&part),
                // How many spans that were is known when the next one is read.
                Err(broadcast::ReadError::Overtaken(_)) => self.assembly.begin_anew(),
                Err(broadcast::ReadError::Closed) => {
                    let end = self.watch.shown.load(Ordering::Acquire);
                    return Err(self.miss_up_to(end).unwrap_or(ReadError::Closed));
                }
                Err(broadcast::ReadError::Empty) => return Err(ReadError::Empty),
                Err(_) => return Err(ReadError::TimedOut),
            }
        }
    }

    /// Spans up to this number will not be read any more. If there are any, says so.
    fn miss_up_to(&mut self, number: u64) -> Option<ReadError> {
        let missed = number.saturating_sub(self.next);
        self.next += missed;
        self.missed += missed;
        (missed > 0).then_some(ReadError::Overtaken(missed))
    }
}
