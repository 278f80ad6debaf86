//! Each way in which `open` can fail has a kind of its own, and a message that names the path and
//! the remedy; a file that is not ours is left as it is.

#[cfg(target_os = "linux")]
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{APPLICATION_ID, ErrorKind, SCHEMA_VERSION, Store, StoreOptions};

use crate::common;
use crate::rights;

fn refused(path: &Path, kind: ErrorKind, says: &str, remedy: &str) {
    let error = Store::open(path, &StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.path(), path);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{}: ", path.display())), "{text}");
    assert!(text.contains(says) && text.contains(remedy), "{text}");
}

fn reader_refused(path: &Path, kind: ErrorKind) {
    let error = Reader::open(path).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
}

#[test]
fn missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("no/such.db"), ErrorKind::MissingFolder, "no folder", "make it");
    fs::write(folder.path().join("file"), "").unwrap();
    refused(&folder.path().join("file/p.db"), ErrorKind::MissingFolder, "no folder", "make it");
    reader_refused(&folder.path().join("no/such.db"), ErrorKind::NotFound);
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), ErrorKind::IsDirectory, "a folder", "name a file in it");
    refused(Path::new("/"), ErrorKind::IsDirectory, "a folder", "name a file in it");
    reader_refused(folder.path(), ErrorKind::IsDirectory);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target.db"), folder.path().join("link.db"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    refused(&link, ErrorKind::Symlink, "symbolic link", "name the file");
    assert!(!target.exists());
    fs::write(&target, "").unwrap();
    refused(&link, ErrorKind::Symlink, "symbolic link", "name the file");
    assert_eq!(fs::read(&target).unwrap(), b"");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_among_the_folders_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
    common::store(&folder.path().join("link/p.db"), &StoreOptions::default()).close().unwrap();
    assert!(folder.path().join("real/p.db").exists());
}

#[cfg(unix)]
#[test]
fn no_regular_file() {
    refused(Path::new("/dev/null"), ErrorKind::NotADatabase, "a device", "choose another path");
    reader_refused(Path::new("/dev/null"), ErrorKind::NotADatabase);
}

#[test]
fn not_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for text in ["hello", &"hello ".repeat(1000), "SQLite format 3\0"] {
        fs::write(&path, text).unwrap();
        refused(&path, ErrorKind::NotADatabase, "not a database", "choose another path");
        assert_eq!(fs::read(&path).unwrap(), text.as_bytes(), "left as it is");
    }
    reader_refused(&folder.path().join("missing"), ErrorKind::NotFound);
    fs::write(&path, "hello").unwrap();
    reader_refused(&path, ErrorKind::NotADatabase);
}

#[test]
fn the_database_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("tables.db", "CREATE TABLE notes (text)"),
        ("id.db", "PRAGMA application_id = 7; CREATE TABLE notes (text)"),
        ("wal.db", "PRAGMA journal_mode = WAL; CREATE TABLE notes (text)"),
    ] {
        let path = folder.path().join(name);
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        conn.close().unwrap();
        let before = fs::read(&path).unwrap();
        refused(&path, ErrorKind::ForeignDatabase, "another program", "choose another path");
        reader_refused(&path, ErrorKind::ForeignDatabase);
        assert_eq!(fs::read(&path).unwrap(), before, "left as it is");
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "no sidecar is left behind");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_newer_schema() {
    let (_folder, path) = common::place();
    common::store(&path, &StoreOptions::default()).close().unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    conn.close().unwrap();
    let before = fs::read(&path).unwrap();
    refused(&path, ErrorKind::NewerSchema, "newer spandrel", "upgrade");
    reader_refused(&path, ErrorKind::NewerSchema);
    assert_eq!(fs::read(&path).unwrap(), before, "left as it is");
}

#[test]
fn a_schema_that_lacks_a_table() {
    let (_folder, path) = common::place();
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    conn.execute_batch("CREATE TABLE span (id); PRAGMA user_version = 1").unwrap();
    conn.close().unwrap();
    refused(&path, ErrorKind::Corrupt, "no table run", ".recover");
    reader_refused(&path, ErrorKind::Corrupt);
}

#[test]
fn options_that_make_no_sense() {
    let (_folder, path) = common::place();
    for options in [
        StoreOptions { page_size: 1000, ..StoreOptions::default() },
        StoreOptions { page_size: 131_072, ..StoreOptions::default() },
        StoreOptions { wal_bytes_max: 0, ..StoreOptions::default() },
        StoreOptions { max_page_count: Some(0), ..StoreOptions::default() },
    ] {
        let error = Store::open(&path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(!path.exists());
    }
    let error = Store::open("", &StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
}

#[test]
fn too_little_space_for_the_tables_leaves_no_file() {
    let (_folder, path) = common::place();
    // A folder in the place of the log makes the change to write-ahead mode fail.
    fs::create_dir(common::sidecar(&path, "-wal")).unwrap();
    Store::open(&path, &StoreOptions::default()).unwrap_err();
    assert!(!path.exists());
}

#[test]
fn an_empty_file_counts_as_new() {
    let (_folder, path) = common::place();
    fs::write(&path, "").unwrap();
    common::store(&path, &StoreOptions::default()).close().unwrap();
    assert_eq!(Reader::open(&path).unwrap().runs().unwrap().len(), 1);
}

#[test]
fn strange_names_are_only_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:p.db?mode=memory", "p%20#?.db", "'; DROP TABLE span;--"] {
        let path = folder.path().join(name);
        let mut store = common::store(&path, &StoreOptions::default());
        common::record(&mut store, 3);
        store.close().unwrap();
        assert!(path.is_file(), "{name}");
        assert_eq!(common::spans(&Reader::open(&path).unwrap(), 1).len(), 3);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    const VARIABLE: &str = "SPANDREL_TEST_NO_PERMISSION";
    if let Some(folder) = std::env::var_os(VARIABLE) {
        rights::be_nobody();
        let folder = Path::new(&folder);
        let doing = "permissions";
        refused(&folder.join("new.db"), ErrorKind::PermissionDenied, "create", doing);
        refused(&folder.join("p.db"), ErrorKind::PermissionDenied, "open", doing);
        reader_refused(&folder.join("p.db"), ErrorKind::PermissionDenied);
        refused(&folder.join("secret/p.db"), ErrorKind::PermissionDenied, "", doing);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    common::store(&folder.path().join("p.db"), &StoreOptions::default()).close().unwrap();
    fs::set_permissions(folder.path().join("p.db"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(folder.path().join("secret")).unwrap();
    fs::set_permissions(folder.path().join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &common::this_test(), "--nocapture"]).env(VARIABLE, folder.path());
    let status = command.status().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(status.success());
}
