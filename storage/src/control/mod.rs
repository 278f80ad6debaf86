//! Requests of other processes to a recording that is going on.
//!
//! Only the recording writes to its profile, so a request goes through a file beside it, `<profile>-ctl`: a
//! small database with one table. The requester inserts a row there, and the writer of the profile answers
//! it. So a requester needs no lock on the profile.
//!
//! ```text
//!   requester   asked --withdrawn at its timeout--> (deleted)
//!                 |
//!   recorder      +--> refused              too old, too long, or not understood
//!                 +--> taken --> done, refused or failed       (deleted by the requester)
//! ```
//!
//! * The recorder makes the file when it begins, and removes it when it ends, under the lock of its
//!   profile. A file that a killed recorder left behind is replaced when the next one begins. A requester
//!   never makes the file.
//! * The recorder does not wait: what it cannot read or write at once, it tries again the next time.
//! * A request is marked as taken before it is carried out, so it is carried out once at most.
//! * If there are many requests, the newest and the oldest are taken by turns, so that no requester has to
//!   wait for all requests of another one.
//! * Requests that are older than [`REQUEST_AGE_MAX`] are refused: a process that was stopped for an
//!   hour must not carry out old requests when it continues.
//!
//! Both sides limit what they read, since anything may be in the file: its length, the rows that are read at
//! once, the length of values, the steps of SQLite's machine and their time. The definitions in the file have
//! to be the ones below; triggers and views are off. A recorder that finds other definitions makes a new file.
//!
//! The file is in rollback mode, which needs no further files, and is never synced: it means nothing
//! after a power failure. Its mode is 0600. A user who can write to it can make requests, and nothing more:
//! its contents are not trusted.

mod absent;
mod client;
mod recorder;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

pub use self::client::{Answer, ControlClient};
pub use self::recorder::{Control, Request};

use crate::error::{Context, Error, ErrorKind};
use crate::open::{harden, run_nothing};
use crate::schema::limit_to;
use crate::steps::Steps;

/// `PRAGMA application_id` of the file: ASCII `SPCT`.
const APPLICATION_ID: i32 = 0x5350_4354;
/// `PRAGMA user_version` of the file.
const VERSION: i32 = 1;
/// Bytes that the arguments of a request may have.
const ARGUMENT_BYTES_MAX: usize = 32 * 1024;
/// Bytes of the file, and of its journal. Waiting requests need a tenth of it.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes of a value; a bit more than arguments may have, so that arguments that are too long are refused
/// by themselves.
const VALUE_BYTES_MAX: i32 = 48 * 1024;
/// Bytes of a statement or a definition.
const STATEMENT_BYTES_MAX: i32 = 2 * 1024;
/// Steps of SQLite's machine that a call may take; taking 64 requests takes some thousand.
const STEPS_MAX: u32 = 200_000;
/// The recorder refuses requests that are older.
pub const REQUEST_AGE_MAX: Duration = Duration::from_secs(10);

const SCHEMA: &str = "CREATE TABLE request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that a late answer meets no other
  at_unix_ns INTEGER NOT NULL,     -- when it was asked, ns since the Unix epoch
  by TEXT NOT NULL,                -- who asks: program and process id
  command TEXT NOT NULL,           -- such as 'mark'
  arguments TEXT NOT NULL,         -- JSON object
  state TEXT NOT NULL,             -- 'asked', 'taken', 'done', 'refused' or 'failed'
  result TEXT                      -- JSON of what was done, or why it was not; NULL: not yet
) STRICT";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerState {
    /// It was carried out.
    Done,
    /// It was not understood, or not allowed; nothing was done.
    Refused,
    /// It was begun and could not be carried out.
    Failed,
}

impl AnswerState {
    const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// The text in column `request.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The file beside the profile.
fn sidecar(profile: &Path) -> PathBuf {
    with_suffix(profile, "-ctl")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file that has to exist. SQLite reads the statistics of ANALYZE together with the definitions,
/// and somebody may have made them a computed column: so steps and lengths are bounded before the first
/// statement.
fn connect(path: &Path, busy_timeout: Duration) -> rusqlite::Result<(Connection, Steps)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(busy_timeout)?;
    harden(&conn)?;
    run_nothing(&conn)?;
    limit_to(&conn, VALUE_BYTES_MAX, STATEMENT_BYTES_MAX)?;
    let steps = Steps::limit(&mut conn, STEPS_MAX)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok((conn, steps))
}

/// Refuses a file that is longer than requests can make it: every page may have to be read.
fn check_bytes(path: &Path) -> Result<(), Error> {
    for path in [path, &with_suffix(path, "-journal")] {
        check_length(path)?;
    }
    Ok(())
}

fn check_length(path: &Path) -> Result<(), Error> {
    let bytes = path.symlink_metadata().map_or(0, |metadata| metadata.len());
    if bytes <= FILE_BYTES_MAX {
        return Ok(());
    }
    let message = format!("has {bytes} bytes, and {FILE_BYTES_MAX} are enough for requests");
    Err(Error::new(ErrorKind::TooLong, path, message))
}

/// Refuses a file with definitions that are not ours, or without ours. Has to be called in the
/// transaction that relies on it.
fn check_definitions(conn: &Connection, path: &Path) -> Result<(), Error> {
    let doing = "read the schema";
    let mut find = conn
        .prepare(
            "SELECT count(*) FILTER (WHERE
                 (type, name) NOT IN (VALUES ('table', 'request'), ('table', 'sqlite_sequence'))
                 OR sql NOT IN (?1, 'CREATE TABLE sqlite_sequence(name,seq)')),
               count(*) FILTER (WHERE name = 'request' AND sql = ?1)
             FROM main.sqlite_schema",
        )
        .context(path, doing)?;
    let count = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let message = match find.query_row([SCHEMA], count).context(path, doing)? {
        (0, 1) => return Ok(()),
        (0, _) => "somebody has emptied it, or taken the table of requests out of it",
        _ => "somebody has put something into it that could run, such as a trigger or a view",
    };
    Err(Error::new(ErrorKind::ForeignSchema, path, message))
}

/// The error when a call has used up its steps.
fn too_many_steps(path: &Path) -> Error {
    let message = "what somebody has put into it takes too long";
    Error::new(ErrorKind::ForeignSchema, path, message)
}

/// Whether the start of a file says that it is a file for requests. An empty file counts as one: its
/// maker was killed.
fn is_ours(header: &[u8]) -> bool {
    header.is_empty()
        || header.starts_with(b"SQLite format 3\0")
            && header.get(68..72) == Some(&APPLICATION_ID.to_be_bytes())
}

pub(crate) fn unix_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
