//! From settings to a profiler that records.

use super::builder::ProfilerBuilder;
use super::profiler::Profiler;
use crate::error::Error;

impl ProfilerBuilder {
    /// Opens the database, allocates ring and tables, and starts the writer thread. (Of a recording that is
    /// `collected`: makes the ring file.)
    ///
    /// # Errors
    ///
    /// A setting out of range, or one that takes more memory than there is
    /// ([`ErrorKind::InvalidOption`](crate::ErrorKind::InvalidOption)), a database that cannot be opened
    /// ([`ErrorKind::Storage`](crate::ErrorKind::Storage); nothing on disk was changed), a ring file that cannot be
    /// made, or a thread that cannot be started.
    /// The program can go on without a profiler.
    ///
    /// # Blocking
    ///
    /// For the time that it takes to open or make a database, usually some milliseconds. If a process that recorded into
    /// it with `crash_proof` has died, what that had left is stored first: ids of this recording
    /// have to be above those, and half a second is what a full ring of the usual size takes, a second if there
    /// are spans in it that were open for long.
    pub fn build(self) -> Result<Profiler, Error> {
        Profiler::start(self)
    }
}

impl Profiler {
    fn start(builder: ProfilerBuilder) -> Result<Self, Error> {
        let has_process_gauges = builder.process_gauges;
        let profiler = Self::start_somewhere(builder)?;
        #[cfg(feature = "gauges")]
        if has_process_gauges {
            profiler.sample_process();
        }
        _ = has_process_gauges;
        Ok(profiler)
    }

    fn start_somewhere(builder: ProfilerBuilder) -> Result<Self, Error> {
        #[cfg(feature = "collected")]
        if let Some(folder) = builder.collected.clone() {
            return Self::start_collected(builder, folder);
        }
        Self::start_with_database(builder)
    }

    #[cfg(not(feature = "database"))]
    fn start_with_database(_: ProfilerBuilder) -> Result<Self, Error> {
        let message = "there is nowhere to record to: this program was built without a database, so name the folder of \
                       a collector (`ProfilerBuilder::collected`)";
        Err(Error::new(crate::ErrorKind::InvalidOption, message))
    }
}
