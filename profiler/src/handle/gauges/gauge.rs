//! A gauge, as the program holds it.

use std::fmt;
use std::sync::Arc;

use super::sampling::Known;
use super::value::GaugeValue;

/// A named value that goes up and down, such as the length of a queue; see [`Profiler::gauge`](crate::Profiler::gauge).
///
/// Cheap to clone; all gauges of a name are the same. It may outlive the profiler: what is set after the close is not
/// recorded.
#[derive(Clone)]
pub struct Gauge(pub(super) Option<Arc<Known>>);

impl Gauge {
    /// Sets it. Of all values between two samples the last one is recorded, with how many there were. What is not a number
    /// is recorded as NULL.
    ///
    /// # Blocking
    ///
    /// Never: two atomic instructions; and for the first value after a sample a lock that is held for some hundred
    /// instructions. No memory is allocated, once there is a gauge. In a forked child the value is set, and not recorded. A
    /// signal handler should not call this, because of the lock.
    #[inline]
    pub fn set(&self, value: impl GaugeValue) {
        if let Some(known) = &self.0
            && known.cell.set(value.to_f64())
        {
            known.see_to();
        }
    }

    /// Adds to it, also a negative number. Threads that add at the same time lose nothing.
    ///
    /// # Blocking
    ///
    /// As [`set`](Self::set); but a thread adds anew if another one was faster.
    #[inline]
    pub fn add(&self, more: impl GaugeValue) {
        if let Some(known) = &self.0
            && known.cell.add(more.to_f64())
        {
            known.see_to();
        }
    }

    /// The value; `None` if it was never set, or is not recorded.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        self.0.as_ref()?.cell.get()
    }

    /// Whether what is set is recorded. It is not if the profiler is switched off, was closed before, or belongs to the
    /// parent of this process; if there were 1,024 other gauges; or if the threads for it could not be started.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }
}

impl Known {
    #[cold]
    fn see_to(&self) {
        if let Some(sampling) = self.sampling.upgrade() {
            sampling.see_to(self);
        }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_ref().map(|known| &*known.name);
        f.debug_struct("Gauge").field("name", &name).field("value", &self.get()).finish()
    }
}
