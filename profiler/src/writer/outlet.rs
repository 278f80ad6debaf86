//! A ring through which the writer shows something to others in the same process. Nobody who reads holds the writer
//! up: who is too slow is overtaken, and told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spandrel_ring::broadcast::{self, BuildError, Overwriting, Park, Plain, Single};

use crate::mutex::Mutex;

pub(super) type Producer<T> = broadcast::Producer<T, Single, Park, Overwriting>;
pub(crate) type Reader<T> = broadcast::Reader<T, Single, Park, Overwriting>;
type Ring<T> = broadcast::Ring<T, Single, Park, Overwriting>;

/// A ring that is made when somebody asks for it first, and written while anybody reads.
#[derive(Debug)]
pub(crate) struct Outlet<T: Plain> {
    made: Mutex<Made<T>>,
    /// A producer waits for the writer.
    is_new: AtomicBool,
    /// What was shown so far, in whatever the writer counts.
    shown: Arc<AtomicU64>,
    /// Held by each who reads.
    watchers: Arc<()>,
}

#[derive(Debug)]
struct Made<T: Plain> {
    ring: Option<Ring<T>>,
    /// Until the writer takes it.
    producer: Option<Producer<T>>,
    /// The writer has ended.
    has_ended: bool,
}

/// The end of an outlet that reads.
#[derive(Debug)]
pub(crate) struct Watch<T: Plain> {
    pub(crate) reader: Reader<T>,
    /// What had been shown when it began.
    pub(crate) begin: u64,
    /// What has been shown since, too.
    pub(crate) shown: Arc<AtomicU64>,
    _watcher: Arc<()>,
}

/// Why nobody can watch.
#[derive(Debug)]
pub(crate) enum NoWatch {
    /// The writer has ended, or this is not its process.
    Ended,
    Refused(BuildError),
}

impl<T: Plain> Default for Outlet<T> {
    fn default() -> Self {
        Self {
            made: Mutex::default(),
            is_new: AtomicBool::new(false),
            shown: Arc::default(),
            watchers: Arc::default(),
        }
    }
}

impl<T: Plain> Default for Made<T> {
    fn default() -> Self {
        Self { ring: None, producer: None, has_ended: false }
    }
}

impl<T: Plain + Default> Outlet<T> {
    /// Sees what the writer shows from now on, through a ring of so many slots.
    pub(crate) fn watch(&self, slots: usize) -> Result<Watch<T>, NoWatch> {
        let is_made = self.made.lock().ok_or(NoWatch::Ended)?.ring.is_some();
        // Not under the lock, for which the writer may wait.
        let new = match is_made {
            true => None,
            false => {
                let ring = broadcast::ring(slots).single().wait(Park::default()).overwriting();
                Some(ring.build().map_err(NoWatch::Refused)?)
            }
        };
        // Before it reads: the writer shows all that comes behind what it reads first.
        let watcher = Arc::clone(&self.watchers);
        let mut made = self.made.lock().ok_or(NoWatch::Ended)?;
        if made.has_ended {
            return Err(NoWatch::Ended);
        }
        if made.ring.is_none()
            && let Some((producer, ring)) = new
        {
            (made.ring, made.producer) = (Some(ring), Some(producer));
            self.is_new.store(true, Ordering::Relaxed); // the lock publishes the producer
        }
        let Some(ring) = &made.ring else { return Err(NoWatch::Ended) };
        // The writer counts before it publishes. If the count has not changed, what has a larger number is behind
        // the position at which the reader begins.
        loop {
            let begin = self.shown.load(Ordering::Acquire);
            let reader = ring.reader();
            if self.shown.load(Ordering::Acquire) == begin {
                let shown = Arc::clone(&self.shown);
                return Ok(Watch { reader, begin, shown, _watcher: watcher });
            }
        }
    }
}

impl<T: Plain> Outlet<T> {
    /// Whether anybody reads.
    pub(super) fn is_watched(&self) -> bool {
        Arc::strong_count(&self.watchers) > 1
    }

    /// For the writer, which writes by it from now on; nearly always none.
    pub(super) fn take_producer(&self) -> Option<Producer<T>> {
        if !self.is_new.load(Ordering::Relaxed) {
            return None;
        }
        let producer = self.made.lock()?.producer.take();
        self.is_new.store(false, Ordering::Relaxed);
        producer
    }

    /// The writer is about to show the next ones, up to this number.
    pub(super) fn count(&self, shown: u64) {
        self.shown.store(shown, Ordering::Release);
    }

    /// The writer has ended: nobody can watch any more, and who reads is told.
    pub(super) fn end(&self) {
        if let Some(mut made) = self.made.lock() {
            made.has_ended = true;
            made.producer = None;
        }
    }
}
