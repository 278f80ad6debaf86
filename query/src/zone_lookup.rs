//! The zones (`zones.rs`) that a window of time touches.

use rusqlite::{Connection, params};

use super::Scan;
use super::id_range::Range;
use crate::indexes::{self, ZONES};

/// A zone in which spans of the window may have begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct TouchedZone {
    pub(super) first_id: i64,
    pub(super) last_id: i64,
    /// Start of its first span.
    pub(super) from_ns: i64,
    /// End of its last one.
    pub(super) end_ns: i64,
    /// Whether all of its spans began in the window.
    pub(super) is_inside: bool,
}

impl TouchedZone {
    pub(super) fn range(&self) -> Range {
        Range { after: self.first_id.saturating_sub(1), last: self.last_id }
    }
}

/// The zones of a scan's window in order of id; without a window, all zones of the run. `None` if the run has no
/// zones.
pub(super) fn touched_zones(
    conn: &Connection,
    scan: &Scan,
) -> rusqlite::Result<Option<Vec<TouchedZone>>> {
    if !indexes::present(conn)?.windows {
        return Ok(None);
    }
    let mut query = conn.prepare(&format!(
        "SELECT first_id, last_id, from_ns, end_ns,
           (?2 IS NULL OR from_ns >= ?2) AND (?3 IS NULL OR to_ns < ?3)
         FROM {ZONES}
         WHERE run_id = ?1 AND (?2 IS NULL OR to_ns >= ?2) AND (?3 IS NULL OR from_ns < ?3)
         ORDER BY first_id"
    ))?;
    let zones = query.query_map(params![scan.run_id, scan.from_ns, scan.until_ns], |row| {
        Ok(TouchedZone {
            first_id: row.get(0)?,
            last_id: row.get(1)?,
            from_ns: row.get(2)?,
            end_ns: row.get(3)?,
            is_inside: row.get(4)?,
        })
    })?;
    let zones = zones.collect::<rusqlite::Result<Vec<_>>>()?;
    if zones.is_empty() {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {ZONES} WHERE run_id = ?1)");
        let is_any: bool = conn.query_row(&sql, [scan.run_id], |row| row.get(0))?;
        return Ok(is_any.then_some(zones));
    }
    Ok(Some(zones))
}
