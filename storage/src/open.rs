//! From a path to a connection that may write.
//!
//! A file that is not ours is never touched: everything that the first bytes of the file tell is read
//! through the descriptor that holds the lock, before SQLite opens it.
//!
//! A recording needs write-ahead mode. A file that was closed properly is in rollback mode and has no
//! sidecars, so it can be copied as a single file, and read from a read-only folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::checkpoint;
use crate::error::{Context, Error, ErrorKind};
use crate::ids::LastIds;
use crate::intern::Interner;
use crate::lock::{StoreLock, start_of};
use crate::options::StoreOptions;
use crate::ownership;
use crate::retention;
use crate::schema::{self, Found, Use};

/// Files up to this size are checked page by page when they are opened, which takes about 1 ms a MiB. Of
/// larger ones only the header, the size and the schema are checked, and each page when it is read.
pub(crate) const QUICK_CHECK_BYTES_MAX: u64 = 64 << 20;

/// Pages that SQLite keeps: enough for a large batch of rows with some fields, so that few pages are
/// written before the commit.
pub(crate) const CACHE_KIB: i64 = 1_536;

/// An absolute path without symbolic links among its folders.
pub(crate) fn full_path(path: &Path) -> Result<PathBuf, Error> {
    let absolute = std::path::absolute(path).context(path, "resolve the path")?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(crate::lock::is_directory(path));
    };
    match folder.canonicalize() {
        Ok(real) if real.is_dir() => Ok(real.join(name)),
        Ok(_) => Err(missing_folder(path, folder)),
        Err(source)
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Err(missing_folder(path, folder))
        }
        Err(source) => Err(Error::io(path, "look at the folder", source)),
    }
}

fn missing_folder(path: &Path, folder: &Path) -> Error {
    let message = format!("there is no folder {}; make it first", folder.display());
    Error::new(ErrorKind::MissingFolder, path, message)
}

/// Opens or makes the database under the lock, and leaves it in write-ahead mode.
pub(crate) fn connect(
    path: &Path,
    full: &Path,
    lock: &StoreLock,
    options: &StoreOptions,
) -> Result<Connection, Error> {
    ownership::check_sidecars(path, full)?;
    let file = lock.file().context(path, "look at the file")?;
    check_header(path, file)?;
    let mut conn = open(full, options).context(path, "open")?;
    let found = schema::inspect(path, &mut conn, Use::Writing)?;
    if found.objects == 0 {
        create_schema(&mut conn, options).map_err(|source| {
            Error::in_new_file(path, "make the tables", source, || empty_bytes(options))
        })?;
    } else {
        check_version(path, &conn)?;
        let version = schema::version(&conn).context(path, "read the schema")?;
        if version < schema::SCHEMA_VERSION {
            upgrade(path, &mut conn)?;
        }
        let bytes = file.metadata().context(path, "look at the file")?.len();
        check_content(path, &conn, &found, bytes)?;
        // Before the file is changed: it may contain text that is no text.
        let last = LastIds::read(&conn).context(path, "read the largest ids")?;
        Interner::load(&conn, &last).context(path, "read the callsites")?;
    }
    if !options.live_readers {
        conn =
            alone(full, conn, options).context(path, "lock the file for this recording alone")?;
    }
    settle(path, &conn, options)?;
    Ok(conn)
}

fn open(full: &Path, options: &StoreOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(full, flags)?;
    // SQLite counts milliseconds in 31 bits, some 24 days.
    conn.busy_timeout(options.busy_timeout.min(Duration::from_millis(i32::MAX as u64)))?;
    harden(&conn)?;
    run_nothing(&conn)?;
    Ok(conn)
}

/// A connection beside which nobody else may read. It keeps the index of the log in memory, if this mode
/// is chosen before the log is opened.
fn alone(full: &Path, conn: Connection, options: &StoreOptions) -> rusqlite::Result<Connection> {
    // A connection that goes to write-ahead mode by itself would keep the lock on the PENDING byte,
    // which we need ourselves; see `shield`.
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)?;
    let conn = open(full, options)?;
    conn.query_row("PRAGMA main.locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    Ok(conn)
}

/// Settings for any connection: files come from elsewhere, and so do their schemas.
pub(crate) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    schema::limit(conn)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")
}

/// For connections that write: with these settings nothing in a file runs. Definitions that would run
/// were refused before (see `schema/classify.rs`); this is in case that somebody adds one later.
pub(crate) fn run_nothing(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false).map(drop)
}

/// Looks at the first bytes: <https://sqlite.org/fileformat2.html#the_database_header>.
pub(crate) fn check_header(path: &Path, file: &File) -> Result<(), Error> {
    let header = start_of(file).context(path, "read")?;
    if header.is_empty() {
        return Ok(());
    }
    let number = |at: usize| -> Option<i32> {
        Some(i32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?))
    };
    let (Some(version), Some(application)) = (number(60), number(68)) else {
        return Err(not_a_database(path));
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(not_a_database(path));
    }
    // A b-tree leaf without cells: the schema table of a database that has never been used.
    let unused = header.get(100) == Some(&0x0D) && header.get(103..105) == Some(&[0, 0]);
    if application != schema::APPLICATION_ID && !(application == 0 && unused) {
        return Err(foreign(path));
    }
    if version > schema::SCHEMA_VERSION {
        return Err(newer(path, version));
    }
    Ok(())
}

/// The same checks as of the header, by SQLite: a write-ahead log may have newer values.
pub(crate) fn check_version(path: &Path, conn: &Connection) -> Result<(), Error> {
    if schema::application_id(conn).context(path, "read")? != schema::APPLICATION_ID {
        return Err(foreign(path));
    }
    let version = schema::version(conn).context(path, "read")?;
    if version > schema::SCHEMA_VERSION {
        return Err(newer(path, version));
    }
    Ok(())
}

fn check_tables(path: &Path, conn: &Connection) -> Result<(), Error> {
    match schema::missing_table(conn).context(path, "read the schema")? {
        Some(table) => Err(corrupt(path, &format!("there is no table {table}"))),
        None => Ok(()),
    }
}

pub(crate) fn check_content(
    path: &Path,
    conn: &Connection,
    found: &Found,
    bytes: u64,
) -> Result<(), Error> {
    check_tables(path, conn)?;
    if bytes <= QUICK_CHECK_BYTES_MAX {
        let verdict = schema::quick_check(conn, found).context(path, "check the file")?;
        if verdict != "ok" {
            return Err(corrupt(path, &verdict));
        }
    }
    Ok(())
}

fn create_schema(conn: &mut Connection, options: &StoreOptions) -> rusqlite::Result<()> {
    // Both have to be set before the first table. INCREMENTAL lets retention give pages back, even if a
    // limit is set only later; it costs 70 instructions a row (of 2,700), and a page of pointers for
    // some 3,000 pages.
    conn.pragma_update(None, "page_size", options.page_size)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Still in rollback mode, so that the main file says whose it is before there is a log.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    schema::create(&tx)?;
    tx.commit()
}

/// The size of a profile without any recording; 0 if that cannot be known.
fn empty_bytes(options: &StoreOptions) -> u64 {
    let bytes = || -> rusqlite::Result<u64> {
        let mut conn = Connection::open_in_memory()?;
        create_schema(&mut conn, options)?;
        retention::bytes(&conn)
    };
    bytes().unwrap_or(0)
}

fn upgrade(path: &Path, conn: &mut Connection) -> Result<(), Error> {
    let doing = "upgrade the tables";
    check_tables(path, conn)?; // which all versions have
    let writable = |conn: &Connection, on: bool| -> rusqlite::Result<()> {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, !on)?;
        // The second value makes SQLite read the schema again.
        conn.pragma_update(None, "writable_schema", if on { "ON" } else { "RESET" })
    };
    writable(conn, true).context(path, doing)?;
    let upgraded = upgrade_writable(path, conn, doing);
    writable(conn, false).context(path, doing)?;
    upgraded
}

fn upgrade_writable(path: &Path, conn: &mut Connection, doing: &str) -> Result<(), Error> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).context(path, doing)?;
    let complete =
        schema::migrate(&tx, schema::MIGRATIONS, schema::SCHEMA_VERSION).context(path, doing)?;
    if !complete {
        return Err(corrupt(path, "its schema version is none that was ever released"));
    }
    tx.commit().context(path, doing)
}

fn settle(path: &Path, conn: &Connection, options: &StoreOptions) -> Result<(), Error> {
    let doing = "change to write-ahead mode";
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .context(path, doing)?;
    if mode != "wal" {
        let message = "the file system cannot share memory, which recording needs; choose a path \
                       on a local disk";
        return Err(Error::new(ErrorKind::Io, path, message));
    }
    let settle = || -> rusqlite::Result<()> {
        conn.pragma_update(None, "synchronous", options.synchronous.as_str())?;
        conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        let log_bytes_max = checkpoint::file_bytes_kept(options, checkpoint::counts_frames());
        let log_bytes_max = i64::try_from(log_bytes_max).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "journal_size_limit", log_bytes_max, |_| Ok(()))?;
        // Negative: KiB.
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        conn.pragma_update(None, "foreign_keys", false)
    };
    settle().context(path, "set up the connection")
}

fn not_a_database(path: &Path) -> Error {
    Error::new(ErrorKind::NotADatabase, path, "not a database; choose another path")
}

fn foreign(path: &Path) -> Error {
    let message = "a database of another program, left as it is; choose another path";
    Error::new(ErrorKind::ForeignDatabase, path, message)
}

fn newer(path: &Path, version: i32) -> Error {
    let message = format!(
        "written by a newer spandrel (schema version {version}, this one knows {}); upgrade \
         spandrel, or choose another path",
        schema::SCHEMA_VERSION
    );
    Error::new(ErrorKind::NewerSchema, path, message)
}

fn corrupt(path: &Path, how: &str) -> Error {
    let message = format!(
        "damaged ({how}); move it away, and recover what is left with the command .recover of \
         sqlite3"
    );
    Error::new(ErrorKind::Corrupt, path, message)
}
