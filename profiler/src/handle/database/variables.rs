//! Settings of a recording into a database, from environment variables.

use std::time::Duration;

use crate::error::Error;
#[cfg(not(feature = "crash-proof"))]
use crate::error::ErrorKind;
use crate::handle::builder::ProfilerBuilder;
use crate::handle::variables::Variables;

/// A builder with these settings; `None` if no database is named.
pub(in crate::handle) fn builder(from: &Variables<'_>) -> Result<Option<ProfilerBuilder>, Error> {
    let Some(database) = from.get("SPANDREL_DB") else { return Ok(None) };
    let mut builder = ProfilerBuilder::default().database(database);
    if let Some(records) = from.number("SPANDREL_BATCH_SIZE")? {
        builder = builder.batch_size(records);
    }
    if let Some(ms) = from.number("SPANDREL_FLUSH_INTERVAL_MS")? {
        builder = builder.flush_interval(Duration::from_millis(ms as u64));
    }
    if let Some(bytes) = from.number("SPANDREL_MAX_BYTES")? {
        builder = builder.max_bytes(bytes as u64);
    }
    if let Some(seconds) = from.number("SPANDREL_MAX_AGE_S")? {
        builder = builder.max_age(Duration::from_secs(seconds as u64));
    }
    if let Some(listen) = from.switch("SPANDREL_CONTROL")? {
        builder = builder.control(listen);
    }
    if let Some(may_read) = from.switch("SPANDREL_LIVE_READERS")? {
        builder = builder.live_readers(may_read);
    }
    if let Some(outlives) = from.switch("SPANDREL_CRASH_PROOF")? {
        builder = crash_proof(builder, outlives)?;
    }
    Ok(Some(builder))
}

#[cfg(feature = "crash-proof")]
fn crash_proof(builder: ProfilerBuilder, outlives: bool) -> Result<ProfilerBuilder, Error> {
    Ok(builder.crash_proof(outlives))
}

#[cfg(not(feature = "crash-proof"))]
fn crash_proof(builder: ProfilerBuilder, outlives: bool) -> Result<ProfilerBuilder, Error> {
    if outlives {
        let message = "SPANDREL_CRASH_PROOF is set, and this program was built without that: give its dependency on \
                       spandrel the feature `crash-proof`, or unset the variable";
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    Ok(builder)
}
