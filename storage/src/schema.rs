//! The schema and its versions.

mod classify;
mod inspect;
mod tokens;

use rusqlite::{Connection, OptionalExtension, Transaction};

pub(crate) use self::inspect::{Found, Use, inspect, limit, limit_to, quick_check};

/// `PRAGMA application_id` of a profile database: ASCII `SPAN`.
pub const APPLICATION_ID: i32 = 0x5350_414E;

/// `PRAGMA user_version` of the files that this crate writes.
pub const SCHEMA_VERSION: i32 = 4;

/// The data definition of a profile database, with a comment on each column.
pub fn schema() -> &'static str {
    include_str!("schema.sql")
}

/// The tables that [`schema`] makes.
pub(crate) const TABLES: [&str; 18] = [
    "run",
    "callsite",
    "thread",
    "span",
    "event",
    "link",
    "trace_context",
    "entry",
    "mark",
    "gauge",
    "rollup",
    "entry_rollup",
    "writer_stat",
    "open_span",
    "loss",
    "batch",
    "batch_range",
    "drained",
];

/// Tables that files of earlier versions do not have, and the version that has brought them.
const SINCE: [(&str, i32); 6] = [
    ("batch", 3),
    ("batch_range", 3),
    ("entry", 3),
    ("entry_rollup", 3),
    ("trace_context", 3),
    ("drained", 4),
];

/// The version that has brought a table.
pub(crate) fn since(table: &str) -> i32 {
    SINCE.iter().find(|(name, _)| *name == table).map_or(1, |(_, version)| *version)
}

/// Steps to [`SCHEMA_VERSION`]: the version from which a step starts, and its SQL. Each raises the
/// version by one. Views are dropped before the first step, and made again after the last one; missing
/// tables are made then, too. A constraint is changed in the text of its table, as SQLite's manual of
/// ALTER TABLE describes: many programs have a SQLite without a statement for it.
pub(crate) const MIGRATIONS: &[(i32, &str)] = &[
    // An index on span costs more than the row itself, and rows cannot be copied then. And busy time may
    // not be measured.
    (
        1,
        "DROP INDEX IF EXISTS span_root;
         UPDATE sqlite_schema SET sql = replace(sql, 'busy_ns INTEGER NOT NULL', 'busy_ns INTEGER')
         WHERE type = 'table' AND name IN ('span', 'open_span', 'rollup')",
    ),
    // Rows name their commit. Primary keys say NOT NULL, because other programs assume otherwise that an
    // id may be missing. SQLite adds columns at a position in the text that it has read, so the texts
    // are changed last.
    (
        2,
        "ALTER TABLE main.run ADD COLUMN last_batch_id INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.run ADD COLUMN entries INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.run ADD COLUMN dropped_entries INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.run ADD COLUMN pruned_entries INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.loss ADD COLUMN entries INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.writer_stat ADD COLUMN entries_recorded INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.writer_stat ADD COLUMN entries_stored INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE main.writer_stat ADD COLUMN entries_dropped TEXT NOT NULL DEFAULT '{}';
         ALTER TABLE main.span RENAME COLUMN polls TO entries;
         ALTER TABLE main.span ADD COLUMN first_entry_ns INTEGER;
         ALTER TABLE main.span ADD COLUMN longest_entry_ns INTEGER;
         ALTER TABLE main.span ADD COLUMN last_exit_ns INTEGER;
         ALTER TABLE main.span ADD COLUMN longest_thread_id INTEGER;
         ALTER TABLE main.span ADD COLUMN self_busy_ns INTEGER;
         ALTER TABLE main.span ADD COLUMN batch_id INTEGER;
         ALTER TABLE main.open_span RENAME COLUMN polls TO entries;
         ALTER TABLE main.open_span ADD COLUMN first_entry_ns INTEGER;
         ALTER TABLE main.open_span ADD COLUMN longest_entry_ns INTEGER;
         ALTER TABLE main.open_span ADD COLUMN last_exit_ns INTEGER;
         ALTER TABLE main.open_span ADD COLUMN longest_thread_id INTEGER;
         ALTER TABLE main.rollup ADD COLUMN self_busy_ns INTEGER;
         ALTER TABLE main.event ADD COLUMN batch_id INTEGER;
         ALTER TABLE main.link ADD COLUMN batch_id INTEGER;
         UPDATE sqlite_schema
         SET sql = replace(sql, 'id INTEGER PRIMARY KEY,', 'id INTEGER PRIMARY KEY NOT NULL,')
         WHERE type = 'table' AND name IN
           ('run', 'callsite', 'thread', 'span', 'event', 'mark', 'gauge', 'open_span', 'loss')",
    ),
    // The table `drained`, which is made like any that is missing; and the status 'crashed'.
    (3, ""),
];

/// Makes the tables and views of a new file.
pub(crate) fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(schema())?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Brings an older file to `target` in the transaction; false when a step is missing.
pub(crate) fn migrate(
    tx: &Transaction<'_>,
    migrations: &[(i32, &str)],
    target: i32,
) -> rusqlite::Result<bool> {
    let mut version = version(tx)?;
    drop_views(tx)?;
    while version < target {
        let Some((_, sql)) = migrations.iter().find(|(from, _)| *from == version) else {
            return Ok(false);
        };
        tx.execute_batch(sql)?;
        version += 1;
    }
    make_tables(tx)?;
    make_views(tx)?;
    // So that connections that have the file open read the changed texts again.
    let cookie: i32 = tx.pragma_query_value(None, "schema_version", |row| row.get(0))?;
    tx.pragma_update(None, "schema_version", cookie.wrapping_add(1))?;
    tx.pragma_update(None, "user_version", version)?;
    Ok(true)
}

/// The kind of object that has a name of ours, if any.
fn kind_of(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
    tx.query_row(sql, [name], |row| row.get(0)).optional()
}

/// Views hold no data; and while they exist a column cannot be renamed.
fn drop_views(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (name, _) in statements_making("VIEW") {
        if kind_of(tx, name)?.as_deref() == Some("view") {
            tx.execute_batch(&format!("DROP VIEW main.{name}"))?;
        }
    }
    Ok(())
}

fn make_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (name, sql) in statements_making("TABLE") {
        if kind_of(tx, name)?.as_deref() != Some("table") {
            tx.execute_batch(sql)?;
        }
    }
    Ok(())
}

/// If somebody else has made something with the name of a view, that stays.
fn make_views(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for (name, sql) in statements_making("VIEW") {
        if kind_of(tx, name)?.is_none() {
            tx.execute_batch(sql)?;
        }
    }
    Ok(())
}

/// Names and statements of the tables or views, each after those that it needs.
fn statements_making(kind: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let start = format!("CREATE {kind} ");
    schema().split("\n\n").filter_map(move |part| {
        let statement = part.get(part.find(&start)?..)?;
        Some((statement.get(start.len()..)?.split_once(' ')?.0, statement))
    })
}

pub(crate) fn version(conn: &Connection) -> rusqlite::Result<i32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(crate) fn application_id(conn: &Connection) -> rusqlite::Result<i32> {
    conn.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// The first table of ours that the file lacks.
pub(crate) fn missing_table(conn: &Connection) -> rusqlite::Result<Option<&'static str>> {
    let mut find =
        conn.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    let version = version(conn)?;
    for table in TABLES {
        let count: i64 = find.query_row([table], |row| row.get(0))?;
        if count == 0 && since(table) <= version {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use rusqlite::TransactionBehavior;

    use super::*;

    fn fresh() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        let tx = conn.transaction().unwrap();
        create(&tx).unwrap();
        tx.commit().unwrap();
        conn
    }

    #[test]
    fn the_schema_makes_each_table_and_each_view_can_be_read() {
        let conn = fresh();
        assert_eq!(missing_table(&conn).unwrap(), None);
        for view in ["spans", "top", "slow", "roots", "open_spans", "events", "losses", "runs"] {
            let mut query = conn.prepare(&format!("SELECT * FROM {view}")).unwrap();
            assert!(query.query([]).unwrap().next().unwrap().is_none(), "{view}");
        }
        assert_eq!(application_id(&conn).unwrap().to_be_bytes(), *b"SPAN");
        assert_eq!(version(&conn).unwrap(), SCHEMA_VERSION);
    }

    #[test]
    fn the_migrations_lead_to_the_present_version() {
        for (at, (from, _)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(SCHEMA_VERSION - from, (MIGRATIONS.len() - at) as i32);
        }
    }

    #[test]
    fn an_older_file_is_brought_up_step_by_step() {
        let mut conn = fresh();
        let steps: &[(i32, &str)] = &[
            (SCHEMA_VERSION, "ALTER TABLE mark ADD COLUMN one TEXT"),
            (SCHEMA_VERSION + 1, "ALTER TABLE mark RENAME COLUMN one TO two"),
        ];
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        assert!(migrate(&tx, steps, SCHEMA_VERSION + 2).unwrap());
        tx.commit().unwrap();
        assert_eq!(version(&conn).unwrap(), SCHEMA_VERSION + 2);
        conn.prepare("SELECT two FROM mark").unwrap();
    }

    #[test]
    fn a_migration_without_a_next_step_or_with_a_fault_leaves_the_file_as_it_was() {
        let mut conn = fresh();
        let gap: &[(i32, &str)] = &[(SCHEMA_VERSION, "DROP TABLE mark")];
        let fault: &[(i32, &str)] = &[
            (SCHEMA_VERSION, "DROP TABLE mark"),
            (SCHEMA_VERSION + 1, "DROP TABLE no_such_table"),
        ];
        let tx = conn.transaction().unwrap();
        assert!(!migrate(&tx, gap, SCHEMA_VERSION + 2).unwrap());
        tx.rollback().unwrap();
        let tx = conn.transaction().unwrap();
        migrate(&tx, fault, SCHEMA_VERSION + 2).unwrap_err();
        tx.rollback().unwrap();
        assert_eq!(version(&conn).unwrap(), SCHEMA_VERSION);
        assert_eq!(missing_table(&conn).unwrap(), None);
    }

    #[test]
    fn each_column_has_a_comment_or_is_plain() {
        // For these only the name is compared.
        let plain =
            ["id INTEGER PRIMARY KEY NOT NULL,", "name TEXT NOT NULL,", "label TEXT NOT NULL,"];
        let mut inside = false;
        for line in schema().lines() {
            inside = (inside || line.starts_with("CREATE TABLE")) && !line.starts_with(')');
            let column = inside && line.starts_with("  ") && !line.contains("PRIMARY KEY (");
            assert!(!column || line.contains("--") || plain.contains(&line.trim()), "{line}");
        }
    }
}
