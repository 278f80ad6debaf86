//! Reads the definitions of a file before anything in it can run.
//!
//! SQLite reads all definitions of a file before its first statement. That evaluates nothing, except for
//! the statistics of ANALYZE, which it reads as rows, without asking an authorizer: if somebody has made
//! one of their columns a computed one, it is computed. So until the definitions have been checked, the
//! length of texts is limited to that of definitions, which ends everything that takes long; and so are
//! steps and seconds.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::limits::Limit;

use super::classify::{Nature, Object, nature};
use super::{TABLES, since, version};
use crate::compat::Settled;
use crate::error::{Context, Error, ErrorKind};
use crate::steps::Steps;

/// Most bytes of a value, and of a row, in a profile. A recording makes no longer ones, whatever fields
/// a span has.
pub(crate) const VALUE_BYTES_MAX: i32 = 1 << 20;
/// Bytes of a definition.
const DEFINITION_BYTES_MAX: i32 = 64 << 10;
/// Most bytes of a definition, and of any value, while they are read for the first time. Ours have 2
/// KiB.
const LOOKED_AT_BYTES_MAX: i32 = 16 << 10;
/// Steps that reading the definitions may take; ours take some thousand.
const STEPS_MAX: u32 = 50_000;

/// What the file is opened for, which decides what would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Writing,
    Reading,
}

/// What was found in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Tables, views, indexes and triggers.
    pub(crate) objects: u64,
    /// How many of them are not ours.
    pub(crate) others: u64,
}

/// Limits for any connection, set before its first statement.
pub(crate) fn limit(conn: &Connection) -> rusqlite::Result<()> {
    limit_to(conn, VALUE_BYTES_MAX, DEFINITION_BYTES_MAX)
}

/// The same with these limits, for values, and for definitions and statements.
pub(crate) fn limit_to(conn: &Connection, value: i32, definition: i32) -> rusqlite::Result<()> {
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, value),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, definition),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_024),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        conn.set_limit(limit, most).settled()?;
    }
    Ok(())
}

/// Checks the definitions of a file. A connection does this first, after its settings.
///
/// # Errors
///
/// `ForeignSchema` if a definition would be run by the statements that come later.
pub(crate) fn inspect(path: &Path, conn: &mut Connection, purpose: Use) -> Result<Found, Error> {
    let doing = "read the schema";
    limit_to(conn, LOOKED_AT_BYTES_MAX, LOOKED_AT_BYTES_MAX).context(path, doing)?;
    let steps = Steps::limit(conn, STEPS_MAX).context(path, doing)?;
    steps.begin();
    let found = judge(path, conn, purpose);
    let ended_by_us = steps.are_over();
    drop(steps);
    Steps::unlimited(conn).context(path, doing)?;
    limit(conn).context(path, doing)?;
    match found {
        Ok(found) => found,
        Err(_) if ended_by_us => Err(too_many(path)),
        Err(source) => Err(source).context(path, doing),
    }
}

fn judge(path: &Path, conn: &Connection, purpose: Use) -> rusqlite::Result<Result<Found, Error>> {
    let mut query = conn.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_schema")?;
    let mut rows = query.query([])?;
    let mut found = Found::default();
    let (mut tables, mut refused) = (0, None);
    while let Some(row) = rows.next()? {
        found.objects += 1;
        let text = |at: usize| row.get_ref(at).map(|value| value.as_str().unwrap_or("?"));
        let object = Object {
            kind: text(0)?,
            name: text(1)?,
            table: text(2)?,
            sql: row.get_ref(3)?.as_str_or_null().unwrap_or(Some("'")),
        };
        let is_table = object.kind == "table" && TABLES.contains(&object.name);
        tables += usize::from(is_table && since(object.name) == 1);
        let error = match (nature(&object), purpose) {
            (Nature::Ours, _) => continue,
            (Nature::Harmless, _) | (Nature::RunsOnWrites, Use::Reading) => None,
            (Nature::RunsOnWrites, Use::Writing) => Some(runs_on_writes(path, &object)),
            (Nature::Runs, _) => Some(runs(path, &object)),
        };
        found.others += 1;
        refused = refused.or(error);
    }
    match refused {
        Some(error) if tables == TABLES.iter().filter(|table| since(table) == 1).count() => {
            Ok(Err(error))
        }
        // The file is damaged: the next check will find that a table is missing, and stop.
        _ => Ok(Ok(found)),
    }
}

const WAY_OUT: &str = "record to a new file (`spandrel export sqlite` copies what is in this one)";

fn runs_on_writes(path: &Path, object: &Object<'_>) -> Error {
    let Object { kind, name, table, .. } = object;
    let message = match *kind {
        "table" => format!(
            "has a virtual table {name}, which was not made by spandrel and is code that runs; drop \
             it, or {WAY_OUT}"
        ),
        _ => format!(
            "has the {kind} {name} on table {table}, which was not made by spandrel and would run \
             with each row that is written; drop it, or {WAY_OUT}"
        ),
    };
    Error::new(ErrorKind::ForeignSchema, path, message)
}

fn runs(path: &Path, object: &Object<'_>) -> Error {
    let Object { kind, name, .. } = object;
    let message = format!(
        "the {kind} {name} is not as spandrel makes it: damaged, or changed by somebody (a CHECK, a \
         generated column or the like would run with whatever touches it); record to a new file, \
         and look at this one with the shell of sqlite3"
    );
    Error::new(ErrorKind::ForeignSchema, path, message)
}

fn too_many(path: &Path) -> Error {
    let message = "has far more tables and views than a profile, and is neither read nor written; \
                   record to a new file";
    Error::new(ErrorKind::ForeignSchema, path, message)
}

/// If SQLite might evaluate something of others when it checks a table, only our own tables are checked.
pub(crate) fn quick_check(conn: &Connection, found: &Found) -> rusqlite::Result<String> {
    let verdict = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    if found.others == 0 {
        return verdict("PRAGMA main.quick_check(1)");
    }
    let version = version(conn)?;
    for table in TABLES.into_iter().filter(|table| since(table) <= version) {
        let verdict = verdict(&format!("PRAGMA main.quick_check({table})"))?;
        if verdict != "ok" {
            return Ok(verdict);
        }
    }
    Ok("ok".to_owned())
}
