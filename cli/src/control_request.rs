//! Requests to the process that records a profile, and why there is no answer.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use spandrel_query::{Reader, Run};
use spandrel_storage::{Answer, ControlClient, Error, ErrorKind};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::recorder::State;

/// Between two attempts, while the recording begins its file for requests anew.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks, and waits for the answer until `timeout`. If somebody has deleted or damaged the file for
/// requests and a program still records, waits for the new file: it is made soon.
pub(crate) fn ask(
    path: &Path,
    command: &str,
    arguments: &str,
    timeout: Duration,
) -> Result<Answer, Failure> {
    // `None` if it is beyond what the clock can represent.
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let rest = deadline.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
        let (error, was_asked) = match ControlClient::open(path) {
            Ok(mut client) => match client.ask(command, arguments, rest) {
                Ok(answer) => return Ok(answer),
                Err(error) => (error, client.was_asked()),
            },
            Err(error) => (error, false),
        };
        let run = last_run(path);
        let may_come = !was_asked && can_be_mended(&error) && run.as_ref().is_some_and(listens);
        if rest.is_zero() || !may_come {
            return Err(failure(error, path, run.as_ref(), was_asked));
        }
        std::thread::sleep(PAUSE.min(rest));
    }
}

fn last_run(path: &Path) -> Option<Run> {
    Reader::open(path).and_then(|reader| reader.runs()).ok()?.pop()
}

/// Whether a live recording takes requests, as far as is known.
fn listens(run: &Run) -> bool {
    State::of(run) == State::Live && !has_control_off(run)
}

/// Whether a recording was set to take no requests.
fn has_control_off(run: &Run) -> bool {
    let settings: Value = serde_json::from_str(&run.info.settings).unwrap_or_default();
    settings.get("control") == Some(&Value::Bool(false))
}

/// Whether the recording will make another file for requests.
fn can_be_mended(error: &Error) -> bool {
    use ErrorKind::{
        Corrupt, ForeignDatabase, ForeignSchema, Moved, NotADatabase, NotAnswering, Sqlite, TooLong,
    };
    matches!(
        error.kind(),
        Corrupt
            | ForeignDatabase
            | ForeignSchema
            | Moved
            | NotADatabase
            | NotAnswering
            | Sqlite
            | TooLong
    )
}

/// The error for a recording that does not answer; it has an exit code of its own.
fn failure(error: Error, path: &Path, run: Option<&Run>, was_asked: bool) -> Failure {
    let not_answering = |message| Failure { exit: Exit::NotAnswering, message, hint: None };
    let state = run.map(State::of);
    let (path, pid) = (path.display(), run.map_or(0, |run| run.info.pid));
    match (error.kind(), state) {
        (ErrorKind::InvalidOption, _) => Failure::usage(error.to_string()),
        (ErrorKind::NewerSchema, _) => error.into(),
        (_, Some(State::Live)) if run.is_some_and(has_control_off) => not_answering(format!(
            "{path}: process {pid} records into it and takes no requests; start it without \
             SPANDREL_CONTROL=0"
        )),
        (kind, Some(State::Live)) if !was_asked => {
            let why = match run.and_then(why_not) {
                Some(why) => why,
                None if kind == ErrorKind::NotAnswering => {
                    "its file for requests is not there; try again in a minute".to_owned()
                }
                None => error.to_string(),
            };
            not_answering(format!(
                "{path}: process {pid} records into it and cannot be asked now: {why}"
            ))
        }
        (_, Some(State::Killed | State::Crashed)) if !was_asked => not_answering(format!(
            "{path}: no program is recording into this profile; process {pid}, which did, is gone"
        )),
        (ErrorKind::NotAnswering, _) | (_, Some(_)) => not_answering(error.to_string()),
        _ => error.into(),
    }
}

/// Why requests are impossible, according to the recording's own words in the profile.
pub(crate) fn why_not(run: &Run) -> Option<String> {
    let report: Value = serde_json::from_str(run.report.as_deref()?).ok()?;
    report.get("control_error")?.as_str().map(str::to_owned)
}
