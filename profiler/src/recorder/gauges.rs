//! Gauges by their small numbers, and their names.
//!
//! Where the ring lies in a file, a name is appended there before anybody has the number, as with callsites.

/// Most gauges of a recording.
pub(crate) const GAUGES_MAX: usize = 1_024;

#[cfg(feature = "gauges")]
mod recorded {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::GAUGES_MAX;
    use crate::mutex::Mutex;
    use crate::recorder::names::Names;

    /// What a recording knows of its gauges.
    #[derive(Debug)]
    pub(crate) struct Gauges {
        names: Names,
        /// By number.
        known: Mutex<Vec<Arc<str>>>,
        refused: AtomicU64,
    }

    impl Gauges {
        pub(crate) fn new(names: Names) -> Self {
            Self { names, known: Mutex::default(), refused: AtomicU64::new(0) }
        }

        /// The number of a new gauge; `None` if there are too many, or there is no room for its name. Only one thread at a
        /// time may call this.
        pub(crate) fn add(&self, name: &Arc<str>) -> Option<u32> {
            let mut known = self.known.lock()?;
            let number = u32::try_from(known.len()).ok().filter(|_| known.len() < GAUGES_MAX)?;
            self.names.add_gauge(number, name).then(|| {
                known.push(Arc::clone(name));
                number
            })
        }

        pub(crate) fn name(&self, number: u32) -> Option<Arc<str>> {
            self.known.lock()?.get(number as usize).cloned()
        }

        /// Somebody has asked for one that could not be had.
        pub(crate) fn refuse(&self) {
            // Relaxed, here and below: a count.
            self.refused.fetch_add(1, Ordering::Relaxed);
        }

        pub(crate) fn refused(&self) -> u64 {
            self.refused.load(Ordering::Relaxed)
        }
    }
}

#[cfg(feature = "gauges")]
pub(crate) use recorded::Gauges;
