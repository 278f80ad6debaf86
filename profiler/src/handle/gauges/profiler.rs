//! How a program comes by its gauges.

use super::gauge::Gauge;
use super::process::ProcessSampler;
use super::samples::Samples;
use crate::handle::profiler::Profiler;

impl Profiler {
    /// A value under a name, such as the length of a queue or how many connections there are. It is stored in table `gauge`:
    /// once an interval in which it was set ([`ProfilerBuilder::gauge_interval`](crate::ProfilerBuilder::gauge_interval)), with the last value and how often it was
    /// set.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "database")] {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// profiler.gauge("queue_depth").set(42);
    /// let depth = profiler.gauge("queue_depth"); // the same
    /// depth.add(-2);
    /// assert_eq!(depth.get(), Some(40.0));
    /// assert_eq!(profiler.close()?.gauges.stored, 1);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// There may be 1,024 of them; what is asked for beyond that is not recorded, and counted in
    /// [`Stats::gauges_refused`](crate::Stats::gauges_refused). A name of more than 256 bytes is cut. The first one starts two threads: a program without
    /// gauges has none of them.
    ///
    /// # Blocking
    ///
    /// Never for a name that is known: it is found without a lock or an allocation, in some hundred instructions; keep the
    /// gauge where that matters. A new name takes a lock and memory.
    #[inline]
    #[must_use = "set it"]
    pub fn gauge(&self, name: &str) -> Gauge {
        Gauge(self.handle.as_ref().and_then(|handle| handle.gauges.gauge(name)))
    }

    /// Has a function called once an interval, until the close, to set gauges of what can be asked at any time. It runs on
    /// a thread of the gauges.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "database")] {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("profile.db");
    /// let profiler = spandrel::Profiler::builder().database(&path).build()?;
    /// let (jobs, next) = std::sync::mpsc::sync_channel::<u32>(8);
    /// let held = std::sync::Arc::new(());
    /// let watched = std::sync::Arc::clone(&held);
    /// profiler.sample(move |gauges| gauges.set("holders", std::sync::Arc::strong_count(&watched)));
    /// # drop((jobs, next));
    /// assert_eq!(profiler.close()?.gauges.stored, 1); // the last time at the close
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// One that panics is not called again. While one hangs, gauges that are set elsewhere are recorded all the same. It
    /// should not own the profiler, which would never be dropped then.
    pub fn sample(&self, sampler: impl FnMut(&mut Samples<'_>) + Send + 'static) {
        if let Some(handle) = &self.handle {
            handle.gauges.add_sampler(Box::new(sampler));
        }
    }

    /// What the system says of this process.
    pub(in crate::handle) fn sample_process(&self) {
        let mut sampler = ProcessSampler::default();
        self.sample(move |gauges| sampler.sample(gauges));
    }
}
