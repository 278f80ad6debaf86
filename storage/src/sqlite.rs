//! Which SQLite the program has linked, and whether it is good enough.
//!
//! It depends on who built the program: it may be the one that comes with rusqlite (feature `bundled`),
//! the one of another crate, or the system's.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The first version with STRICT tables, which profiles need.
const NEEDED: SqliteVersion = SqliteVersion(3_037_000);
/// The first version without a bug of write-ahead logs, see <https://sqlite.org/wal.html#walresetbug>.
const SOUND: SqliteVersion = SqliteVersion(3_051_003);

/// A version of SQLite, such as `3.51.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SqliteVersion(i32);

impl SqliteVersion {
    /// The first version that tells the size of a write-ahead log without copying it:
    /// `wal_checkpoint(NOOP)`.
    pub(crate) const TELLS_FRAMES: Self = Self(3_051_000);

    /// The version that this program has linked.
    pub fn linked() -> Self {
        Self(rusqlite::version_number())
    }

    /// What there is to say against recording with this version, and the way out; nothing from 3.51.3
    /// on.
    ///
    /// Before that, two connections that write or checkpoint at once can damage a write-ahead log. A
    /// recording has one connection that does; another one comes with whatever opens the file for
    /// writing while it is recorded.
    pub fn caution(self) -> Option<String> {
        (self < SOUND).then(|| {
            format!(
                "SQLite {self} can damage the file if another program that may write has it open \
                 while it is recorded; build with the feature `bundled` and a rusqlite of 0.39 or \
                 later, or link SQLite {SOUND} or later"
            )
        })
    }

    /// Returns an error if it cannot read and write profiles.
    pub(crate) fn check(self, path: &Path) -> Result<(), Error> {
        if self >= NEEDED {
            return Ok(());
        }
        let message = format!(
            "SQLite {self} is linked, and {NEEDED} or later is needed; build with the feature \
             `bundled`, or link a later one"
        );
        Err(Error::new(ErrorKind::OldSqlite, path, message))
    }
}

/// The one that is linked.
impl Default for SqliteVersion {
    fn default() -> Self {
        Self::linked()
    }
}

impl fmt::Display for SqliteVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0 / 1_000_000, self.0 / 1_000 % 1_000, self.0 % 1_000)
    }
}

/// `3.51.3`; the error is the text.
impl FromStr for SqliteVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| part.parse::<i32>().ok().filter(|part| (0..1_000).contains(part));
        let parts: Option<Vec<i32>> = text.split('.').map(part).collect();
        match parts.as_deref() {
            Some([major, minor, patch]) => Ok(Self(major * 1_000_000 + minor * 1_000 + patch)),
            _ => Err(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_it_is_read() {
        for text in ["3.37.0", "3.51.3", "3.54.1"] {
            assert_eq!(text.parse::<SqliteVersion>().unwrap().to_string(), text);
        }
        for text in ["", "3", "3.51", "3.51.3.1", "3.51.x", "3.1000.0", "-3.0.0"] {
            assert_eq!(text.parse::<SqliteVersion>(), Err(text.to_owned()));
        }
        assert_eq!(SqliteVersion::linked().to_string(), rusqlite::version());
    }

    #[test]
    fn one_that_is_too_old_is_refused_with_both_versions_and_the_way_out() {
        let old: SqliteVersion = "3.36.0".parse().unwrap();
        let error = old.check(Path::new("p.db")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OldSqlite);
        let message = error.to_string();
        for part in ["p.db", "3.36.0", "3.37.0", "`bundled`"] {
            assert!(message.contains(part), "{message}");
        }
        NEEDED.check(Path::new("p.db")).unwrap();
        SqliteVersion::linked().check(Path::new("p.db")).unwrap();
    }

    #[test]
    fn one_whose_logs_can_be_damaged_is_named() {
        let faulty: SqliteVersion = "3.51.2".parse().unwrap();
        let caution = faulty.caution().unwrap();
        assert!(caution.contains("3.51.2") && caution.contains("3.51.3"), "{caution}");
        assert_eq!(SOUND.caution(), None);
    }
}
