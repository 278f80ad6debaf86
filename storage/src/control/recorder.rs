//! The side of the recording: takes requests and answers them, and never waits.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{
    APPLICATION_ID, ARGUMENT_BYTES_MAX, AnswerState, REQUEST_AGE_MAX, SCHEMA, VERSION, check_bytes,
    check_definitions, check_length, connect, is_ours, sidecar, too_many_steps, unix_ns,
    with_suffix,
};
use crate::error::{Context, Error, ErrorKind};
use crate::location::Location;
use crate::lock::{self, FileId, ReaderMark, file_id};
use crate::steps::Steps;
use crate::store::Store;

/// Requests that are taken at a time ...
const REQUESTS_MAX: i64 = 64;
/// ... and how many of these are the newest ones, if there are more: so somebody who asks behind
/// thousands of requests does not have to wait for all of them.
const NEWEST_MAX: i64 = REQUESTS_MAX / 4;
/// Bytes of the name of a command, or of the requester.
const NAME_BYTES_MAX: i64 = 256;
/// A file of this length cannot have larger numbers of requests.
const LAST_ID_MAX: i64 = 1 << 48;
/// A longer file is not looked through once a second: somebody floods it.
const CHECKED_BYTES_MAX: u64 = 256 * 1024;
/// Answers that nobody has read for so long are deleted.
const KEPT: Duration = Duration::from_secs(60);

/// A request.
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
    journal: PathBuf,
    /// `PRAGMA data_version` when there was nothing left to take.
    seen: Option<i64>,
    /// All requests up to this number were looked at.
    last_id: i64,
    /// Whether the last look has left requests for the next one.
    more: bool,
    steps: Steps,
    /// Length and modification time of the file when it was last checked.
    checked: Option<(u64, Option<SystemTime>)>,
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
            // Best effort: an empty file is replaced the next time.
            let _ = fs::remove_file(&path);
        }
        made
    }

    fn open(path: &Path, id: FileId) -> Result<Self, Error> {
        let (mark, _) = ReaderMark::new(id.clone(), path).context(path, "look at the file")?;
        let make = || -> rusqlite::Result<(Connection, Steps)> {
            let (mut conn, steps) = connect(path, Duration::ZERO)?;
            let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.commit()?;
            Ok((conn, steps))
        };
        let (conn, steps) = make().context(path, "make the table")?;
        Ok(Self {
            conn: Some(conn),
            _mark: mark,
            id,
            path: path.to_owned(),
            journal: with_suffix(path, "-journal"),
            seen: None,
            last_id: 0,
            more: false,
            steps,
            checked: None,
        })
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

    /// The requests that came since the last call, in the order in which they came; they are taken with
    /// that, and each is to be answered. Of more than 64 these are the newest sixteen and then the oldest, and
    /// [`has_more`](Self::has_more) says so. Those that are too old or too long are refused here.
    ///
    /// # Errors
    ///
    /// `Busy` and `Full` may pass: nothing was taken. After other errors the file is of no use;
    /// `ForeignSchema` and `TooLong` say that somebody has put into it what does not belong there, and
    /// another one can take its place.
    ///
    /// # Blocking
    ///
    /// For some system calls, and never for somebody else. Whatever is in the file, a bounded number of
    /// steps. When nothing has changed nothing is allocated.
    pub fn poll(&mut self) -> Result<Vec<Request>, Error> {
        let Some(conn) = &self.conn else { return Ok(Vec::new()) };
        self.more = false;
        self.steps.begin();
        // SQLite rolls back what a killed requester has begun, however long that is.
        check_length(&self.journal)?;
        let version = conn.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        let version = version.context(&self.path, "look for requests")?;
        if self.seen == Some(version) {
            return Ok(Vec::new());
        }
        check_length(&self.path)?;
        let taken = take(conn, &self.path, self.last_id);
        let Taken { requests, last_id, are_all } = self.bounded(taken)?;
        self.last_id = last_id;
        self.more = !are_all;
        if are_all {
            self.seen = Some(version);
        }
        Ok(requests)
    }

    /// Whether the last [`poll`](Self::poll) has left requests for the next one.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Changes an error if it came because the call has used up its steps.
    fn bounded<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| match self.steps.are_over() {
            true => too_many_steps(&self.path),
            false => error,
        })
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
        self.answer_all([(id, state, result)])
    }

    /// Answers some at once, which costs little more than one: all of them, or none if that is an error.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    ///
    /// # Blocking
    ///
    /// As [`poll`](Self::poll), if there are no more than a few hundred.
    pub fn answer_all<'a>(
        &mut self,
        answers: impl IntoIterator<Item = (i64, AnswerState, &'a str)>,
    ) -> Result<(), Error> {
        let Some(conn) = &self.conn else { return Ok(()) };
        self.steps.begin();
        check_bytes(&self.path)?;
        let answer = || -> rusqlite::Result<()> {
            let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let sql =
                "UPDATE request SET state = ?2, result = ?3 WHERE id = ?1 AND state = 'taken'";
            let mut update = tx.prepare(sql)?;
            for (id, state, result) in answers {
                update.execute(params![id, state.as_str(), result])?;
            }
            drop(update);
            tx.commit()
        };
        self.bounded(answer().context(&self.path, "answer requests"))
    }

    /// An argument of a request, `None` if it is not given. `kind` is what it must be, in SQLite's
    /// words: `text`, or `object`, which is returned as JSON text.
    ///
    /// # Errors
    ///
    /// A message for the requester, if it is something else.
    pub fn argument(
        &self,
        request: &Request,
        name: &str,
        kind: &str,
    ) -> Result<Option<String>, String> {
        let Some(conn) = &self.conn else { return Ok(None) };
        self.steps.begin();
        let arguments = &request.arguments;
        let is_object = "SELECT json_valid(?1) AND json_type(?1) = 'object'";
        let is_object = conn.query_row(is_object, [arguments], |row| row.get(0));
        // SQLite reads only up to a zero byte.
        if !is_object.unwrap_or(false) || arguments.contains('\0') {
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

    /// The error for a file that [`location`](Self::location) does not find at its path.
    pub fn is_gone(&self) -> Error {
        let message = "the file for requests was deleted or replaced by somebody";
        Error::new(ErrorKind::Moved, &self.path, message)
    }

    /// Whether the file still is what was made: not cut short, and without damage that a requester would
    /// meet and [`poll`](Self::poll) does not, since SQLite reads a page again only if the file says that it
    /// has changed. Looks into it only if it was written since the last time.
    ///
    /// # Errors
    ///
    /// What is wrong with it. `Busy` may pass: nobody has looked.
    ///
    /// # Blocking
    ///
    /// For some system calls, and never for somebody else.
    pub fn check(&mut self) -> Result<(), Error> {
        let Some(conn) = &self.conn else { return Ok(()) };
        let doing = "check";
        let metadata = self.path.symlink_metadata().context(&self.path, "look at the file")?;
        let written = (metadata.len(), metadata.modified().ok());
        if self.checked == Some(written) {
            return Ok(());
        }
        self.steps.begin();
        check_length(&self.journal)?;
        let number = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, u32>(0));
        let pages = number("PRAGMA page_count").context(&self.path, doing)?;
        let page_bytes = number("PRAGMA page_size").context(&self.path, doing)?;
        if metadata.len() < u64::from(pages) * u64::from(page_bytes) {
            return Err(Error::new(ErrorKind::Corrupt, &self.path, "somebody has cut it short"));
        }
        if metadata.len() <= CHECKED_BYTES_MAX {
            conn.execute_batch("PRAGMA shrink_memory").context(&self.path, doing)?;
            let check = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
            let found = self.bounded(check.context(&self.path, doing))?;
            if found != "ok" {
                let message = "somebody has damaged it";
                return Err(Error::new(ErrorKind::Corrupt, &self.path, message));
            }
        }
        self.checked = Some(written);
        Ok(())
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

struct Taken {
    requests: Vec<Request>,
    last_id: i64,
    /// Whether there are no more requests.
    are_all: bool,
}

/// Marks requests as taken, and returns them.
fn take(conn: &Connection, path: &Path, after: i64) -> Result<Taken, Error> {
    let doing = "take requests";
    check_definitions(conn, path)?;
    let any = "SELECT EXISTS (SELECT 1 FROM request WHERE id > ?1)";
    let any: bool = conn.query_row(any, [after], |row| row.get(0)).context(path, doing)?;
    if !any {
        return Ok(Taken { requests: Vec::new(), last_id: after, are_all: true });
    }
    let tx =
        Transaction::new_unchecked(conn, TransactionBehavior::Immediate).context(path, doing)?;
    check_definitions(&tx, path)?;
    let newest = "SELECT coalesce(max(id), 0) FROM request";
    let newest: i64 = tx.query_row(newest, [], |row| row.get(0)).context(path, doing)?;
    let taken = take_rows(&tx, after).context(path, doing)?;
    if newest > LAST_ID_MAX {
        let message = "somebody has put a request into it that leaves no number for others";
        return Err(Error::new(ErrorKind::ForeignSchema, path, message));
    }
    tx.commit().context(path, doing)?;
    Ok(taken)
}

fn take_rows(tx: &Transaction<'_>, after: i64) -> rusqlite::Result<Taken> {
    let now = unix_ns();
    let rows = "SELECT count(*) FROM (SELECT 1 FROM request WHERE id > ?1 LIMIT ?2 + 1)";
    let rows: i64 = tx.query_row(rows, [after, REQUESTS_MAX], |row| row.get(0))?;
    let are_all = rows <= REQUESTS_MAX;
    let mut requests = Vec::new();
    let mut oldest_max = REQUESTS_MAX;
    if !are_all {
        oldest_max -= NEWEST_MAX;
        take_some(tx, now, after, "DESC", NEWEST_MAX, &mut requests)?;
    }
    take_some(tx, now, after, "ASC", oldest_max, &mut requests)?;
    let last_id = "SELECT max(id) FROM (SELECT id FROM request WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let last_id: Option<i64> = tx.query_row(last_id, [after, oldest_max], |row| row.get(0))?;
    let last_id = last_id.unwrap_or(after);
    purge(tx, now, last_id)?;
    Ok(Taken { requests, last_id, are_all })
}

/// Looks at so many rows after a number, from one end, and appends the requests that are taken, oldest
/// first.
fn take_some(
    tx: &Transaction<'_>,
    now: i64,
    after: i64,
    order: &str,
    most: i64,
    requests: &mut Vec<Request>,
) -> rusqlite::Result<()> {
    let age_max = REQUEST_AGE_MAX.as_nanos() as i64;
    // By number, so that no more rows are looked at than are taken. Values that are too long are not
    // read.
    let mut find = tx.prepare(&format!(
        "SELECT id, at_unix_ns, iif(fits, by, ''), iif(fits, command, ''), iif(fits, arguments, ''),
           CASE WHEN NOT fits THEN 'longer than a request may be'
             WHEN at_unix_ns NOT BETWEEN ?2 AND ?3
               THEN 'asked too long ago, or by another clock; ask again' END
         FROM (SELECT *, length(CAST(arguments AS BLOB)) <= ?4
             AND max(length(CAST(by AS BLOB)), length(CAST(command AS BLOB))) <= ?5 AS fits
           FROM request WHERE id > ?1 ORDER BY id {order} LIMIT ?6)
         WHERE state = 'asked'"
    ))?;
    let (from, to) = (now.saturating_sub(age_max), now.saturating_add(age_max));
    let bytes_max = ARGUMENT_BYTES_MAX as i64;
    let rows =
        find.query_map(params![after, from, to, bytes_max, NAME_BYTES_MAX, most], |row| {
            // In SQLite anything can be called text. If it is nonsense, its author is told, and nobody
            // else is affected.
            let mut no_text = false;
            let mut text = |column| -> rusqlite::Result<String> {
                let text = std::str::from_utf8(row.get_ref(column)?.as_bytes()?);
                no_text |= text.is_err();
                Ok(text.unwrap_or_default().to_owned())
            };
            let (by, command, arguments) = (text(2)?, text(3)?, text(4)?);
            let (id, at_unix_ns) = (row.get(0)?, row.get(1)?);
            let why_not = row.get::<_, Option<String>>(5)?;
            let why_not = why_not.or(no_text.then(|| "not UTF-8".to_owned()));
            Ok((Request { id, at_unix_ns, by, command, arguments }, why_not))
        })?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    found.sort_by_key(|(request, _)| request.id);
    let mut mark = tx.prepare("UPDATE request SET state = ?2, result = ?3 WHERE id = ?1")?;
    for (request, why_not) in found {
        let state = if why_not.is_none() { "taken" } else { "refused" };
        mark.execute(params![request.id, state, why_not])?;
        if why_not.is_none() {
            requests.push(request);
        }
    }
    Ok(())
}

/// Deletes some of the oldest rows whose answers nobody has read.
fn purge(tx: &Transaction<'_>, now: i64, up_to: i64) -> rusqlite::Result<()> {
    let kept = KEPT.as_nanos() as i64;
    let (from, to) = (now.saturating_sub(kept), now.saturating_add(kept));
    let purge = "DELETE FROM request
        WHERE id IN (SELECT id FROM request WHERE id <= ?3 ORDER BY id LIMIT ?4)
          AND at_unix_ns NOT BETWEEN ?1 AND ?2";
    tx.execute(purge, params![from, to, up_to, REQUESTS_MAX]).map(drop)
}

/// Removes a file of this kind, if there is one.
fn remove_stale(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(metadata) => {
            if !metadata.is_file() {
                let message = "no file of ours, and left as it is; move it away to be able to ask the \
                               recording for something";
                return Err(Error::new(ErrorKind::ForeignDatabase, path, message));
            }
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
    // A killed requester's journal: it would be rolled back into the next file.
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
        // Except on Unix, an open file cannot be removed.
        drop(self.conn.take());
        if in_place {
            // If that fails, the next recorder will do it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::StoreOptions;

    #[test]
    fn a_statement_ends_with_its_steps_and_the_next_one_has_all_of_them_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("p.db"), &StoreOptions::default()).unwrap();
        let mut control = Control::create(&store).unwrap();
        let conn = control.conn.as_ref().unwrap();
        control.steps.begin();
        // With this name, because nothing else can be read.
        let long = "WITH RECURSIVE request (i) AS
                      (SELECT 1 UNION ALL SELECT i + 1 FROM request WHERE i < 1000000000)
                    SELECT count(*) FROM request";
        let ended = conn.query_row(long, [], |row| row.get::<_, i64>(0));
        let error = control.bounded(ended.context(&control.path, "count")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignSchema, "{error}");
        assert!(error.to_string().contains("takes too long"), "{error}");
        assert_eq!(control.poll().unwrap(), []);
    }
}
