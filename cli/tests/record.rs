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
    for variable in ["SPANDREL_DB", "SPANDREL_COLLECT", "SPANDREL_LABEL", "SPANDREL_COMMIT"] {
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

/// The folder and the profile in the command that collects what is left.
#[cfg(all(unix, feature = "collected"))]
fn told_command(err: &str) -> (&Path, &Path) {
    let (_, command) = err.split_once("spandrel collect ").unwrap_or_else(|| panic!("{err}"));
    let (folder, profile) = command.lines().next().unwrap().split_once(" -o ").unwrap();
    (Path::new(folder), Path::new(profile))
}

/// A folder in memory for folders of ring files.
#[cfg(all(unix, feature = "collected"))]
fn runtime_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let runtime = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o700)).unwrap();
    runtime
}

/// What `program_with_the_layer` records, collected.
#[cfg(all(unix, feature = "collected"))]
fn collect_once(rings: &Path, database: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.arg("collect").arg(rings).arg("--once").arg("-o").arg(database);
    let output = command.env_remove("SPANDREL_DB").output().unwrap();
    (texts(&output).1, output.status.code())
}

/// Runs `program_with_the_layer` by a script, as `"$@"`.
#[cfg(all(unix, feature = "collected"))]
fn scripted(folder: &Path, runtime: &Path, name: &str, script: &str) -> Output {
    let mut command = record(folder, &["--collect", "-o", name, "--", "sh", "-c", script, "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "program_with_the_layer", "--nocapture"]);
    command.env("SPANDREL_TEST_PROGRAM", "yes").env("XDG_RUNTIME_DIR", runtime).output().unwrap()
}

#[cfg(all(unix, feature = "collected"))]
#[test]
fn where_the_collector_fails_ring_files_stay_and_the_command_that_collects_them_is_told() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
    let script = r#"until [ -e gone.db ]; do sleep 0.01; done; rm gone.db; exec "$@""#;
    let output = scripted(folder.path(), runtime.path(), "gone.db", script);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
    assert!(err.contains("error: ") && err.contains("hint: nothing is lost"), "{err}");
    let (rings, profile) = told_command(&err);
    assert!(rings.starts_with(runtime.path()) && profile.ends_with("gone.db"), "{err}");
    let (err, code) = collect_once(rings, profile);
    assert_eq!(code, Some(0), "{err}");
    let spans = "SELECT CAST(count(*) AS TEXT) FROM spans WHERE name = 'work' AND status = 'ok'";
    assert_eq!(text(profile, spans).as_deref(), Some("3"));
    assert_eq!(fs::read_dir(rings).unwrap().count(), 0);
}

/// Is killed when this is dropped.
#[cfg(all(target_os = "linux", feature = "collected"))]
struct Left(String);

#[cfg(all(target_os = "linux", feature = "collected"))]
impl Drop for Left {
    fn drop(&mut self) {
        _ = Command::new("kill").arg(&self.0).stderr(std::process::Stdio::null()).status();
    }
}

#[cfg(all(target_os = "linux", feature = "collected"))]
#[test]
fn a_program_that_begins_to_record_when_the_command_has_ended_can_be_collected() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
    let script =
        r#"(until [ -e go ]; do sleep 0.02; done; exec "$@") </dev/null >/dev/null 2>&1 & echo $!"#;
    let output = scripted(folder.path(), runtime.path(), "late.db", script);
    let (out, err) = texts(&output);
    let _left = Left(out.trim().to_owned());
    assert!(err.contains("that it has started go on, and none of them records"), "{err}");
    let (rings, profile) = told_command(&err);
    assert_eq!(fs::read_dir(rings).unwrap().count(), 0);
    assert!(!profile.exists(), "nothing has come: {err}");
    fs::write(folder.path().join("go"), "").unwrap();
    while fs::read_dir(rings).unwrap().count() == 0 {
        std::thread::yield_now();
    }
    let ended = "SELECT 'ended' FROM run WHERE ended_unix_ns IS NOT NULL";
    while !profile.exists() || text(profile, ended).is_none() {
        let (err, code) = collect_once(rings, profile);
        assert_eq!(code, Some(0), "{err}");
    }
    assert_eq!(text(profile, "SELECT CAST(spans AS TEXT) FROM run").as_deref(), Some("3"));
}

#[test]
fn a_folder_of_ring_files_in_the_environment_takes_nothing_from_a_profile_that_is_named() {
    let (folder, rings) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = recorded(folder.path(), &["-o", "own.db"]);
    let output = command.env("SPANDREL_COLLECT", rings.path()).output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(7), "{err}");
    assert!(err.contains("recorded into own.db") && err.contains("3 spans"), "{err}");
}

fn texts(output: &Output) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (out.into_owned(), err.into_owned())
}

fn text(path: &Path, sql: &str) -> Option<String> {
    use rusqlite::OptionalExtension as _;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let found = Connection::open_with_flags(path, flags).unwrap();
    found.query_row(sql, [], |row| row.get(0)).optional().unwrap().flatten()
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

/// Not a test by itself: a program that is collected by a collector of its own, and moves its ring then into the folder that it
/// was told of. Lives until it is killed.
#[cfg(all(target_os = "linux", feature = "collected"))]
#[test]
fn program_whose_ring_another_collector_has() {
    use spandrel::collect::{CollectOptions, Collecting, collect};
    let Some(own) = std::env::var_os("SPANDREL_TEST_TAKEN") else { return };
    let profiler = spandrel::Profiler::builder().collected(&own).build().unwrap();
    tracing::subscriber::with_default(profiler.subscriber(), || {
        (0..3).for_each(|n| tracing::info_span!("work", n).in_scope(|| ()));
    });
    let told = std::env::var_os("SPANDREL_COLLECT").unwrap();
    let other = std::env::var_os("SPANDREL_TEST_OTHER").unwrap();
    let ring = fs::read_dir(&own).unwrap().next().unwrap().unwrap();
    let tell = |what| {
        if let Collecting::Begun { .. } = what {
            fs::rename(ring.path(), Path::new(&told).join(ring.file_name())).unwrap();
            fs::write("moved", "").unwrap();
        }
    };
    let options = CollectOptions::default();
    collect(Path::new(&own), Path::new(&other), &options, || false, tell).unwrap();
}

#[cfg(all(target_os = "linux", feature = "collected"))]
#[test]
fn where_another_collector_has_the_ring_it_is_said_who_and_the_ring_stays() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
    let own = runtime.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let script =
        r#""$@" </dev/null >/dev/null 2>&1 & echo $!; until [ -e moved ]; do sleep 0.02; done"#;
    let mut command = record(folder.path(), &["--collect", "-o", "p.db", "--", "sh", "-c", script]);
    command.arg("sh").arg(std::env::current_exe().unwrap());
    command.args(["--exact", "program_whose_ring_another_collector_has", "--nocapture"]);
    command.env("SPANDREL_TEST_TAKEN", &own).env("SPANDREL_TEST_OTHER", folder.path().join("o.db"));
    let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
    let (out, err) = texts(&output);
    let pid = out.trim().to_owned();
    let left = Left(pid.clone());
    assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
    let said =
        format!("p.db has nothing of sh: another collector has its ring files, process {pid}");
    assert!(err.contains(&said) && !err.contains("recorded nothing"), "{err}");
    let (rings, profile) = told_command(&err);
    let ring = fs::read_dir(rings).unwrap().next().unwrap().unwrap().path();
    // As long as the other one lives it is no success to collect, and said why.
    let (err, code) = collect_once(rings, profile);
    let nothing = format!("process {pid} drains 1 ring file in");
    assert!(code == Some(3) && err.contains(&nothing), "{code:?} {err}");
    drop(left);
    while ring.exists() {
        let (err, code) = collect_once(rings, profile);
        assert!(code == Some(0) || code == Some(3), "{err}");
    }
    let rows = "SELECT CAST(count(*) AS TEXT) FROM run";
    assert_eq!(text(profile, rows).as_deref(), Some("1"), "nothing is lost");
    fs::remove_dir_all(rings).unwrap();
}

#[cfg(all(unix, feature = "collected"))]
#[test]
fn files_that_somebody_has_taken_out_of_the_folder_are_not_nothing() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
    // Until the file system's clock has gone on.
    let script = r#"C=$SPANDREL_COLLECT; : >stamp; until : >"$C/x" && rm "$C/x" && [ "$C" -nt stamp ]; do :; done"#;
    let output = scripted(folder.path(), runtime.path(), "p.db", script);
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.contains("p.db has nothing of sh: ring files that were in their folder are gone"),
        "{err}"
    );
    assert_eq!(fs::read_dir(runtime.path()).unwrap().count(), 0);
}

/// Both begin in the same moment: the folder is the command's.
#[cfg(all(target_os = "linux", feature = "collected"))]
#[test]
fn a_collector_that_begins_on_the_folder_of_the_command_takes_nothing_from_it() {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime_folder());
    let script = r#""$SPANDREL" collect "$SPANDREL_COLLECT" -o other.db & "$@"; wait $! ; echo "it ended with $?""#;
    let mut command = record(folder.path(), &["--collect", "-o", "p.db", "--", "sh", "-c", script]);
    command.arg("sh").arg(std::env::current_exe().unwrap());
    command.args(["--exact", "program_with_the_layer", "--nocapture"]);
    command.env("SPANDREL", env!("CARGO_BIN_EXE_spandrel")).env("SPANDREL_TEST_PROGRAM", "yes");
    let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.contains("it ended with 3"), "{out}\n{err}");
    assert!(err.contains("spandrel record --collect`, process "), "{err}");
    assert!(err.contains("recorded into p.db") && err.contains("3 spans"), "{err}");
    assert!(!folder.path().join("other.db").exists());
}
