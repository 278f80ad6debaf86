//! Reading the definitions of a file before anything of it can run.
//!
//! SQLite reads all definitions of a file before its first statement. That evaluates nothing, but for
//! the statistics of ANALYZE, which it reads as rows: so while we look, it may read nothing but the
//! definitions themselves, may take a bounded number of steps, and values have a bounded length.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::known::{Nature, Object, nature};
use super::{SINCE_3, TABLES, version};
use crate::compat::Settled;
use crate::error::{Context, Error, ErrorKind};
use crate::steps::Steps;

/// Bytes of a value in a profile, and of a row. A recording makes none that is longer, whatever a span's
/// fields are.
pub(crate) const VALUE_BYTES_MAX: i32 = 1 << 20;
/// Bytes of a definition.
const DEFINITION_BYTES_MAX: i32 = 64 << 10;
/// Steps that reading the definitions may take: some thousand of them.
const STEPS_MAX: u32 = 50_000;

/// Who asks, and so what would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Writing,
    Reading,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Tables, views, indexes and triggers.
    pub(crate) objects: u64,
    /// Those that are somebody else's.
    pub(crate) others: u64,
}

/// What any connection may take of a file: set before its first statement.
pub(crate) fn limit(conn: &Connection) -> rusqlite::Result<()> {
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, DEFINITION_BYTES_MAX),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_024),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        conn.set_limit(limit, most).settled()?;
    }
    Ok(())
}

/// Looks at the definitions of a file. The first thing that a connection does, but for settings.
///
/// # Errors
///
/// `ForeignSchema` for one that would run with what is going to be done.
pub(crate) fn inspect(path: &Path, conn: &mut Connection, purpose: Use) -> Result<Found, Error> {
    let doing = "read the schema";
    conn.authorizer(Some(only_definitions)).settled().context(path, doing)?;
    let steps = Steps::limit(conn, STEPS_MAX).context(path, doing)?;
    steps.begin();
    let found = judge(path, conn, purpose);
    let ended_by_us = steps.are_over();
    drop(steps);
    Steps::unlimited(conn).context(path, doing)?;
    let anything = None::<fn(AuthContext<'_>) -> Authorization>;
    conn.authorizer(anything).settled().context(path, doing)?;
    match found {
        Ok(found) => found,
        Err(_) if ended_by_us => Err(too_many(path)),
        Err(source) => Err(source).context(path, doing),
    }
}

fn only_definitions(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select => true,
        AuthAction::Read { table_name, .. } => {
            ["sqlite_master", "sqlite_schema"].contains(&table_name)
        }
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
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
        tables += usize::from(is_table && !SINCE_3.contains(&object.name));
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
        Some(error) if tables == TABLES.len() - SINCE_3.len() => Ok(Err(error)),
        // Damaged: what comes next looks for the table that is missing, and goes no further.
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

/// Whether SQLite may evaluate something of somebody else's when it checks a table: only ours are
/// looked at then.
pub(crate) fn quick_check(conn: &Connection, found: &Found) -> rusqlite::Result<String> {
    let verdict = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    if found.others == 0 {
        return verdict("PRAGMA main.quick_check(1)");
    }
    let older = version(conn)? < 3;
    for table in TABLES.into_iter().filter(|table| !(older && SINCE_3.contains(table))) {
        let verdict = verdict(&format!("PRAGMA main.quick_check({table})"))?;
        if verdict != "ok" {
            return Ok(verdict);
        }
    }
    Ok("ok".to_owned())
}
