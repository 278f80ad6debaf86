//! Errors of the store.

use std::path::Path;

use super::{Error, ErrorKind};

impl Error {
    /// A file that looks like a profile but has ids that no recording can reach.
    pub(crate) fn damaged_ids(path: &Path) -> Self {
        let message = format!(
            "{}: has ids that no recording can reach, so the file is damaged; move it away, or \
             record into another file",
            path.display()
        );
        let kind = ErrorKind::Storage(spandrel_storage::ErrorKind::Corrupt);
        Self { kind, path: Some(path.to_path_buf()), message, source: None }
    }
}

impl From<spandrel_storage::Error> for Error {
    fn from(error: spandrel_storage::Error) -> Self {
        Self {
            kind: ErrorKind::Storage(error.kind()),
            path: Some(error.path().to_path_buf()),
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
