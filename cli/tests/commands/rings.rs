//! What `collect` and `recover` say of ring files: what became of them, which command helps, and that in the exit code.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use spandrel::Profiler;
use spandrel_storage::{RunInfo, Store, StoreOptions};
use tempfile::TempDir;
use tracing::info_span;

use super::fixture::{Recording, bare, run};

/// A folder in memory, for its user alone.
fn in_memory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm").unwrap()
}

/// What a program leaves that has recorded so many spans, and has closed.
fn record(rings: &Path, spans: u64) {
    let builder = Profiler::builder().collected(rings).ring_capacity(1 << 12).partitions(1);
    let profiler = builder.max_open_spans(64).build().unwrap();
    tracing::subscriber::with_default(profiler.subscriber(), || {
        (0..spans).for_each(|n| info_span!("work", n).in_scope(|| ()));
    });
    profiler.close().unwrap();
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    file
}

/// Says in a ring file that it has this version of the layout.
fn set_version(ring: &Path, version: u64) {
    let file = File::options().write(true).open(ring).unwrap();
    file.write_all_at(&version.to_ne_bytes(), 8).unwrap();
}

/// `spandrel collect RINGS --once -o p.db` in a folder.
fn collect(rings: &Path, folder: &Path) -> (String, i32) {
    let words = ["collect", rings.to_str().unwrap(), "--once", "-o", "p.db"];
    let (out, err, code) = run(bare(&words).current_dir(folder));
    assert_eq!(out, "");
    (err, code)
}

#[test]
fn collect_ends_with_what_it_has_and_what_to_do_next() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    record(rings.path(), 3);
    record(rings.path(), 2);
    let (said, code) = collect(rings.path(), folder.path());
    assert_eq!(code, 0, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[lines.len() - 3..],
        [
            "p.db: 2 runs to their ends",
            "2 runs and 5 spans in p.db",
            "next: spandrel top --db p.db   or runs, slow, tree, flame, report",
        ],
        "{said}"
    );
}

#[test]
fn collect_of_nothing_says_why_that_may_be_and_leaves_no_profile() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    let path = folder.path().join("p.db");
    let (said, code) = collect(rings.path(), folder.path());
    let shown = rings.path().display();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with(&format!(
            "there was nothing to collect in {shown}, and p.db was not made\n"
        )),
        "{said}"
    );
    assert!(
        said.contains(&format!("SPANDREL_COLLECT={shown}")) && said.contains("`layer()`"),
        "{said}"
    );
    assert!(!path.exists());
    Store::open(&path, &StoreOptions::default()).unwrap().close().unwrap();
    let (said, _) = collect(rings.path(), folder.path());
    assert!(said.contains(", and p.db is as it was\n") && path.exists(), "{said}");
}

#[test]
fn collect_once_is_no_success_where_files_are_left_alone() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    record(rings.path(), 3);
    let ring = only_file(rings.path());
    set_version(&ring, 2);
    let (said, code) = collect(rings.path(), folder.path());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("has version 2 of the layout"), "{said}");
    assert!(
        said.ends_with(
            "nothing was collected, and p.db was not made: 1 ring file was left alone, as said above\n"
        ),
        "{said}"
    );
    // Another one is collected all the same, and says so.
    record(rings.path(), 2);
    let (said, code) = collect(rings.path(), folder.path());
    assert!(code == 3 && said.contains("1 run and 2 spans in p.db"), "{said}");
    set_version(&ring, 1);
    let copy = folder.path().join("copy");
    fs::copy(&ring, &copy).unwrap();
    let (said, code) = collect(rings.path(), folder.path());
    assert!(code == 0 && said.contains("1 run and 3 spans in p.db"), "{said}");
    // One that is put back.
    fs::copy(&copy, &ring).unwrap();
    let (said, code) = collect(rings.path(), folder.path());
    assert!(code == 0 && said.contains("all that it has is in run 2 already"), "{said}");
    assert!(!ring.exists());
}

/// In a process of its own: dies in the middle of a request.
#[test]
fn a_program_that_dies() {
    let builder = Profiler::builder().ring_capacity(1 << 12).partitions(2);
    let variable = std::env::var_os;
    let builder = match (variable("SPANDREL_TEST_DIES"), variable("SPANDREL_TEST_DIES_COLLECTED")) {
        (Some(db), _) => builder.database(&db).crash_proof(true),
        (_, Some(rings)) => builder.collected(&rings),
        _ => return,
    };
    let profiler = builder.build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    tracing::subscriber::with_default(profiler.subscriber(), || {
        let _request = info_span!("request", order = 4711).entered();
        std::process::abort();
    });
}

/// A profile whose program has died, and its ring file in this folder.
fn died(folder: &Path, memory: &Path) -> (PathBuf, PathBuf) {
    let db = folder.join("p.db");
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "rings::a_program_that_dies", "--nocapture"]);
    program.env("SPANDREL_TEST_DIES", &db).env("XDG_RUNTIME_DIR", memory);
    program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(!program.status().unwrap().success());
    (db, only_file(&memory.join("spandrel")))
}

#[test]
fn recover_is_no_success_where_all_rings_are_refused_at_the_first_look() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), in_memory());
    let (db, ring) = died(folder.path(), memory.path());
    let db = db.to_str().unwrap();
    let recover = |words: &[&str]| {
        let mut command = bare(&["recover", "--db", db]);
        run(command.args(words).env("XDG_RUNTIME_DIR", memory.path()).env("COLUMNS", "1000"))
    };
    set_version(&ring, 2);
    for words in [&["-f", "table"][..], &["--dry-run"]] {
        let (out, err, code) = recover(words);
        assert!(code == 3 && out.contains("has version 2 of the layout"), "{code} {out}{err}");
        assert!(!out.contains("has left anything here"), "{out}");
    }
    set_version(&ring, 1);
    let copy = folder.path().join("copy");
    fs::copy(&ring, &copy).unwrap();
    let (out, err, code) = recover(&["-f", "table"]);
    assert!(code == 0 && out.contains("1 span was open then"), "{out}{err}");
    let (out, _, code) = recover(&["-f", "table"]);
    assert!(code == 0 && out.contains("no process that has died has left anything here"), "{out}");
    // Put back, it is in the run already.
    fs::copy(&copy, &ring).unwrap();
    let (out, _, code) = recover(&["-f", "table"]);
    let said = format!(
        "{}: all that it has is in run 1 already: nobody needs it, and it can be removed",
        ring.display()
    );
    assert!(code == 0 && out.contains(&said), "{out}");
    let (out, _, _) = recover(&["-f", "json"]);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["stored_already"][0]["run"], 1, "{found}");
    assert_eq!(found["stored_already"][0]["path"], ring.to_str().unwrap(), "{found}");
}

#[test]
fn recover_of_a_collected_profile_names_the_command_that_collects() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    record(rings.path(), 3);
    let run_of_ring = spandrel::recover::in_folder(rings.path()).unwrap().remove(0).run;
    let db = folder.path().join("p.db");
    let settings = serde_json::json!({ "collected_from": rings.path() }).to_string();
    let info = RunInfo { uuid: run_of_ring, args: "[]".into(), settings, ..RunInfo::default() };
    Recording::begin(&db, &info).leave();
    let db = db.to_str().unwrap();
    let recover = |format| run(bare(&["recover", "--db", db, "-f", format]).env("COLUMNS", "1000"));
    let (out, err, code) = recover("table");
    let shown = rings.path().display();
    let said = format!(
        "! 1 ring file waits in {shown} for a collector: `spandrel collect {shown} -o {db}`"
    );
    assert!(code == 3 && out.contains(&said), "{code} {out}{err}");
    assert!(!out.contains("has left anything here"), "{out}");
    let found: serde_json::Value = serde_json::from_str(&recover("json").0).unwrap();
    let waiting = &found["collected"][0];
    assert_eq!((&waiting["rings"], &waiting["dead"]), (&1.into(), &1.into()), "{found}");
    let words = ["collect", rings.path().to_str().unwrap(), "--once", "-o", db];
    let (_, err, code) = run(&mut bare(&words));
    assert_eq!(code, 0, "{err}");
    let (out, _, code) = recover("table");
    assert!(code == 0 && out.contains("has left anything here"), "{out}");
}

#[test]
fn a_ring_that_somebody_has_emptied_is_told_of_with_what_becomes_of_it() {
    // Of one that no collector has come to nobody knows whether there was anything.
    let said = "nothing is in it: somebody has emptied it, or its process was killed as it made it; it was removed";
    // Of a program that was collected: to nothing; and to nothing, and longer again.
    for lengths in [&[0][..], &[0, 1 << 20], &[5]] {
        let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
        let ring = rings.path().join("collected-4194999-00ff.ring");
        let file = File::options().write(true).create_new(true).open(&ring).unwrap();
        lengths.iter().for_each(|len| file.set_len(*len).unwrap());
        let (err, code) = collect(rings.path(), folder.path());
        assert!(
            code == 3 && err.contains(&format!("! {}: {said}", ring.display())),
            "{code} {err}"
        );
        assert!(!ring.exists());
    }
    // Of one that recorded into its profile.
    let (folder, memory) = (tempfile::tempdir().unwrap(), in_memory());
    let (db, ring) = died(folder.path(), memory.path());
    let recover = |words: &[&str]| {
        let mut command = bare(&["recover", "--db", db.to_str().unwrap(), "-f", "table"]);
        run(command.args(words).env("XDG_RUNTIME_DIR", memory.path()).env("COLUMNS", "1000"))
    };
    File::options().write(true).open(&ring).unwrap().set_len(0).unwrap();
    let (out, err, code) = recover(&["--dry-run"]);
    let would = format!("! {}: nothing is in it: somebody has emptied it", ring.display());
    assert!(code == 3 && out.matches(&would).count() == 1 && ring.exists(), "{code} {out}{err}");
    let lost = "so that what was in it and not stored is lost; it was removed\n";
    let (out, err, code) = recover(&[]);
    assert!(
        code == 3 && out.matches(&would).count() == 1 && out.contains(lost),
        "{code} {out}{err}"
    );
    assert!(!ring.exists());
    assert_eq!(recover(&[]).2, 0);
}

/// Of this process nothing is collected as long as it makes the file.
#[test]
fn a_ring_that_a_living_process_is_making_stays() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    let ring = rings.path().join(format!("collected-{}-00ff.ring", std::process::id()));
    fs::write(&ring, "").unwrap();
    let (err, code) = collect(rings.path(), folder.path());
    assert!(code == 0 && ring.exists(), "{code} {err}");
}

#[test]
fn recover_of_a_collected_profile_says_why_a_ring_is_refused() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    record(rings.path(), 3);
    let ring = only_file(rings.path());
    let run_of_ring = spandrel::recover::in_folder(rings.path()).unwrap().remove(0).run;
    set_version(&ring, 2);
    let db = folder.path().join("p.db");
    let settings = serde_json::json!({ "collected_from": rings.path() }).to_string();
    let info = RunInfo { uuid: run_of_ring, args: "[]".into(), settings, ..RunInfo::default() };
    Recording::begin(&db, &info).leave();
    let recover = |format| {
        let words = ["recover", "--db", db.to_str().unwrap(), "-f", format];
        run(bare(&words).env("COLUMNS", "1000"))
    };
    let (out, err, code) = recover("table");
    assert!(code == 3 && out.contains("has version 2 of the layout"), "{code} {out}{err}");
    assert!(out.starts_with(&format!("! {}: ", ring.display())), "{out}");
    assert!(!out.contains("for a collector"), "it would refuse it as well: {out}");
    let found: serde_json::Value = serde_json::from_str(&recover("json").0).unwrap();
    let waiting = &found["collected"][0];
    assert_eq!((&waiting["rings"], &waiting["refused"].as_array().unwrap().len()), (&0.into(), &1));
}

#[test]
fn what_was_open_at_a_death_is_said_with_the_command_that_shows_it() {
    // Of a program that is collected.
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "rings::a_program_that_dies", "--nocapture"]);
    program.env("SPANDREL_TEST_DIES_COLLECTED", rings.path());
    program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(!program.status().unwrap().success());
    let (said, code) = collect(rings.path(), folder.path());
    assert!(
        code == 0 && said.contains("has died; ") && said.contains("; 1 span was open then\n"),
        "{said}"
    );
    let way = "spandrel sql --recipe unfinished --db p.db\n";
    assert!(said.contains(&format!("1 span was open at a death: {way}")), "{said}");
    let shown =
        run(bare(&["sql", "--recipe", "unfinished", "--db", "p.db"]).current_dir(folder.path()));
    assert!(shown.0.contains("request"), "{shown:?}");
    // Of one that has left its ring.
    let (folder, memory) = (tempfile::tempdir().unwrap(), in_memory());
    died(folder.path(), memory.path());
    let mut command = bare(&["recover", "--db", "p.db", "-f", "table"]);
    let command = command.current_dir(folder.path()).env("XDG_RUNTIME_DIR", memory.path());
    let (out, _, code) = run(command.env("COLUMNS", "1000"));
    assert!(code == 0 && out.ends_with(&format!("what was open: {way}")), "{out}");
}

#[test]
fn only_the_folder_itself_is_made() {
    let (rings, folder) = (in_memory(), tempfile::tempdir().unwrap());
    let nested = rings.path().join("a/b/c");
    let words = ["collect", nested.to_str().unwrap(), "-o", "p.db"];
    let (_, err, code) = run(bare(&words).current_dir(folder.path()));
    assert!(
        code == 3 && err.contains("the folder that it would be in is not there"),
        "{code} {err}"
    );
    let refused = Profiler::builder().collected(&nested).build().unwrap_err().to_string();
    assert!(refused.contains("as the one that it would be in is not there"), "{refused}");
    assert_eq!(fs::read_dir(rings.path()).unwrap().count(), 0);
    let one = rings.path().join("a");
    Profiler::builder().collected(&one).build().unwrap().close().unwrap();
    assert_eq!(one.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}
