//! From settings to a profiler that records.

use super::builder::ProfilerBuilder;
use super::profiler::Profiler;
use crate::error::Error;

impl ProfilerBuilder {
    /// Opens the database, allocates ring and tables, and starts the writer thread.
    ///
    /// # Errors
    ///
    /// A setting out of range, or one that takes more memory than there is
    /// ([`ErrorKind::InvalidOption`](crate::ErrorKind::InvalidOption)), a database that cannot be opened
    /// ([`ErrorKind::Storage`](crate::ErrorKind::Storage); nothing on disk was changed), or a thread that cannot be started.
    /// The program can go on without a profiler.
    ///
    /// # Blocking
    ///
    /// For the time that it takes to open or make a database, usually some milliseconds.
    pub fn build(self) -> Result<Profiler, Error> {
        Profiler::start(self)
    }
}

impl Profiler {
    #[cfg(feature = "database")]
    fn start(builder: ProfilerBuilder) -> Result<Self, Error> {
        Self::start_with_database(builder)
    }

    #[cfg(not(feature = "database"))]
    fn start(builder: ProfilerBuilder) -> Result<Self, Error> {
        builder.check(None)?;
        builder.rule()?;
        Err(Error::new(crate::ErrorKind::InvalidOption, "there is nowhere to record to"))
    }
}
