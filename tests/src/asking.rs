//! Asking a recording for something from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use spandrel_storage::{AnswerState, ControlClient, Error};

/// Longer than any answer takes.
pub const LONG: Duration = Duration::from_secs(30);

/// The file beside a profile through which a recording is asked.
pub fn sidecar(profile: &Path) -> PathBuf {
    let mut name = profile.as_os_str().to_owned();
    name.push("-ctl");
    name.into()
}

/// Asks, and returns what was done; a request that was not carried out is a failed test.
pub fn ask(profile: &Path, command: &str, arguments: &Value) -> Value {
    let mut client = ControlClient::open(profile).expect("there is a recording");
    let answer = client.ask(command, &arguments.to_string(), LONG).expect("it answers");
    assert_eq!(answer.state, AnswerState::Done, "{command} {arguments}: {}", answer.result);
    serde_json::from_str(&answer.result).expect("what was done is JSON")
}

/// Sets a mark, and returns its moment.
pub fn mark(profile: &Path, label: &str) -> i64 {
    ask(profile, "mark", &json!({ "label": label }))["at_ns"].as_i64().expect("a moment")
}

/// Asks for a mark, and returns why it was refused.
pub fn refused(profile: &Path, command: &str, arguments: &Value) -> String {
    let mut client = ControlClient::open(profile).expect("there is a recording");
    let answer = client.ask(command, &arguments.to_string(), LONG).expect("it answers");
    assert_eq!(answer.state, AnswerState::Refused, "{command} {arguments}: {}", answer.result);
    answer.result
}

/// Asks for a mark and does not wait for long.
pub fn mark_within(profile: &Path, timeout: Duration) -> Result<(), Error> {
    ControlClient::open(profile)?.ask("mark", r#"{"label":"mark"}"#, timeout).map(|_| ())
}
