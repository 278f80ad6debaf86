//! The versions of rusqlite that are accepted, behind one set of names.
//!
//! A program can have only one crate that links SQLite, so we often cannot choose the version: it has to
//! go with the program's sqlx, diesel or rusqlite. Between the first and the last version of the range
//! in the workspace's manifest, some calls return `()` or a number where later ones return a `Result`,
//! and some methods are missing. This module hides the differences; the gate builds and tests both ends
//! (`scripts/sqlite_range.sh`).

use rusqlite::Connection;
use rusqlite::Statement;

/// Turns what a setter returns in older versions, where it cannot fail, into what it returns in newer
/// ones.
pub trait Settled {
    /// Nothing, or what went wrong.
    ///
    /// # Errors
    ///
    /// What the setter says.
    fn settled(self) -> rusqlite::Result<()>;
}

impl Settled for () {
    /// Nothing, or what went wrong.
    ///
    /// # Errors
    ///
    /// What the setter says.
    fn settled(self) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// The limit that was set before.
impl Settled for i32 {
    /// Nothing, or what went wrong.
    ///
    /// # Errors
    ///
    /// What the setter says.
    fn settled(self) -> rusqlite::Result<()> {
        Ok(())
    }
}

impl<T> Settled for rusqlite::Result<T> {
    /// Nothing, or what went wrong.
    ///
    /// # Errors
    ///
    /// What the setter says.
    fn settled(self) -> rusqlite::Result<()> {
        self.map(|_| ())
    }
}

/// A list in some versions, an iterator in others.
pub fn column_names(statement: &Statement<'_>) -> rusqlite::Result<Vec<String>> {
    (0..statement.column_count()).map(|at| statement.column_name(at).map(str::to_owned)).collect()
}

/// Gives SQLite an image of a database, to be read under the name of an attached one. Fails before
/// rusqlite 0.34, which has no safe call for it.
pub fn deserialize(conn: &mut Connection, schema: &str, image: &[u8]) -> rusqlite::Result<()> {
    #[allow(unused_imports)]
    use fallback::{DatabaseName, Deserialize};
    {
        // Names of rusqlite's shadow those of the enclosing scope, and methods of `Connection` those of
        // a trait: what is in `fallback` is used only if rusqlite does not have it.
        #[allow(unused_imports)]
        use rusqlite::*;
        conn.deserialize_read_exact(DatabaseName::Attached(schema), image, image.len(), true)
    }
}

/// Whether the file is open for reading only, for example because its folder is not writable.
pub fn is_read_only(conn: &Connection) -> rusqlite::Result<bool> {
    #[allow(unused_imports)]
    use fallback::DatabaseName;
    {
        // As above.
        #[allow(unused_imports)]
        use rusqlite::*;
        conn.is_readonly(DatabaseName::Attached("main"))
    }
}

#[allow(dead_code, non_snake_case)]
mod fallback {
    use rusqlite::Connection;

    /// An enum of rusqlite before 0.36; since then a name is a text.
    pub(super) struct DatabaseName;

    impl DatabaseName {
        pub(super) fn Attached(name: &str) -> &str {
            name
        }
    }

    /// A method of `Connection` since 0.34.
    pub(super) trait Deserialize {
        fn deserialize_read_exact<N>(
            &mut self,
            schema: N,
            image: &[u8],
            bytes: usize,
            read_only: bool,
        ) -> rusqlite::Result<()>;
    }

    impl Deserialize for Connection {
        fn deserialize_read_exact<N>(
            &mut self,
            _schema: N,
            _image: &[u8],
            _bytes: usize,
            _read_only: bool,
        ) -> rusqlite::Result<()> {
            Err(rusqlite::Error::InvalidQuery)
        }
    }
}

/// Whether SQLite can be given an image: from rusqlite 0.34 on, which has SQLite 3.49.
#[cfg(test)]
pub fn reads_images() -> bool {
    let mut conn = Connection::open_in_memory().unwrap();
    let refused =
        matches!(deserialize(&mut conn, "main", &[0; 512]), Err(rusqlite::Error::InvalidQuery));
    assert!(!refused || rusqlite::version_number() < 3_049_000, "rusqlite has lost a method");
    !refused
}
