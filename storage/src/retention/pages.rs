//! How large the file is, and how it becomes shorter.

use rusqlite::{Connection, Transaction};

use super::Pace;

/// Pages that a call gives back at least.
const CALL_PAGES: u64 = 128;

/// The size of the file once its log is merged.
pub(crate) fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(number(conn, "page_count")? * number(conn, "page_size")?)
}

pub(crate) fn used_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    let used = number(conn, "page_count")?.saturating_sub(number(conn, "freelist_count")?);
    Ok(used * number(conn, "page_size")?)
}

/// Shortens a file that is larger than its limit. Returns whether there is more to give back.
pub(super) fn give_back(
    tx: &Transaction<'_>,
    max_bytes: u64,
    pace: Pace,
) -> rusqlite::Result<bool> {
    let page_size = number(tx, "page_size")?.max(1);
    let excess = || -> rusqlite::Result<u64> {
        let pages = number(tx, "page_count")?.saturating_sub(max_bytes / page_size);
        Ok(pages.min(number(tx, "freelist_count")?))
    };
    let before = excess()?;
    if before == 0 {
        return Ok(false);
    }
    let pages = before.min(CALL_PAGES.max(pace.bytes / page_size));
    // Works while it is stepped: one row a page.
    let mut vacuum = tx.prepare(&format!("PRAGMA main.incremental_vacuum({pages})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    let after = excess()?;
    // A file that was made without `auto_vacuum` does not become shorter.
    Ok(0 < after && after < before)
}

fn number(conn: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let sql = format!("PRAGMA main.{pragma}");
    let value: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}
