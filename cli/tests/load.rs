//! `spandrel load`: what it says agrees with what it did, and it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `spandrel load` with its temporary files in a folder of the test.
fn load(folder: &Path, words: &[&str]) -> Command {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.arg("load").args(words).current_dir(folder).env("TMPDIR", &temporary);
    command.env_remove("SPANDREL_DB");
    command
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_load_is_verified_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--async"], &["--subscriber", "--threads", "2"]] {
        let words = [&["--for", "200ms", "--rate", "3000", "-f", "json"], more].concat();
        let output = load(folder.path(), &words).output().unwrap();
        let document = json(&output);
        assert_eq!(document["verified"], true, "{document:#}");
        assert_eq!(document["faults"], Value::Array(Vec::new()));
        assert_eq!((&document["lost"], &document["dropped"]), (&0.into(), &0.into()));
        assert_eq!(document["stored"], document["sent"]);
        assert_eq!(document["run"]["spans"], document["sent"]);
        assert_eq!(document["schema_version"], 1);
        // Whether a busy machine kept the rate is its own affair; that the code says so is not.
        let code = if document["passed"] == true { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{document:#}");
        assert!(document["lag"]["p99_ns"].as_u64() > Some(0), "{document:#}");
    }
    assert_eq!(files(&folder.path().join("tmp")), 0, "temporary files are left");
    assert_eq!(files(folder.path()), 1, "files are left");
}

#[test]
fn a_rate_that_nobody_can_make_fails() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--for", "50ms", "--rate", "1000000000", "--color", "always"];
    let output = load(folder.path(), &words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAIL  rate ") && said.contains("fell behind"), "{said}");
    assert!(!said.contains('\u{1b}'), "plain text in a pipe: {said}");
}

#[test]
fn a_profile_is_kept_where_it_was_asked_for_and_replaced_by_the_next_load_only() {
    let folder = tempfile::tempdir().unwrap();
    let keep = ["--for", "50ms", "--rate", "max", "--threads", "1", "--keep", "-q"];
    let status = load(folder.path(), &keep).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(folder.path().join("load.db").exists());
    let named = [&keep[..], &["--db", "a b.db"]].concat();
    for _ in 0..2 {
        assert_eq!(load(folder.path(), &named).status().unwrap().code(), Some(0));
    }
    let conn = rusqlite::Connection::open(folder.path().join("a b.db")).unwrap();
    assert_eq!(conn.query_row("SELECT count(*) FROM run", [], |row| row.get(0)), Ok(1));
    conn.execute("UPDATE run SET label = 'mine'", []).unwrap();
    drop(conn);
    let before = fs::read(folder.path().join("a b.db")).unwrap();
    let output = load(folder.path(), &named).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not replaced"));
    assert!(fs::read(folder.path().join("a b.db")).unwrap() == before, "the file was touched");
}

#[test]
fn the_profile_of_the_environment_is_not_the_one_that_a_load_makes() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = load(folder.path(), &["--for", "50ms", "--rate", "max", "-q"]);
    let status = command.env("SPANDREL_DB", folder.path().join("other.db")).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!folder.path().join("other.db").exists());
}

#[test]
fn settings_out_of_range_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        ["--threads", "257"],
        ["--depth", "0"],
        ["--fields", "7"],
        ["--rate", "fast"],
        ["--rate", "0"],
        ["--for", "5"],
        ["--for", "1ms"],
    ] {
        let output = load(folder.path(), &words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(
            [" from ", "give a ", "no unit"].iter().any(|part| said.contains(part)),
            "{words:?}: {said}"
        );
    }
    assert_eq!(files(&folder.path().join("tmp")), 0);
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
