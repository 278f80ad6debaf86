//! The versions of rusqlite that are accepted, under one set of names.
//!
//! A program can have one crate that links SQLite, and so the version is often not ours to choose: it
//! is the one that goes with the program's sqlx, diesel or rusqlite. From the first to the last version
//! of the range in the workspace's manifest, calls return `()` or a number where later ones return a
//! `Result`, and some methods are missing. What is here makes up for it; the gate builds and tests both
//! ends (`scripts/sqlite_range.sh`).

use rusqlite::Connection;
use rusqlite::Statement;

/// What a setter of some versions returns, as that of others: it cannot fail there.
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

/// Hands SQLite an image of a database, to be read under the name of an attached one. Fails before
/// rusqlite 0.34, where there is no way to do so without `unsafe`.
pub fn deserialize(conn: &mut Connection, schema: &str, image: &[u8]) -> rusqlite::Result<()> {
    #[allow(unused_imports)]
    use fallback::{DatabaseName, Deserialize};
    {
        // Names that rusqlite has come before those of the enclosing scope, and methods of
        // `Connection` before those of a trait: what is in `fallback` is used where it has none.
        #[allow(unused_imports)]
        use rusqlite::*;
        conn.deserialize_read_exact(DatabaseName::Attached(schema), image, image.len(), true)
    }
}

/// Whether the file is open for reading only, as where its folder may not be written to.
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

/// Whether SQLite can be handed an image: from rusqlite 0.34 on, which brings SQLite 3.49.
#[cfg(test)]
pub fn reads_images() -> bool {
    let mut conn = Connection::open_in_memory().unwrap();
    let refused =
        matches!(deserialize(&mut conn, "main", &[0; 512]), Err(rusqlite::Error::InvalidQuery));
    assert!(!refused || rusqlite::version_number() < 3_049_000, "rusqlite has lost a method");
    !refused
}
