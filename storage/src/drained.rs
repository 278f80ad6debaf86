//! How far the rings of processes are stored, where they lie in files.
//!
//! The position is written in the transaction of the rows: a process that is killed while it stores what a ring
//! has leaves either both or neither. So nothing is lost, and nothing is stored twice. What the file of the ring says
//! of its own position counts only where the profile has no row for it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;
use crate::read_only::ReadOnly;
use crate::record::{DrainedRow, RingId};
use crate::schema;

/// Stands in the place of a partition's number when nothing of the ring is needed any more.
const ALL: i64 = -1;

/// SQL: whether nothing more comes into a run. What says that it has crashed is written with the last of its rows.
const HAS_ENDED: &str = "(ended_unix_ns IS NOT NULL
    OR (json_valid(report) AND coalesce(report ->> '$.crashed', 0) = 1))";

/// The file of a ring is gone.
pub(crate) fn forget(tx: &Connection, ring: &RingId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM main.drained WHERE ring = ?1";
    tx.execute(sql, [ring.as_slice()]).map(drop)
}

/// The same of all rings whose runs have ended, as their rows say for good.
pub(crate) fn forget_ended(tx: &Connection) -> rusqlite::Result<()> {
    let sql = format!(
        "DELETE FROM main.drained
         WHERE lower(hex(ring)) IN (SELECT uuid FROM main.run WHERE {HAS_ENDED})"
    );
    tx.execute(&sql, []).map(drop)
}

pub(crate) fn store(tx: &Connection, drained: &[DrainedRow]) -> rusqlite::Result<()> {
    if drained.is_empty() {
        return Ok(());
    }
    let mut upsert = tx.prepare(
        "INSERT INTO main.drained (ring, partition, position) VALUES (?1, ?2, ?3)
         ON CONFLICT (ring, partition) DO UPDATE SET position = max(position, excluded.position)",
    )?;
    for DrainedRow { ring, partition, position } in drained {
        let partition = partition.map_or(ALL, i64::from);
        let position = i64::try_from(*position).unwrap_or(i64::MAX);
        upsert.execute(params![ring.as_slice(), partition, position])?;
    }
    Ok(())
}

pub(crate) fn read(conn: &Connection, ring: &RingId) -> rusqlite::Result<Vec<DrainedRow>> {
    let sql = "SELECT partition, position FROM main.drained WHERE ring = ?1";
    let mut query = conn.prepare(sql)?;
    let rows = query.query_map([ring.as_slice()], |row| {
        let (partition, position): (i64, i64) = (row.get(0)?, row.get(1)?);
        let position = u64::try_from(position).unwrap_or(0);
        Ok(DrainedRow { ring: *ring, partition: u32::try_from(partition).ok(), position })
    })?;
    rows.collect()
}

/// Whether the file has a run with this `uuid`, and if so whether that has ended, as
/// [`Store::has_ended`](crate::Store::has_ended) says it, for somebody who only reads.
///
/// # Errors
///
/// When the file cannot be read.
pub fn has_ended_in(file: &ReadOnly, uuid: &str) -> Result<Option<bool>, Error> {
    file.query("look for a run", |tx| has_ended(tx, uuid))
}

/// Whether any run has begun in the file.
///
/// # Errors
///
/// When the file cannot be read.
pub fn has_runs_in(file: &ReadOnly) -> Result<bool, Error> {
    file.query("look for runs", |tx| has_runs(tx))
}

pub(crate) fn has_runs(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT EXISTS (SELECT 1 FROM main.run)", [], |row| row.get(0))
}

/// The number of the run with this `uuid`, if the file has it.
///
/// # Errors
///
/// When the file cannot be read.
pub fn run_number_in(file: &ReadOnly, uuid: &str) -> Result<Option<i64>, Error> {
    file.query("look for a run", |tx| run_number(tx, uuid))
}

pub(crate) fn run_number(conn: &Connection, uuid: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM main.run WHERE uuid = ?1 ORDER BY id DESC";
    conn.query_row(sql, [uuid], |row| row.get(0)).optional()
}

pub(crate) fn has_ended(conn: &Connection, uuid: &str) -> rusqlite::Result<Option<bool>> {
    let sql = format!("SELECT {HAS_ENDED} FROM main.run WHERE uuid = ?1 ORDER BY id DESC");
    conn.query_row(&sql, [uuid], |row| row.get(0)).optional()
}

/// How far a ring is stored, as [`Store::drained`](crate::Store::drained) says it, for somebody who only reads.
/// Files of earlier versions say nothing.
///
/// # Errors
///
/// When the file cannot be read.
pub fn drained_in(file: &ReadOnly, ring: &RingId) -> Result<Vec<DrainedRow>, Error> {
    file.query("read how far a ring is stored", |tx| match schema::version(tx)? {
        ..4 => Ok(Vec::new()),
        _ => read(tx, ring),
    })
}
