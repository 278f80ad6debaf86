//! Files of earlier versions, read as if they were of this one.
//!
//! Tables whose columns have been renamed since are covered by temporary views of this connection, with
//! the names of the tables; so queries need not know of versions. When somebody records into the file,
//! it is migrated, and the views are removed.

use rusqlite::Connection;

use crate::schema;

/// What version 3 has added to spans, and how it is called in older files: for open spans, and for
/// others.
const OF_OPEN: &str = "polls AS entries, NULL AS first_entry_ns, NULL AS longest_entry_ns,
    NULL AS last_exit_ns, NULL AS longest_thread_id";
const OF_CLOSED: &str = "polls AS entries, NULL AS first_entry_ns, NULL AS longest_entry_ns,
    NULL AS last_exit_ns, NULL AS longest_thread_id, NULL AS self_busy_ns";
const OF_ROLLUPS: &str = "NULL AS self_busy_ns";
const OF_RUNS: &str = "0 AS entries, 0 AS dropped_entries, 0 AS pruned_entries";
const OF_LOSSES: &str = "0 AS entries";
const OF_STATS: &str = "0 AS entries_recorded, 0 AS entries_stored, '{}' AS entries_dropped";
/// Tables, and how their columns differ.
const COVERED: [(&str, &str); 6] = [
    ("span", OF_CLOSED),
    ("open_span", OF_OPEN),
    ("rollup", OF_ROLLUPS),
    ("run", OF_RUNS),
    ("loss", OF_LOSSES),
    ("writer_stat", OF_STATS),
];
/// Tables that did not exist.
const ENTRY: &str = "CREATE TEMP VIEW entry AS SELECT NULL AS id, NULL AS run_id, NULL AS span_id,
    NULL AS callsite_id, NULL AS thread_id, NULL AS start_ns, NULL AS duration_ns,
    NULL AS around_id, NULL AS batch_id, NULL AS self_ns, NULL AS earlier_entries,
    NULL AS earlier_ns WHERE 0;
    CREATE TEMP VIEW entry_rollup AS SELECT NULL AS run_id, NULL AS at_ns, NULL AS callsite_id,
    NULL AS interval_ns, NULL AS entries, NULL AS sum_ns, NULL AS max_ns, NULL AS histogram,
    NULL AS self_ns, NULL AS spans, NULL AS errors WHERE 0;
    CREATE TEMP VIEW trace_context AS SELECT NULL AS root_id, NULL AS span_id, NULL AS run_id,
    NULL AS trace_id, NULL AS otel_span_id, NULL AS otel_parent_id, NULL AS batch_id WHERE 0;";

/// Covers the tables of a file of an earlier version. Nothing is written to the file. Returns whether it
/// is one.
pub(super) fn cover(conn: &Connection) -> rusqlite::Result<bool> {
    if schema::version(conn)? >= 3 {
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
    let views = COVERED.iter().map(|(table, new)| {
        // A file that lacks a table is damaged, which is reported elsewhere.
        let is_there: bool = conn.query_row(sql, [table], |row| row.get(0))?;
        Ok(is_there
            .then(|| format!("CREATE TEMP VIEW {table} AS SELECT *, {new} FROM main.{table};")))
    });
    let views = views.collect::<rusqlite::Result<Vec<_>>>()?;
    let views = views.into_iter().flatten().chain([ENTRY.to_owned()]);
    define(conn, &views.collect::<String>())?;
    Ok(true)
}

/// Removes the views if the file has been migrated to this version since. Returns whether they are still
/// needed.
pub(super) fn cover_as_needed(conn: &Connection) -> rusqlite::Result<bool> {
    if schema::version(conn)? < 3 {
        return Ok(true);
    }
    let covered = COVERED.iter().map(|(table, _)| *table);
    let covered = covered.chain(["entry", "entry_rollup", "trace_context"]);
    let drop = |table| format!("DROP VIEW IF EXISTS temp.{table};");
    define(conn, &covered.map(drop).collect::<String>())?;
    Ok(false)
}

/// Runs a definition of temporary objects; otherwise the connection may only read.
fn define(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.pragma_update(None, "query_only", false)?;
    let defined = conn.execute_batch(sql);
    conn.pragma_update(None, "query_only", true)?;
    defined
}
