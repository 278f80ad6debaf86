//! Why a command could not do what it was asked.

use std::fmt;
use std::io;

use spandrel_storage::ErrorKind;

use crate::exit::Exit;

/// A message in lower case that names its subject; a hint; and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// What to do, if the message does not say it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    pub(crate) fn cannot_read(message: impl Into<String>) -> Self {
        Self { exit: Exit::CannotRead, message: message.into(), hint: None }
    }

    pub(crate) fn cannot_write(path: &std::path::Path, source: &io::Error) -> Self {
        let message = format!("cannot write {}: {source}", path.display());
        Self { exit: Exit::CannotRead, message, hint: None }
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// `did you mean self_ns? `, for a hint that lists the possible words; empty if nothing is similar.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = spandrel_query::nearest(word, known, 1);
    near.first().map_or_else(String::new, |near| format!("did you mean {near}? "))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<spandrel_storage::Error> for Failure {
    fn from(error: spandrel_storage::Error) -> Self {
        let failure = Self::cannot_read(error.to_string());
        match error.kind() {
            ErrorKind::NotFound => failure
                .hint("`spandrel record -- PROGRAM` makes a profile of a program with the layer"),
            ErrorKind::NewerSchema => {
                failure.hint("`cargo install --path cli` in a newer checkout upgrades this command")
            }
            _ => failure,
        }
    }
}
