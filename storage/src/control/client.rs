//! The side of the requester.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::absent::{has_ended, nobody_listens};
use super::{
    APPLICATION_ID, ARGUMENT_BYTES_MAX, AnswerState, VERSION, check_bytes, check_definitions,
    connect, is_ours, sidecar, too_many_steps, unix_ns,
};
use crate::error::{Context, Error, ErrorKind};
use crate::lock::{FileId, ReaderMark, file_id};
use crate::schema;
use crate::steps::Steps;

/// Pauses between two looks for an answer: the first one, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// The answer of the recording to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// How the request ended.
    pub state: AnswerState,
    /// A JSON object that says what was done; a message if it was refused or failed.
    pub result: String,
}

/// Asks a live recording for something, without touching its profile.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use spandrel_storage::{AnswerState, ControlClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ControlClient::open("profile.db")?;
/// let answer = client.ask("mark", r#"{"label": "deploy"}"#, Duration::from_secs(2))?;
/// assert_eq!(answer.state, AnswerState::Done, "{}", answer.result);
/// # Ok(())
/// # }
/// ```
pub struct ControlClient {
    // Before the mark, so that the connection is closed first.
    conn: Connection,
    _mark: ReaderMark,
    steps: Steps,
    id: FileId,
    profile: PathBuf,
    path: PathBuf,
    asked: bool,
}

impl ControlClient {
    /// Connects to the process that records into the profile at this path. Never makes a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] without such a profile; [`ErrorKind::NotAnswering`] if no process
    /// records into it, or that process takes no requests; the kinds of
    /// [`ReadOnly::open`](crate::ReadOnly::open) for a file beside it that is not what it should be; a
    /// recording soon replaces such a file.
    pub fn open(profile: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_at(profile.as_ref())
    }

    fn open_at(profile: &Path) -> Result<Self, Error> {
        // If the recording has ended, that is the reason to tell, whatever file is there.
        Self::find(profile).map_err(|error| match error.kind() {
            ErrorKind::NotAnswering | ErrorKind::NotFound => error,
            _ => has_ended(profile).unwrap_or(error),
        })
    }

    fn find(profile: &Path) -> Result<Self, Error> {
        let full = profile.canonicalize().context(profile, "find the profile")?;
        let path = sidecar(&full);
        let metadata = path.symlink_metadata().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => nobody_listens(profile),
            _ => Error::io(&path, "look at the file", source),
        })?;
        if !metadata.is_file() {
            let message = "no file, and where requests belong; move it away, and the recording makes \
                           its own within a minute";
            return Err(Error::new(ErrorKind::NotADatabase, &path, message));
        }
        let id = file_id(&path, &metadata);
        let (mark, header) =
            ReaderMark::new(id.clone(), &path).context(&path, "read the start of the file")?;
        if header.is_empty() {
            return Err(nobody_listens(profile)); // the recorder may be about to
        }
        if !is_ours(&header) {
            let message = "not made by spandrel; move it away, and the recording makes its own within a \
                           minute";
            return Err(Error::new(ErrorKind::ForeignDatabase, &path, message));
        }
        check_bytes(&path)?;
        // Others lock it for moments only, unless they hang.
        let (conn, steps) =
            connect(&path, Duration::from_secs(1)).map_err(|error| lost(error, profile, &path))?;
        let client =
            Self { conn, _mark: mark, steps, id, profile: profile.to_owned(), path, asked: false };
        client.check_version()?;
        Ok(client)
    }

    fn check_version(&self) -> Result<(), Error> {
        let application = schema::application_id(&self.conn).map_err(|error| self.lost(error))?;
        let version = schema::version(&self.conn).map_err(|error| self.lost(error))?;
        match (application, version) {
            (APPLICATION_ID, VERSION) => Ok(()),
            (APPLICATION_ID, newer) if newer > VERSION => {
                let message = "the recording is one of a newer spandrel; upgrade the command";
                Err(Error::new(ErrorKind::NewerSchema, &self.path, message))
            }
            _ => Err(nobody_listens(&self.profile)),
        }
    }

    /// The profile, as it was given to [`open`](Self::open).
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// Whether the last [`ask`](Self::ask) has put its request into the file. If not, nothing will come
    /// of it, and it can be asked again.
    pub fn was_asked(&self) -> bool {
        self.asked
    }

    /// Asks, and waits for the answer until `timeout`; then the request is withdrawn. `arguments` is a
    /// JSON object.
    ///
    /// That the recording refuses is an answer and no error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAnswering`] if there is no answer in time, or nobody to give one any more; the
    /// message says whether the request may still be carried out. [`ErrorKind::InvalidOption`] for
    /// arguments that are too long or no JSON object.
    ///
    /// # Blocking
    ///
    /// Up to `timeout`, and a moment for withdrawing. A recording looks for requests about every 50 ms;
    /// one that has to be committed to be carried out takes that much longer.
    pub fn ask(
        &mut self,
        command: &str,
        arguments: &str,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        self.asked = false;
        self.check_arguments(arguments)?;
        // `None` if it is beyond what the clock can represent.
        let deadline = Instant::now().checked_add(timeout);
        let rest =
            || deadline.map_or(PAUSES[1], |end| end.saturating_duration_since(Instant::now()));
        self.wait_for_locks(timeout)?;
        let id = self.insert(command, arguments, rest)?;
        self.asked = true;
        self.wait_for_locks(PAUSES[1])?;
        let mut pause = PAUSES[0];
        loop {
            // Before the answer is read: so an answer that came before the file was removed is not
            // missed.
            let gone = self.is_gone();
            if let Some(answer) = self.answer_to(id)? {
                return Ok(answer);
            }
            if gone {
                let message = "the recording has ended, or has begun its file for requests anew; the \
                               request was not answered and may have been carried out";
                return Err(Error::new(ErrorKind::NotAnswering, &self.profile, message));
            }
            let rest = rest();
            if rest.is_zero() {
                return self.withdraw(id, timeout);
            }
            std::thread::sleep(pause.min(rest));
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    fn check_arguments(&self, arguments: &str) -> Result<(), Error> {
        self.steps.begin();
        let check = "SELECT json_valid(?1) AND json_type(?1) = 'object'";
        let is_object = self.conn.query_row(check, [arguments], |row| row.get(0));
        let message = if arguments.len() > ARGUMENT_BYTES_MAX {
            format!(
                "the arguments have {} bytes; {ARGUMENT_BYTES_MAX} are allowed",
                arguments.len()
            )
        } else if !is_object.unwrap_or(false) || arguments.contains('\0') {
            "the arguments are not a JSON object; write one, such as {}".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidOption, &self.path, message))
    }

    /// Sets how long each of the following statements may wait for a lock.
    fn wait_for_locks(&self, time: Duration) -> Result<(), Error> {
        // SQLite counts milliseconds in 31 bits; nobody waits for so long.
        let time = time.min(Duration::from_secs(3_600));
        self.conn.busy_timeout(time).map_err(|error| self.lost(error))
    }

    fn insert(
        &self,
        command: &str,
        arguments: &str,
        rest: impl Fn() -> Duration,
    ) -> Result<i64, Error> {
        let program = std::env::current_exe().unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let by = format!("{} (process {})", crate::mark_label(&name), std::process::id());
        self.steps.begin();
        check_bytes(&self.path)?;
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)
            .map_err(|error| self.lost(error))?;
        self.wait_for_locks(rest())?;
        // Others may have locked the file for a while.
        self.steps.begin();
        self.bounded(check_definitions(&tx, &self.path))?;
        let insert = || -> rusqlite::Result<i64> {
            tx.execute(
                "INSERT INTO request (at_unix_ns, by, command, arguments, state)
                 VALUES (?1, ?2, ?3, ?4, 'asked')",
                params![unix_ns(), by, command, arguments],
            )?;
            let id = tx.last_insert_rowid();
            tx.commit()?;
            Ok(id)
        };
        insert().map_err(|error| self.lost(error))
    }

    fn bounded<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| match self.steps.are_over() {
            true => too_many_steps(&self.path),
            false => error,
        })
    }

    /// The answer; its row is deleted.
    fn answer_to(&self, id: i64) -> Result<Option<Answer>, Error> {
        self.steps.begin();
        check_bytes(&self.path)?;
        let find = "SELECT state, coalesce(result, '') FROM request WHERE id = ?1";
        let found = self
            .conn
            .query_row(find, [id], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
            .optional();
        let found = match found.map_err(|error| self.lost(error)) {
            // Somebody else has locked the file; there is time until the deadline.
            Err(error) if error.kind() == ErrorKind::NotAnswering => return Ok(None),
            found => found?,
        };
        let Some((state, result)) = found else {
            let message = "the request has vanished from the file; it was not answered";
            return Err(Error::new(ErrorKind::NotAnswering, &self.profile, message));
        };
        let state = AnswerState::ALL.into_iter().find(|known| known.as_str() == state);
        Ok(state.map(|state| {
            // If this fails, the recorder deletes it after a while.
            let _ = self.conn.execute("DELETE FROM request WHERE id = ?1", [id]);
            Answer { state, result }
        }))
    }

    /// Withdraws the request if it has not been answered; otherwise returns the answer.
    fn withdraw(&self, id: i64, timeout: Duration) -> Result<Answer, Error> {
        self.steps.begin();
        self.wait_for_locks(Duration::from_millis(250))?;
        let withdraw = "DELETE FROM request WHERE id = ?1 AND state = 'asked'";
        let what = match self.conn.execute(withdraw, [id]) {
            Ok(0) => match self.answer_to(id)? {
                Some(answer) => return Ok(answer),
                None => {
                    "the request was taken and may still be carried out; perhaps the recording \
                     cannot write to its profile"
                }
            },
            Ok(_) => "the request was withdrawn; perhaps the application was killed or is stopped",
            Err(_) => "the request could not be withdrawn; it will be refused if it is taken late",
        };
        let message = format!("no answer within {timeout:?}; {what}");
        Err(Error::new(ErrorKind::NotAnswering, &self.profile, message))
    }

    fn is_gone(&self) -> bool {
        !self
            .path
            .symlink_metadata()
            .is_ok_and(|metadata| file_id(&self.path, &metadata) == self.id)
    }

    fn lost(&self, source: rusqlite::Error) -> Error {
        if self.steps.are_over() {
            return too_many_steps(&self.path);
        }
        lost(source, &self.profile, &self.path)
    }
}

/// An error of SQLite, as an error for the requester.
fn lost(source: rusqlite::Error, profile: &Path, path: &Path) -> Error {
    let error = Error::sqlite(path, "ask", source);
    match error.kind() {
        ErrorKind::Busy => {
            let message = "somebody else holds the lock of the file for requests; end them, or try \
                           again";
            Error::new(ErrorKind::NotAnswering, path, message)
        }
        ErrorKind::Moved => nobody_listens(profile),
        _ => error,
    }
}

impl fmt::Debug for ControlClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlClient").field("path", &self.path).finish_non_exhaustive()
    }
}
