//! The side of the recording: takes requests and answers them, and never waits.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{
    APPLICATION_ID, ARGUMENT_BYTES_MAX, AnswerState, REQUEST_AGE_MAX, SCHEMA, VERSION, connect,
    is_ours, sidecar, unix_ns, with_suffix,
};
use crate::error::{Context, Error, ErrorKind};
use crate::location::Location;
use crate::lock::{self, FileId, ReaderMark, file_id};
use crate::store::Store;

/// Requests that are taken at a time.
const REQUESTS_MAX: i64 = 64;
/// Bytes that the name of a command, or of who asks, may have.
const NAME_BYTES_MAX: i64 = 256;
/// Rows that nobody has read for so long are deleted.
const KEPT: Duration = Duration::from_secs(60);

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// When it was asked, nanoseconds since the Unix epoch.
    pub at_unix_ns: i64,
    /// Who asks, in their own words.
    pub by: String,
    /// What is asked for.
    pub command: String,
    /// A JSON object, not checked yet; see [`Control::argument`].
    pub arguments: String,
}

/// The requests to one recording. Removes the file when it is dropped, if it is still there.
pub struct Control {
    // Before the mark, so that the connection is closed first.
    conn: Option<Connection>,
    _mark: ReaderMark,
    id: FileId,
    path: PathBuf,
    /// `PRAGMA data_version` when there was nothing left to take.
    seen: Option<i64>,
}

impl Control {
    /// Makes the file beside the profile of `store`, whose lock keeps other recorders away from it. A
    /// file that a killed recorder left behind is replaced.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or when something is there that is not ours; that is left as it is.
    pub fn create(store: &Store) -> Result<Self, Error> {
        let path = sidecar(store.full_path());
        remove_stale(&path)?;
        let file = lock::create(&path, &path)?;
        let made = file.metadata().context(&path, "look at the file").and_then(|metadata| {
            drop(file);
            Self::open(&path, file_id(&path, &metadata))
        });
        if made.is_err() {
            // Best effort: one without content is replaced the next time.
            let _ = fs::remove_file(&path);
        }
        made
    }

    fn open(path: &Path, id: FileId) -> Result<Self, Error> {
        let (mark, _) = ReaderMark::new(id.clone(), path).context(path, "look at the file")?;
        let make = || -> rusqlite::Result<Connection> {
            let mut conn = connect(path, Duration::ZERO)?;
            let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()?;
            Ok(conn)
        };
        let conn = make().context(path, "make the table")?;
        Ok(Self { conn: Some(conn), _mark: mark, id, path: path.to_owned(), seen: None })
    }

    /// Removes the file that a killed recorder left beside the profile of `store`, so that nobody waits
    /// for an answer. For recorders that do not listen.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn remove(store: &Store) -> Result<(), Error> {
        remove_stale(&sidecar(store.full_path()))
    }

    /// The requests that came since the last call, in the order in which they came; they are taken
    /// with that, and each is to be answered. Those that are too old or too long are refused here.
    ///
    /// # Errors
    ///
    /// `Busy` and `Full` may pass: nothing was taken. After other errors the file is of no use.
    ///
    /// # Blocking
    ///
    /// For some system calls, and never for somebody else. When nothing has changed nothing is
    /// allocated.
    pub fn poll(&mut self) -> Result<Vec<Request>, Error> {
        let doing = "look for requests";
        let Some(conn) = &self.conn else { return Ok(Vec::new()) };
        let number = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let version = number("PRAGMA data_version").context(&self.path, doing)?;
        if self.seen == Some(version) {
            return Ok(Vec::new());
        }
        let asked = number("SELECT count(*) FROM request WHERE state = 'asked'")
            .context(&self.path, doing)?;
        let requests = match asked {
            0 => Vec::new(),
            _ => take(conn).context(&self.path, "take requests")?,
        };
        if asked <= REQUESTS_MAX {
            self.seen = Some(version);
        }
        Ok(requests)
    }

    /// Answers a request that was taken. `result` is a JSON object, or a message if nothing was done.
    /// One that is gone by now is none to answer.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll); the same answer can be tried again.
    ///
    /// # Blocking
    ///
    /// As [`poll`](Self::poll).
    pub fn answer(&mut self, id: i64, state: AnswerState, result: &str) -> Result<(), Error> {
        let Some(conn) = &self.conn else { return Ok(()) };
        let sql = "UPDATE request SET state = ?2, result = ?3 WHERE id = ?1 AND state = 'taken'";
        conn.execute(sql, params![id, state.as_str(), result])
            .context(&self.path, "answer a request")?;
        Ok(())
    }

    /// An argument of a request, `None` if it is not given. `kind` is what it must be, in SQLite's
    /// words: `text`, or `object`, which is returned as JSON text.
    ///
    /// # Errors
    ///
    /// A message for whoever asked, if it is something else.
    pub fn argument(
        &self,
        request: &Request,
        name: &str,
        kind: &str,
    ) -> Result<Option<String>, String> {
        let Some(conn) = &self.conn else { return Ok(None) };
        let arguments = &request.arguments;
        let is_object = "SELECT json_valid(?1) AND json_type(?1) = 'object'";
        let is_object = conn.query_row(is_object, [arguments], |row| row.get(0));
        if !is_object.unwrap_or(false) {
            return Err("the arguments are not a JSON object".to_owned());
        }
        let find = "SELECT json_type(?1, '$.' || ?2), json_extract(?1, '$.' || ?2)";
        let not_of_kind = || format!("the argument {name} is not of type {kind}");
        let found: Option<String> = conn
            .query_row(find, [arguments.as_str(), name], |row| row.get(0))
            .map_err(|_| not_of_kind())?;
        match found.as_deref() {
            None | Some("null") => Ok(None),
            Some(found) if found == kind => conn
                .query_row(find, [arguments.as_str(), name], |row| row.get(1))
                .map(Some)
                .map_err(|_| not_of_kind()),
            Some(_) => Err(not_of_kind()),
        }
    }

    /// Whether the file is still at its path: `Removed` if nothing is, `Renamed` if something else is.
    ///
    /// # Errors
    ///
    /// When the file system does not say.
    pub fn location(&self) -> Result<Location, Error> {
        match self.path.symlink_metadata() {
            Ok(found) if !found.is_symlink() && file_id(&self.path, &found) == self.id => {
                Ok(Location::InPlace)
            }
            Ok(_) => Ok(Location::Renamed),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Location::Removed),
            Err(source) => Err(Error::io(&self.path, "look at the file", source)),
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Marks what was asked as taken, and returns it.
fn take(conn: &Connection) -> rusqlite::Result<Vec<Request>> {
    let now = unix_ns();
    let age_max = REQUEST_AGE_MAX.as_nanos() as i64;
    let mut take = conn.prepare(
        "UPDATE request SET (state, result) = (SELECT iif(why IS NULL, 'taken', 'refused'), why FROM
           (SELECT CASE
             WHEN at_unix_ns NOT BETWEEN ?1 AND ?2 THEN 'asked too long ago, or by another clock; ask again'
             WHEN length(CAST(arguments AS BLOB)) > ?3 OR max(length(CAST(by AS BLOB)), length(CAST(command AS BLOB))) > ?4
               THEN 'longer than a request may be'
             END AS why))
         WHERE id IN (SELECT id FROM request WHERE state = 'asked' ORDER BY id LIMIT ?5)
         RETURNING id, at_unix_ns, by, command, arguments, state",
    )?;
    let (from, to) = (now.saturating_sub(age_max), now.saturating_add(age_max));
    let limits = params![from, to, ARGUMENT_BYTES_MAX as i64, NAME_BYTES_MAX, REQUESTS_MAX];
    let mut requests = Vec::new();
    let mut rows = take.query(limits)?;
    while let Some(row) = rows.next()? {
        if row.get_ref(5)?.as_str()? == "taken" {
            requests.push(Request {
                id: row.get(0)?,
                at_unix_ns: row.get(1)?,
                by: row.get(2)?,
                command: row.get(3)?,
                arguments: row.get(4)?,
            });
        }
    }
    // SQLite does not promise an order.
    requests.sort_by_key(|request| request.id);
    let kept = KEPT.as_nanos() as i64;
    let (from, to) = (now.saturating_sub(kept), now.saturating_add(kept));
    let purge = "DELETE FROM request WHERE state <> 'asked' AND at_unix_ns NOT BETWEEN ?1 AND ?2";
    // They would do no harm, and what was taken is taken.
    let _ = conn.execute(purge, [from, to]);
    Ok(requests)
}

/// Removes a file of this kind, if there is one.
fn remove_stale(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(metadata) => {
            lock::check_type(path, &metadata)?;
            let (_mark, header) = ReaderMark::new(file_id(path, &metadata), path)
                .context(path, "read the start of the file")?;
            if !is_ours(&header) {
                let message = "a file of another program, left as it is; move it away to be able to \
                               ask the recording for something";
                return Err(Error::new(ErrorKind::ForeignDatabase, path, message));
            }
            fs::remove_file(path).context(path, "remove")?;
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::io(path, "look at the file", source)),
    }
    // Of a requester that was killed: it would be rolled back into the next file.
    match fs::remove_file(with_suffix(path, "-journal")) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(path, "remove the journal of", source))
        }
        _ => Ok(()),
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let in_place = matches!(self.location(), Ok(Location::InPlace));
        // Elsewhere than on Unix a file that is open cannot be removed.
        drop(self.conn.take());
        if in_place {
            // If it cannot be, the next recorder will.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(with_suffix(&self.path, "-journal"));
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("path", &self.path).finish_non_exhaustive()
    }
}
