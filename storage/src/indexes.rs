//! Indexes and other tables that make queries of a profile fast once its recording has ended.
//!
//! While a recording runs there is no index on spans or events: each one costs more than the row, and
//! rows could not be copied (see `bulk_insert.rs`). So indexes are made afterwards, by `optimize`, and
//! [`drop_all`] takes them away before the file is recorded into again.
//!
//! A window of time is found by zones (`zones.rs`) instead of an index.
//!
//! Measured with 10 million spans (557 MB): `(callsite_id, run_id, duration_ns)` takes 15.0 bytes a span;
//! `(root_id)` takes 12.3, and 9.3 without the roots, which the primary key finds; `(run_id, start_ns)`
//! would take 16.2, which the zones save. Roots by duration have an index of their own, because in the
//! other indexes they stand among their children; it takes 2.7 bytes a span if a fifth of the spans are
//! roots. `ANALYZE` is not run: our queries name their index, and for other queries SQLite chooses these
//! indexes without statistics. No index begins with `run_id`: SQLite would use it for every query that
//! names a run and a range of ids, and sort the rows.

use rusqlite::{Connection, Transaction};

/// The indexes, by name, and the statements that make them, as SQLite keeps them.
pub const INDEXES: [(&str, &str); 4] = [
    (BY_DURATION, "CREATE INDEX span_by_duration ON span (callsite_id, run_id, duration_ns)"),
    (
        ROOTS_BY_DURATION,
        "CREATE INDEX root_by_duration ON span (duration_ns, run_id) WHERE parent_id IS NULL",
    ),
    (BY_ROOT, "CREATE INDEX span_by_root ON span (root_id) WHERE parent_id IS NOT NULL"),
    (BY_SPAN, "CREATE INDEX event_by_span ON event (span_id) WHERE span_id IS NOT NULL"),
];
/// The slowest spans of a callsite.
pub const BY_DURATION: &str = "span_by_duration";
/// The slowest traces.
pub const ROOTS_BY_DURATION: &str = "root_by_duration";
/// The spans of a trace, except its root.
pub const BY_ROOT: &str = "span_by_root";
/// The events in a span.
pub const BY_SPAN: &str = "event_by_span";

/// The table of zones.
pub const ZONES: &str = "span_zone";
/// The table of their sums.
pub const SUMS: &str = "span_zone_sum";

/// The table of paths.
pub const PATHS: &str = "span_path";
/// The table of their sums.
pub const PATH_SUMS: &str = "span_zone_path";

/// Whether the file has any of them, or anything else with one of their names.
pub fn any(conn: &Connection) -> rusqlite::Result<bool> {
    let mut find = conn.prepare("SELECT count(*) FROM main.sqlite_schema WHERE name = ?1")?;
    for name in INDEXES.map(|(name, _)| name).into_iter().chain([ZONES, SUMS, PATHS, PATH_SUMS]) {
        if find.query_row([name], |row| row.get::<_, i64>(0))? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Drops all of them, and other tables and indexes with their names.
pub fn drop_all(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (name, _) in INDEXES {
        drop_index(tx, name)?;
    }
    drop_zones(tx)
}

/// Drops the tables of zones, and those that belong to them.
pub fn drop_zones(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    drop_tables(tx, [ZONES, SUMS])?;
    drop_path_sums(tx)
}

/// Drops the sums by path.
pub fn drop_path_sums(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    drop_tables(tx, [PATHS, PATH_SUMS])
}

fn drop_tables(tx: &Transaction<'_>, tables: [&str; 2]) -> rusqlite::Result<()> {
    tables
        .iter()
        .try_for_each(|table| tx.execute_batch(&format!("DROP TABLE IF EXISTS main.{table}")))
}

/// Drops one index, if it exists.
pub fn drop_index(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    tx.execute_batch(&format!("DROP INDEX IF EXISTS main.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite once used an index that began with run_id for each piece of a scan, and sorted a whole run
    /// each time.
    #[test]
    fn a_range_of_ids_of_a_run_is_read_by_the_primary_key() {
        let mut conn = Connection::open_in_memory().unwrap();
        let tx = conn.transaction().unwrap();
        crate::schema::create(&tx).unwrap();
        for (_, sql) in INDEXES {
            tx.execute_batch(sql).unwrap();
        }
        tx.commit().unwrap();
        for table in ["span", "event"] {
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT * FROM {table}
                 WHERE id > 1 AND id <= 9 AND run_id = 1 ORDER BY id"
            );
            let plan: String = conn.query_row(&sql, [], |row| row.get(3)).unwrap();
            assert!(plan.contains("USING INTEGER PRIMARY KEY"), "{plan}");
        }
    }
}
