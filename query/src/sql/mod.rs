//! SQL of the user, on a profile that must not change and a recording that must not suffer.
//!
//! Several limits restrict a query, each of which is enough for most attempts:
//!
//! * the file is opened read-only, and the connection is `query_only`;
//! * an authorizer refuses whatever is not reading while a statement is compiled (`guard`), and
//!   SQLite must say of a statement that it only reads;
//! * one text is one statement; nothing can be attached;
//! * there are limits on time, rows, bytes, the length of a value, and memory.
//!
//! A query is one read transaction. As long as it runs, the log of a live recording cannot be emptied,
//! and grows; only the deadline limits that, so the caller should take the rows quickly.
//!
//! Limits: the deadline is looked at between instructions of SQLite's machine and between rows. A
//! single function call on values of the greatest length can pass it, by some seconds at worst.

mod error;
mod guard;
mod memory;

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[allow(unused_imports)] // rusqlite before 0.34 has a method of its own
use fallible_iterator::FallibleIterator;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Row, Statement};

pub use self::error::{SqlError, SqlErrorKind};
use self::guard::Guard;
use self::memory::Watch;
pub use self::memory::limit_process_memory;
use crate::reader::Reader;
use spandrel_storage::Error;
use spandrel_storage::after;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::Steps;
use spandrel_storage::internals::{Settled, column_names};

/// Instructions of SQLite's machine between two looks at the clock, some 20 µs.
const INSTRUCTIONS: i32 = 1_000;

/// What is set for each connection, see <https://sqlite.org/limits.html>. The text of a query is
/// short and its structure flat, so that compiling it takes no time and little stack.
const LIMITS: [(Limit, i32); 8] = [
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// How much a query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// How long it may run. Default: 10 s.
    pub timeout: Duration,
    /// Rows that are read at most; the rest is cut. Default: no limit.
    pub rows_max: Option<u64>,
    /// Bytes of text and blobs that are read at most; the rest is cut. Default: no limit.
    pub bytes_max: Option<u64>,
    /// Bytes that a value or a row may have. Default: 1 MiB, which a field of a span never has.
    pub value_bytes_max: u32,
    /// Bytes by which the memory of the process may grow while the query runs. Looked at some hundred
    /// times a second where the system tells, which is Linux; elsewhere, or to be exact, see
    /// [`limit_process_memory`]. Default: 256 MiB.
    pub memory_bytes_max: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            rows_max: None,
            bytes_max: None,
            value_bytes_max: 1 << 20,
            memory_bytes_max: 256 << 20,
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue<'a> {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text; what is no UTF-8 in it is replaced.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Takes the rows of a query.
pub trait SqlRows {
    /// Once before the rows, and without any row, too: the names of the columns.
    fn columns(&mut self, names: &[String]) -> ControlFlow<()>;
    /// Each row. A break ends the query.
    fn row(&mut self, values: &[SqlValue<'_>]) -> ControlFlow<()>;
}

/// Why a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlEnd {
    /// There were no more rows.
    Complete,
    /// There are more rows than [`SqlLimits::rows_max`].
    RowsCut,
    /// There are more bytes than [`SqlLimits::bytes_max`].
    BytesCut,
    /// The consumer of the rows stopped it.
    Broken,
}

/// Values for the parameters of a query: `:run`, `:from_ns` and `:until_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlParameters {
    /// The selected run.
    pub run_id: i64,
    /// Start of the window, nanoseconds since the start of the run.
    pub from_ns: i64,
    /// End of the window.
    pub until_ns: i64,
}

/// A connection for SQL of the user.
pub struct Sql {
    reader: Reader,
    guard: Guard,
    limits: SqlLimits,
}

impl Sql {
    /// Opens the profile at `path`.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn open(path: impl AsRef<Path>, limits: SqlLimits) -> Result<Self, Error> {
        Self::open_at(path.as_ref(), limits)
    }

    fn open_at(path: &Path, limits: SqlLimits) -> Result<Self, Error> {
        let mut reader = Reader::open(path)?;
        let guard = Guard::default();
        let conn = reader.connection_mut();
        restrict(conn, &limits, &guard).context(path, "limit what a query can do")?;
        Ok(Self { reader, guard, limits })
    }

    /// Runs a query; `rows` gets its rows.
    ///
    /// # Errors
    ///
    /// A text that is not SQL, that does more than reading, or that is more than one statement; a
    /// query that takes more time or memory than it may. Rows may have been read before.
    ///
    /// # Blocking
    ///
    /// Until the deadline, at most; see the module.
    pub fn run(
        &mut self,
        text: &str,
        parameters: Option<&SqlParameters>,
        rows: &mut dyn SqlRows,
    ) -> Result<SqlEnd, SqlError> {
        if text.contains('\0') {
            return Err(SqlError::usage("there is a zero character in the query; leave it out"));
        }
        let deadline = after(Instant::now(), self.limits.timeout);
        self.guard.forget();
        let conn = self.reader.connection_mut();
        let exceeded = Arc::new(AtomicBool::new(false));
        let mut memory = Watch::begin(self.limits.memory_bytes_max, &exceeded);
        let late = move || {
            let now = Instant::now();
            now >= deadline || memory.is_exceeded(now)
        };
        let end = conn
            .progress_handler(INSTRUCTIONS, Some(late))
            .settled()
            .map_err(|source| SqlError::new(source, text, &self.guard, &self.limits))
            .and_then(|()| {
                self.reader.check_mode().map_err(|error| SqlError::profile(&error))?;
                self.execute(text, parameters, rows, deadline)
            });
        let unlimited = Steps::unlimited(self.reader.connection_mut())
            .map_err(|source| SqlError::new(source, text, &self.guard, &self.limits));
        // Relaxed: set on this thread.
        if exceeded.load(Ordering::Relaxed) && end.is_err() {
            return Err(SqlError::memory(&self.limits));
        }
        end.and_then(|end| unlimited.map(|()| end))
    }

    fn execute(
        &self,
        text: &str,
        parameters: Option<&SqlParameters>,
        rows: &mut dyn SqlRows,
        deadline: Instant,
    ) -> Result<SqlEnd, SqlError> {
        let failure = |source| SqlError::new(source, text, &self.guard, &self.limits);
        let mut statements = Batch::new(self.reader.connection(), text);
        let Some(mut statement) = statements.next().map_err(failure)? else {
            return Err(SqlError::usage(
                "the query is empty; write one, such as: select * from top",
            ));
        };
        // The second statement is only compiled to be refused, valid or not.
        let mut second = statements;
        if !matches!(second.next(), Ok(None)) {
            return Err(SqlError::refused("a second statement is refused; ask one at a time"));
        }
        if !statement.readonly() {
            return Err(SqlError::refused("refused: the statement does more than reading"));
        }
        bind(&mut statement, parameters).map_err(failure)??;
        let names = column_names(&statement).map_err(failure)?;
        if rows.columns(&names).is_break() {
            return Ok(SqlEnd::Broken);
        }
        let mut found = statement.raw_query();
        let (mut read, mut bytes) = (0_u64, 0_u64);
        while let Some(row) = found.next().map_err(failure)? {
            if Instant::now() >= deadline {
                return Err(SqlError::timeout(&self.limits));
            }
            if self.limits.rows_max.is_some_and(|max| read >= max) {
                return Ok(SqlEnd::RowsCut);
            }
            let values = values(row, names.len()).map_err(failure)?;
            bytes = bytes.saturating_add(values.iter().map(size).sum());
            if self.limits.bytes_max.is_some_and(|max| bytes > max) {
                return Ok(SqlEnd::BytesCut);
            }
            read += 1;
            if rows.row(&values).is_break() {
                return Ok(SqlEnd::Broken);
            }
        }
        Ok(SqlEnd::Complete)
    }
}

/// Restricts a connection; no query can undo it.
fn restrict(conn: &mut Connection, limits: &SqlLimits, guard: &Guard) -> rusqlite::Result<()> {
    // No settings of the whole process: the host may use SQLite, too.
    for (limit, value) in LIMITS {
        conn.set_limit(limit, value).settled()?;
    }
    let bytes = i32::try_from(limits.value_bytes_max).unwrap_or(i32::MAX);
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes).settled()?;
    conn.authorizer(Some(guard.authorizer())).settled()
}

/// Gives the parameters of a query their values.
fn bind(
    statement: &mut Statement<'_>,
    parameters: Option<&SqlParameters>,
) -> rusqlite::Result<Result<(), SqlError>> {
    for at in 1..=statement.parameter_count() {
        let name = statement.parameter_name(at).unwrap_or("?").to_owned();
        let Some(parameters) = parameters else {
            let message = format!("there is no run for the parameter {name}");
            return Ok(Err(SqlError::usage(message)));
        };
        let value = match name.as_str() {
            ":run" => parameters.run_id,
            ":from_ns" => parameters.from_ns,
            ":until_ns" => parameters.until_ns,
            _ => {
                let message =
                    format!("there is no parameter {name}; there are :run, :from_ns and :until_ns");
                return Ok(Err(SqlError::usage(message)));
            }
        };
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(Ok(()))
}

fn values<'a>(row: &'a Row<'_>, columns: usize) -> rusqlite::Result<Vec<SqlValue<'a>>> {
    (0..columns)
        .map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => SqlValue::Null,
                ValueRef::Integer(number) => SqlValue::Integer(number),
                ValueRef::Real(number) => SqlValue::Real(number),
                ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => SqlValue::Blob(bytes),
            })
        })
        .collect()
}

/// About what a value takes.
fn size(value: &SqlValue<'_>) -> u64 {
    match value {
        SqlValue::Text(text) => text.len() as u64 + 8,
        SqlValue::Blob(bytes) => bytes.len() as u64 + 8,
        _ => 8,
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql")
            .field("reader", &self.reader)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
