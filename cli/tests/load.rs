//! `spandrel load` leaves nothing behind. What it says is in `commands/said/load.md`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// `spandrel load` with its temporary files in a folder of the test.
fn load(folder: &Path, words: &[&str]) -> Command {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.arg("load").args(words).current_dir(folder).env("TMPDIR", &temporary);
    command.env_remove("SPANDREL_DB");
    command
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_profile_with_somebodys_mark_on_it_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let named =
        ["--for", "50ms", "--rate", "max", "--threads", "1", "--keep", "-q", "--db", "a b.db"];
    assert_eq!(load(folder.path(), &named).status().unwrap().code(), Some(0));
    let conn = rusqlite::Connection::open(folder.path().join("a b.db")).unwrap();
    conn.execute("UPDATE run SET label = 'mine'", []).unwrap();
    drop(conn);
    let before = fs::read(folder.path().join("a b.db")).unwrap();
    let output = load(folder.path(), &named).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not replaced"));
    assert!(fs::read(folder.path().join("a b.db")).unwrap() == before, "the file was touched");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_temporary_file() {
    use std::os::unix::process::ExitStatusExt;

    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    let mut child = load(folder.path(), &["--for", "1h", "-q"]).spawn().unwrap();
    let recording = || {
        let folders = fs::read_dir(&temporary).unwrap().flatten();
        folders.map(|folder| folder.path().join("load.db")).any(|path| path.exists())
    };
    while !recording() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it was asked to");
        std::thread::yield_now();
    }
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert_eq!(files(&temporary), 0, "temporary files are left");
}
