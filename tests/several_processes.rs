//! Several processes that are given one path: one of them records, the others go on without and say so in
//! one line; with `%p` each has a file of its own.

use std::process::{Command, Stdio};

use spandrel_tests::prelude::*;

/// What such a program does: it knows nothing of others.
fn program() {
    let profiler = Profiler::from_env().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, u64::from(profiler.is_enabled()));
}

/// Runs it as another process, in the calling test, and returns what that wrote to its standard error.
fn run(database: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &child::this_test(), "--nocapture", "--test-threads=1"])
        .env("SPANDREL_TEST_ROLE", "record")
        .env("SPANDREL_DB", database)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_second_process_goes_on_unrecorded_and_says_so_in_one_line() {
    if child::role().is_some() {
        return program();
    }
    let scratch = scratch_for(60);
    let first = small(scratch.db()).build().unwrap();
    let said = run(scratch.db());
    let lines: Vec<_> = said.lines().filter(|line| line.contains("spandrel")).collect();
    let [line] = lines[..] else { panic!("{said}") };
    assert!(line.starts_with("spandrel: this process is not recorded: "), "{line}");
    assert!(line.contains("profile.db") && line.contains("in use"), "{line}");
    assert!(line.contains("%p"), "the way out: {line}");
    ledger::check_complete(scratch.db(), &first.close().unwrap());
    assert_eq!(Database::open(scratch.db()).count("SELECT count(*) FROM run"), 1);
}

#[test]
fn whoever_asks_gets_the_error_and_no_line() {
    let scratch = scratch_for(60);
    let first = small(scratch.db()).build().unwrap();
    let error = small(scratch.db()).build().unwrap_err();
    let in_use = ErrorKind::Storage(spandrel_storage::ErrorKind::InUse);
    assert_eq!((error.kind(), error.path()), (in_use, Some(scratch.db())));
    assert!(error.to_string().contains("%p"), "{error}");
    first.close().unwrap();
}

#[test]
fn with_the_process_id_in_the_path_each_has_its_own_file() {
    if child::role().is_some() {
        return program();
    }
    let scratch = scratch_for(60);
    let pattern = scratch.path("%n-%p-100%%-%t-%x.db");
    // This process holds a file of its own meanwhile.
    let profiler = small(&pattern).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    for _ in 0..3 {
        let said = run(&pattern);
        assert!(!said.contains("spandrel:"), "{said}");
    }
    profiler.close().unwrap();
    let program = std::env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_str().unwrap().to_owned();
    let files: Vec<_> = std::fs::read_dir(scratch.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for path in files {
        let db = Database::open(&path);
        assert_eq!(db.count("SELECT count(*) FROM spans"), 1);
        let pid = db.count("SELECT pid FROM run");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{program}-{pid}-100%-")), "{name}");
        assert!(name.ends_with("Z-%x.db"), "other percent signs stand for themselves: {name}");
    }
}
