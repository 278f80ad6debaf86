//! Deleting the oldest rows, in small steps. (first cut)
use rusqlite::{Connection, Transaction};

use crate::options::StoreOptions;

/// What a call of `prune` deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Span rows.
    pub spans: u64,
    /// Event rows.
    pub events: u64,
    /// Rollup rows.
    pub rollups: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

#[derive(Debug)]
pub(crate) struct Limits;

impl Limits {
    pub(crate) fn new(_options: &StoreOptions, _now_unix_ns: i64) -> Option<Self> {
        None
    }
}

pub(crate) fn prune(_tx: &Transaction<'_>, _limits: &Limits) -> rusqlite::Result<Pruned> {
    Ok(Pruned::default())
}

pub(crate) fn last_id(conn: &Connection) -> rusqlite::Result<u64> {
    let largest: i64 =
        conn.query_row("SELECT coalesce(max(last_id), 0) FROM run", [], |row| row.get(0))?;
    Ok(u64::try_from(largest).unwrap_or(0))
}
