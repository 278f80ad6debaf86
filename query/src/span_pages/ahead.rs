//! Other threads read rows ahead; they are handed out in order of id.
//!
//! ```text
//!  range of ids, cut where leaves end:   | 0 | 1 | 2 | 3 | ...
//!  thread 0 reads 0, 2, 4 ... into batches --queue--> the calling thread takes those of 0, 1, 2, ... in turn
//!  thread 1 reads 1, 3, 5 ...              --queue-->
//! ```
//!
//! All threads read pages in the transaction of the calling thread, which does the rest: names, filters, sums. So the
//! result does not depend on the number of threads. Batches are reused, and queues are short.
//!
//! A program that begins to record into the file has to wait for that transaction. So it is replaced from time to
//! time, and meanwhile ([`Pause`]) no thread reads a page.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use super::{Ended, PageQuery, SpanPages};
use crate::id_range::Range;
use crate::raw_span::RawSpan;
use crate::workers::ReadAhead;

/// Full batches that wait in a queue.
const QUEUE: usize = 3;
/// With fewer parts, one thread reads all.
const PARTS_MIN: usize = 4;

/// What the caller is told.
pub(crate) enum ReadAheadEvent<'a> {
    /// A row, and its fields.
    Row(&'a RawSpan, Option<&'a str>),
    /// This many rows were read since the last such event; reading can be paused now.
    LookedAt(u64, &'a Pause),
}

/// A lock that pauses the reading threads.
pub(crate) struct Pause(RwLock<()>);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(()))
    }

    /// Pauses all reading while the guard lives.
    pub(crate) fn begin(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some rows.
struct Batch {
    rows: Vec<RawSpan>,
    /// Start and end of the fields of each row in `text`; only if fields are read.
    fields: Vec<Option<(usize, usize)>>,
    text: String,
    /// The last id that was read; below, how many rows were.
    after: i64,
    looked_at: u64,
    ended: Ended,
}

impl Batch {
    fn new() -> Self {
        let (rows, fields, text) = (Vec::new(), Vec::new(), String::new());
        Self { rows, fields, text, after: 0, looked_at: 0, ended: Ended::All }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.fields.clear();
        self.text.clear();
    }

    fn push(&mut self, span: &RawSpan, fields: Option<&str>) {
        if let Some(fields) = fields {
            // The rows before had none.
            self.fields.resize(self.rows.len(), None);
            let from = self.text.len();
            self.text.push_str(fields);
            self.fields.push(Some((from, self.text.len())));
        }
        self.rows.push(*span);
    }

    fn fields(&self, at: usize) -> Option<&str> {
        let (from, to) = (*self.fields.get(at)?)?;
        self.text.get(from..to)
    }
}

impl SpanPages<'_> {
    /// Calls `each` for all rows of a range and removes them from it, as [`PageRows::read`](super::PageRows::read)
    /// does. `None` where threads are not worth it, or cannot be started.
    pub(crate) fn read_ahead<E>(
        &self,
        ahead: &ReadAhead,
        range: &mut Range,
        wanted: &PageQuery<'_>,
        mut each: impl FnMut(ReadAheadEvent<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<Option<Ended>, E> {
        if ahead.threads == 0 {
            return Ok(None);
        }
        let parts = self.rows().parts(*range, ahead.leaves).unwrap_or_default();
        if parts.len() < PARTS_MIN {
            return Ok(None);
        }
        let pause = Pause::new();
        thread::scope(|scope| {
            let pause = &pause;
            let mut threads = Vec::new();
            for number in 0..ahead.threads {
                let (full, taken) = sync_channel(QUEUE);
                let (used, empty) = channel();
                let own = parts.iter().skip(number).step_by(ahead.threads);
                let read =
                    move || self.read_parts(own, ahead.rows, (wanted, pause), (&full, &empty));
                if thread::Builder::new().spawn_scoped(scope, read).is_err() {
                    return Ok(None);
                }
                threads.push((taken, used));
            }
            for (number, part) in parts.iter().enumerate() {
                let Some((taken, used)) = threads.get(number % ahead.threads) else { break };
                match take((taken, used), pause, range, &mut each)? {
                    Ended::All | Ended::Full => range.after = part.last,
                    ended => return Ok(Some(ended)),
                }
            }
            range.after = range.last;
            Ok(Some(Ended::All))
        })
    }

    /// Reads some parts into batches, until nobody takes them any more.
    fn read_parts<'p>(
        &self,
        parts: impl Iterator<Item = &'p Range>,
        rows_max: u32,
        (wanted, pause): (&PageQuery<'_>, &Pause),
        (full, empty): (&SyncSender<Batch>, &Receiver<Batch>),
    ) {
        let mut rows = self.rows();
        for part in parts {
            let mut range = *part;
            loop {
                let mut batch = empty.try_recv().unwrap_or_else(|_| Batch::new());
                batch.clear();
                let reading = pause.reading();
                let read = rows.read(&mut range, rows_max, wanted, |span, fields| {
                    batch.push(span, fields);
                    Ok::<_, std::convert::Infallible>(ControlFlow::Continue(()))
                });
                drop(reading);
                let Ok(ended) = read;
                batch.after = range.after;
                batch.looked_at = rows.looked_at();
                batch.ended = ended;
                if full.send(batch).is_err() || ended == Ended::Fallback {
                    return;
                }
                if ended != Ended::Full {
                    break;
                }
            }
        }
    }
}

/// Hands out the batches of a part.
fn take<E>(
    (taken, used): (&Receiver<Batch>, &Sender<Batch>),
    pause: &Pause,
    range: &mut Range,
    each: &mut impl FnMut(ReadAheadEvent<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<Ended, E> {
    loop {
        // A thread that has ended early has left the rest to the caller.
        let Ok(batch) = taken.recv() else { return Ok(Ended::Fallback) };
        for (at, span) in batch.rows.iter().enumerate() {
            if each(ReadAheadEvent::Row(span, batch.fields(at)))?.is_break() {
                return Ok(Ended::Stopped);
            }
        }
        range.after = batch.after;
        if each(ReadAheadEvent::LookedAt(batch.looked_at, pause))?.is_break() {
            return Ok(Ended::Stopped);
        }
        let ended = batch.ended;
        // If this fails, the thread has ended and needs no batches.
        let _ = used.send(batch);
        if ended != Ended::Full {
            return Ok(ended);
        }
    }
}
