//! Finds out from the profile why nobody takes requests.

use std::path::Path;

use rusqlite::OptionalExtension;

use crate::error::{Error, ErrorKind};
use crate::read_only::ReadOnly;

const HAS_ENDED: &str = "no program is recording into this profile; start the application with it";
/// Whether the process of a run without an end is still there is not known here.
const NOT_KNOWN: &str = "no program takes requests for this profile: the one that recorded into it was \
                         killed, was started with SPANDREL_CONTROL=0, or is just about to begin";

/// The error for a profile without a file for requests, or with one that is just being made.
pub(super) fn nobody_listens(profile: &Path) -> Error {
    match is_over(profile) {
        Ok(is_over) => {
            let message = if is_over { HAS_ENDED } else { NOT_KNOWN };
            Error::new(ErrorKind::NotAnswering, profile, message)
        }
        // It is damaged, or somebody else's.
        Err(error) => error,
    }
}

/// The error for a profile into which certainly nobody records.
pub(super) fn has_ended(profile: &Path) -> Option<Error> {
    let is_over = is_over(profile).unwrap_or(false);
    is_over.then(|| Error::new(ErrorKind::NotAnswering, profile, HAS_ENDED))
}

/// Whether the last run has ended.
fn is_over(profile: &Path) -> Result<bool, Error> {
    let sql = "SELECT ended_unix_ns IS NOT NULL FROM run ORDER BY id DESC LIMIT 1";
    ReadOnly::open(profile)?.query("read the runs", |tx| {
        Ok(tx.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(false))
    })
}
