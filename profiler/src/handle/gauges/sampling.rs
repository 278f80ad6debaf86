//! From gauges that were set to records of their values.
//!
//! Whoever sets a gauge that was not set since its last sample puts its number into a [`Map`]; whoever sets it again
//! before the next one changes the [`Cell`](super::cell::Cell) alone. So a lock is taken once a gauge and interval at most, and what
//! costs is two atomic instructions. When the interval is over, a thread of the map records what the cells have come to.
//! It also calls the program's own [`Sampler`]s: while there are any, a key of their own waits in the map.
//!
//! A flush, and the close, record what has changed themselves, so that they do not wait for a sampler that hangs.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use spandrel_ring::buffer::{ALL, Batch, Map, Options, Update};

use super::samples::{Sampler, Samplers, Samples};
use super::table::{self, Table};
use crate::mutex::Mutex;
use crate::panics;
use crate::recorder::Recorder;
use crate::recorder::gauges::GAUGES_MAX;
use crate::recorder::mark;

/// The key that waits while there are samplers: no gauge has this number.
const SAMPLERS: u32 = u32::MAX;
/// A sampler that takes longer no longer holds up the gauges; it is called again when it has returned.
const SAMPLER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a close waits for one.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What all gauges of a recording share. Nothing of it is there before the first one.
#[derive(Debug)]
pub(crate) struct Sampling {
    recorder: Arc<Recorder>,
    interval: Duration,
    /// The process that it belongs to: a forked child has none of its threads, and perhaps a lock that nobody gives back.
    pid: u32,
    begun: OnceLock<Option<Begun>>,
    /// One thread at a time adds a gauge.
    adding: Mutex<()>,
    samplers: Mutex<Samplers>,
}

/// A gauge.
pub(super) type Known = table::Known<Sampling>;

struct Begun {
    table: Table<Sampling>,
    map: Map<u32, ()>,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("map", &self.map).finish_non_exhaustive()
    }
}

impl Sampling {
    pub(crate) fn new(recorder: &Arc<Recorder>, interval: Duration) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::clone(recorder),
            interval,
            pid: std::process::id(),
            begun: OnceLock::new(),
            adding: Mutex::default(),
            samplers: Mutex::new(Samplers(Vec::new())),
        })
    }

    /// The gauge of this name, which is a new one perhaps.
    #[inline]
    pub(super) fn gauge(self: &Arc<Self>, name: &str) -> Option<Arc<Known>> {
        let known = self.begun.get().and_then(Option::as_ref).and_then(|it| it.table.find(name));
        match known {
            Some(known) => Some(Arc::clone(known)),
            None => self.add(name),
        }
    }

    #[cold]
    fn add(self: &Arc<Self>, name: &str) -> Option<Arc<Known>> {
        if self.is_over() {
            return None;
        }
        let added = self.begin().and_then(|begun| {
            let name: Arc<str> = mark::cut_str(name).into();
            let _one_at_a_time = self.adding.lock()?;
            if let Some(known) = begun.table.find(&name) {
                return Some(Arc::clone(known));
            }
            let number = self.recorder.gauges.add(&name)?;
            let known = Arc::new(Known::new(number, name, Arc::downgrade(self)));
            begun.table.add(&known);
            Some(known)
        });
        if added.is_none() {
            self.recorder.gauges.refuse();
        }
        added
    }

    /// Whether nothing is recorded any more, or not by this process.
    fn is_over(&self) -> bool {
        std::process::id() != self.pid || self.recorder.ring.is_closed()
    }

    /// Starts the threads, if that was not done. `None` if there are none to be had.
    fn begin(self: &Arc<Self>) -> Option<&Begun> {
        self.begun.get_or_init(|| Begun::start(self)).as_ref()
    }

    /// A gauge was set that nobody has seen to.
    #[cold]
    pub(super) fn see_to(&self, known: &Known) {
        if let Some(Some(begun)) = self.begun.get()
            && std::process::id() == self.pid
        {
            // There is room for all. After the close nothing is taken, nor recorded.
            _ = begun.map.put(known.number, ());
        }
    }

    /// Has this called once an interval, from now on.
    pub(super) fn add_sampler(self: &Arc<Self>, sampler: Sampler) {
        if self.is_over() {
            return;
        }
        if let Some(mut samplers) = self.samplers.lock() {
            samplers.0.push(sampler);
        }
        if let Some(begun) = self.begin() {
            // As above.
            _ = begun.map.put(SAMPLERS, ());
        }
    }

    /// Records all gauges that have changed.
    pub(crate) fn record_all(&self) {
        if let Some(Some(begun)) = self.begun.get()
            && !self.is_over()
        {
            begun.table.all().for_each(|known| self.record(known));
        }
    }

    /// Records the rest, and ends the threads. Not in a forked child.
    pub(crate) fn close(&self) {
        let Some(Some(begun)) = self.begun.get() else { return };
        // What is still with a sampler that hangs is recorded below.
        _ = begun.map.close(CLOSE_TIMEOUT);
        self.record_all();
    }

    /// What the map's thread does when an interval is over.
    fn process(self: &Arc<Self>, batch: &Batch<Update<u32, ()>>) {
        let Some(Some(begun)) = self.begun.get() else { return };
        let mut has_samplers = false;
        for update in batch.iter() {
            match begun.table.get(update.key) {
                Some(known) => self.record(known),
                None => has_samplers = true,
            }
        }
        if has_samplers {
            self.call_samplers();
            // As in `see_to`.
            _ = begun.map.put(SAMPLERS, ());
        }
    }

    /// Without a lock, since they are the program's. One that panics is not called again.
    fn call_samplers(self: &Arc<Self>) {
        let Some(mut called) = self.samplers.lock().map(|mut all| std::mem::take(&mut all.0))
        else {
            return;
        };
        called.retain_mut(|sampler| {
            let mut record = |name: &str, value| self.sample(name, value);
            panics::catch(|| sampler(&mut Samples::new(&mut record))).is_ok()
        });
        if let Some(mut samplers) = self.samplers.lock() {
            // Behind those that came meanwhile is as good a place.
            samplers.0.append(&mut called);
        }
    }

    /// The gauge of a sampler, and the record of its value.
    fn sample(self: &Arc<Self>, name: &str, value: f64) {
        if let Some(known) = self.gauge(name) {
            known.cell.set_now(value);
            self.record(&known);
        }
    }

    /// Records what a gauge has come to, if it has changed.
    fn record(&self, known: &Known) {
        let (value, version) = known.cell.take();
        // Relaxed: of two that record it at once, the one with more changes wins; nothing else is handed over.
        let before = known.recorded.fetch_max(version, Ordering::Relaxed);
        if version > before {
            self.recorder.record_gauge(known.number, value, version, version - before);
        }
    }
}

impl Begun {
    fn start(sampling: &Arc<Sampling>) -> Option<Self> {
        // Not an owner: who has the gauges ends the threads.
        let sampling_then = Arc::downgrade(sampling);
        let options = Options::new()
            .name("spandrel-gauges")
            .batch_size(ALL)
            .interval(sampling.interval)
            .time_out(SAMPLER_TIMEOUT)
            .dead_letters_max(0)
            .partitions(1)
            .capacity(4 * GAUGES_MAX);
        let map = Map::builder().options(options).start(move |batch| {
            if let Some(sampling) = sampling_then.upgrade() {
                sampling.process(batch);
            }
            Ok::<(), Infallible>(())
        });
        Some(Self { table: Table::new(), map: map.ok()? })
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        if std::process::id() != self.pid {
            // Another thread of the parent may have had a lock of the map at the fork.
            std::mem::forget(self.begun.take());
        }
    }
}
