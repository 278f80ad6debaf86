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

/// Not a test by itself: a program that starts others, of which the last one is killed in the middle.
#[cfg(all(unix, feature = "collected"))]
#[test]
fn program_that_starts_others() {
    use std::io::BufRead;

    let role = std::env::var("SPANDREL_TEST_FAMILY").unwrap_or_default();
    if role.is_empty() {
        return;
    }
    let profiler = spandrel::Profiler::from_env().unwrap();
    tracing_subscriber::registry().with(profiler.layer()).init();
    let work = |spans: u64| {
        (0..spans).for_each(|n| tracing::info_span!("work", n).in_scope(|| tracing::info!("done")));
    };
    if role != "parent" {
        work(1_000);
        let _open = (role == "killed").then(|| tracing::info_span!("charge").entered());
        if role == "killed" {
            eprintln!("recorded");
            loop {
                std::thread::park();
            }
        }
        drop(profiler.close().unwrap());
        std::process::exit(0);
    }
    let program = std::env::current_exe().unwrap();
    for role in ["comes", "goes", "comes again", "killed"] {
        let mut command = Command::new(&program);
        command.args(["--exact", "program_that_starts_others", "--nocapture"]);
        command.env("SPANDREL_TEST_FAMILY", role);
        // What a child inherits, somebody waits for.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        work(10);
        if role == "killed" {
            let said = std::io::BufReader::new(child.stderr.take().unwrap());
            assert!(said.lines().any(|line| line.unwrap() == "recorded"));
            child.kill().unwrap();
        }
        assert_eq!(child.wait().unwrap().success(), role != "killed");
    }
    drop(profiler.close().unwrap());
    std::process::exit(0);
}

#[cfg(all(unix, feature = "collected"))]
#[test]
fn of_a_program_and_those_that_it_starts_all_is_collected_also_of_one_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = record(folder.path(), &["--collect", "-o", "family.db", "--"]);
    command.arg(program).args(["--exact", "program_that_starts_others", "--nocapture"]);
    let output = command.env("SPANDREL_TEST_FAMILY", "parent").output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    let path = folder.path().join("family.db");
    let number = |sql: &str| -> i64 {
        Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(number("SELECT count(*) FROM run"), 5, "{err}");
    assert_eq!(number("SELECT count(*) FROM run WHERE spans = 1000 AND ended_unix_ns > 0"), 3);
    assert_eq!(number("SELECT count(*) FROM run WHERE spans = 40 AND ended_unix_ns > 0"), 1);
    assert_eq!(number("SELECT count(*) FROM spans WHERE name = 'work' AND status = 'ok'"), 4_040);
    assert_eq!(
        number("SELECT count(*) FROM spans WHERE name = 'charge' AND status = 'crashed'"),
        1
    );
    assert_eq!(number("SELECT sum(dropped_spans + dropped_events) FROM run"), 0);
    assert!(err.contains("crashed") && err.contains("recorded into family.db"), "{err}");
    assert!(!err.contains("what it held last is missing"), "nothing is: {err}");
}

#[cfg(all(unix, feature = "collected"))]
#[test]
fn the_ring_of_a_program_that_is_just_beginning_when_the_command_ends_stays() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let runtime = tempfile::tempdir().unwrap();
    std::fs::set_permissions(runtime.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    // As it is before a program has written its first page; the process in its name lives.
    let begins = r#"ring="$SPANDREL_COLLECT/collected-$PPID-00.ring"; head -c 8192 /dev/zero >"$ring"; echo "$ring""#;
    let mut command =
        record(folder.path(), &["--collect", "-o", "late.db", "--", "sh", "-c", begins]);
    let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
    let (out, err) = texts(&output);
    let ring = Path::new(out.trim());
    assert!(ring.exists(), "{out}\n{err}");
    let kept = ring.parent().unwrap();
    assert!(err.contains(&format!("spandrel collect {} -o ", kept.display())), "{err}");
    std::fs::remove_dir_all(kept).unwrap();
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
