//! `spandrel record` around a program with the layer: what it records is found. What is said around others is in
//! `commands/said/record.md`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rusqlite::Connection;
use tracing_subscriber::prelude::*;

/// `spandrel record` in a folder.
fn record(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.arg("record").args(words).current_dir(folder);
    for variable in ["SPANDREL_DB", "SPANDREL_LABEL", "SPANDREL_COMMIT"] {
        command.env_remove(variable);
    }
    command
}

/// This test binary as a program that holds the layer: see `program_with_the_layer`.
fn recorded(folder: &Path, words: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let own = ["--", program.to_str().unwrap(), "--exact", "program_with_the_layer", "--nocapture"];
    let mut command = record(folder, &[words, &own].concat());
    command.env("SPANDREL_TEST_PROGRAM", "yes");
    command
}

/// Not a test by itself, but the program that others run.
#[test]
fn program_with_the_layer() {
    if std::env::var_os("SPANDREL_TEST_PROGRAM").is_none() {
        return;
    }
    let own = std::env::var_os("SPANDREL_TEST_OWN");
    let profiler = match &own {
        Some(path) => spandrel::Profiler::builder().database(path).build().unwrap(),
        None => spandrel::Profiler::from_env().unwrap(),
    };
    assert!(profiler.is_enabled());
    tracing_subscriber::registry().with(profiler.layer()).init();
    for n in 0..3 {
        tracing::info_span!("work", n).in_scope(|| tracing::info!("done"));
    }
    println!("the program says this");
    match std::env::var("SPANDREL_TEST_END").as_deref() {
        Ok("open") => std::process::exit(0),
        _ => drop(profiler.close().unwrap()),
    }
    std::process::exit(7);
}

fn texts(output: &Output) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (out.into_owned(), err.into_owned())
}

fn text(path: &Path, sql: &str) -> Option<String> {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The short name of the commit that the sources are at, if they are in a repository.
fn commit() -> Option<String> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let said = Command::new("git").args(["-C", folder, "rev-parse", "--short", "HEAD"]).output();
    let said = said.ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).unwrap().trim().to_owned())
}

#[test]
fn a_program_is_recorded_with_label_and_commit_and_its_exit_code_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a run.db");
    let words = ["-o", path.to_str().unwrap(), "--label", "after the index"];
    let output = recorded(Path::new(env!("CARGO_MANIFEST_DIR")), &words).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(7), "{out}\n{err}");
    assert!(out.contains("the program says this"), "{out}");
    assert!(!out.contains("recorded into"), "only the program writes to the output: {out}");
    assert!(err.contains("run 1  \"after the index\"") && err.contains("3 spans"), "{err}");
    assert!(err.contains("complete") && err.contains("spandrel top --db '/"), "{err}");
    let label = "SELECT label FROM run";
    assert_eq!(text(&path, label).as_deref(), Some("after the index"));
    assert_eq!(text(&path, "SELECT settings ->> '$.commit' FROM run"), commit());

    // Another run goes to the same file, and only that one is told of.
    let output = recorded(folder.path(), &words[..2]).output().unwrap();
    let (_, err) = texts(&output);
    assert!(err.contains("run 2 ") && !err.contains("run 1 "), "{err}");
    assert_eq!(text(&path, "SELECT settings ->> '$.commit' FROM run WHERE id = 2"), None);
}

#[test]
fn a_recording_that_was_not_closed_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = recorded(folder.path(), &["-o", "open.db", "--strict"]);
    let output = command.env("SPANDREL_TEST_END", "open").output().unwrap();
    let (_, err) = texts(&output);
    assert!(err.contains("did not close its recording"), "{err}");
    assert_eq!(output.status.code(), Some(5), "{err}");
}

#[test]
fn a_program_that_names_its_own_database_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    // A profile of before is not taken for it.
    let old = recorded(folder.path(), &["-o", "old.db"]).output().unwrap();
    assert_eq!(old.status.code(), Some(7), "{}", texts(&old).1);
    let output = recorded(folder.path(), &["-o", "told.db"])
        .env("SPANDREL_TEST_OWN", "data/own.db")
        .output()
        .unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(7), "the code of the program: {err}");
    assert!(!err.contains("error:") && err.contains("did not record into told.db"), "{err}");
    assert!(err.contains("recorded into data/own.db") && err.contains("3 spans"), "{err}");
    assert!(err.contains("spandrel top --db data/own.db"), "{err}");
}
