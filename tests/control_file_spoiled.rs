//! The file for requests is deleted, spoiled or replaced while a program records, or cannot be made: the
//! recording goes on, begins the file anew as soon as it can, the ledger says why nobody can ask until then,
//! and nobody else's file is touched.

use std::fs;

use spandrel_storage::{ControlClient, ErrorKind};
use spandrel_tests::asking::{mark, sidecar};
use spandrel_tests::prelude::*;

fn record(profiler: &Profiler, count: u64) {
    within(&dispatch(profiler), || (0..count).for_each(|n| drop(info_span!("work", n))));
    profiler.mark("inside").unwrap();
    profiler.flush(Duration::from_secs(20)).unwrap();
}

/// Ends a recording that has lost nothing, and returns why nobody could ask.
fn finish(path: &Path, profiler: &Profiler, spans: u64) -> Option<String> {
    let report: Report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.marks_dropped, &report.last_error), (spans, 0, &None));
    ledger::check_complete(path, &report);
    report.stats.control_error
}

fn nobody_answers(path: &Path) {
    let error = ControlClient::open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAnswering, "{error}");
}

/// Until one can ask again, through a new file.
fn wait_for_another_file(profiler: &Profiler, path: &Path) {
    loop {
        // There, and whole; the old one can be, too, until somebody looks at it.
        let is_begun = profiler.stats().control_error.is_some_and(|e| e.contains("begun anew"));
        if is_begun && ControlClient::open(path).is_ok() {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_deleted_file_is_made_anew() {
    let (scratch, profiler) = recording_for(60);
    let path = sidecar(scratch.db());
    mark(scratch.db(), "before");
    fs::remove_file(&path).unwrap();
    record(&profiler, 10);
    wait_for_another_file(&profiler, scratch.db());
    mark(scratch.db(), "after");
    record(&profiler, 10);
    assert_eq!(profiler.stats().marks, 4);
    let error = finish(scratch.db(), &profiler, 20).unwrap();
    assert!(error.contains("deleted or replaced"), "{error}");
    assert!(!path.exists());
}

/// What people do to a file that they take for something else.
fn spoil(path: &Path, how: &str) {
    let file = || fs::OpenOptions::new().write(true).open(path).unwrap();
    match how {
        "emptied" => file().set_len(0).unwrap(),
        "cut short" => file().set_len(4_096).unwrap(),
        "overwritten" => fs::write(path, vec![0x5A; 8_192]).unwrap(),
        "a few bytes" => fs::write(path, "hi\n").unwrap(),
        "zeros" => fs::write(path, vec![0; 8_192]).unwrap(),
        "damaged inside" => {
            use std::os::unix::fs::FileExt;
            file().write_all_at(&[0x5A; 4_096], 4_096).unwrap();
        }
        _ => {
            let other = rusqlite::Connection::open(path).unwrap();
            other.busy_timeout(Duration::from_secs(20)).unwrap();
            other.execute_batch("DROP TABLE request").unwrap();
        }
    }
}

#[test]
fn a_file_that_is_spoiled_is_begun_anew_and_one_can_ask_again() {
    let _limit = time_limit(100);
    let ways = ["emptied", "cut short", "overwritten", "a few bytes", "zeros", "damaged inside"];
    for how in ways.into_iter().chain(["without its table"]) {
        let (scratch, profiler) = recording();
        let path = sidecar(scratch.db());
        mark(scratch.db(), "before");
        spoil(&path, how);
        record(&profiler, 10);
        wait_for_another_file(&profiler, scratch.db());
        mark(scratch.db(), "after");
        assert_eq!(profiler.stats().marks, 3, "{how}");
        let error = finish(scratch.db(), &profiler, 10).unwrap();
        assert!(error.contains("profile.db-ctl"), "{how}: {error}");
        assert!(!path.exists(), "it was ours");
    }
}

#[test]
fn a_file_put_in_its_place_is_not_touched_and_one_can_ask_when_it_has_gone() {
    let (scratch, profiler) = recording_for(100);
    let path = sidecar(scratch.db());
    let theirs = scratch.path("theirs");
    fs::write(&theirs, "theirs").unwrap();
    fs::rename(&theirs, &path).unwrap();
    while !profiler.stats().control_error.is_some_and(|error| error.contains("left as it is")) {
        std::thread::yield_now();
    }
    record(&profiler, 10);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    fs::rename(&path, &theirs).unwrap();
    wait_for_another_file(&profiler, scratch.db());
    mark(scratch.db(), "after");
    assert!(finish(scratch.db(), &profiler, 10).unwrap().contains("begun anew"));
    assert!(theirs.exists() && !path.exists());
}

#[test]
fn where_it_cannot_be_made_the_recording_goes_on() {
    let _limit = time_limit(100);
    let foreign = |path: &Path| fs::write(path, "theirs").unwrap();
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    let link = |path: &Path| std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap();
    for spoil in [&foreign as &dyn Fn(&Path), &folder, &link] {
        let scratch = scratch();
        let path = sidecar(scratch.db());
        spoil(&path);
        let before = fs::symlink_metadata(&path).unwrap();
        let profiler = small(scratch.db()).build().unwrap();
        record(&profiler, 10);
        let error = profiler.stats().control_error.unwrap();
        assert!(error.contains("profile.db-ctl") && error.contains("move it away"), "{error}");
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!((before.file_type(), before.len()), (after.file_type(), after.len()));
        // Out of the way, it is in nobody's.
        fs::rename(&path, scratch.path("aside")).unwrap();
        wait_for_another_file(&profiler, scratch.db());
        mark(scratch.db(), "after");
        assert!(finish(scratch.db(), &profiler, 10).unwrap().contains("begun anew"));
    }
}

#[test]
fn who_asks_while_there_is_no_file_is_not_told_that_nobody_records() {
    let scratch = scratch_for(60);
    fs::create_dir(sidecar(scratch.db())).unwrap();
    let profiler = small(scratch.db()).build().unwrap();
    record(&profiler, 10);
    let ask = || ControlClient::open(scratch.db()).unwrap_err();
    assert!(ask().to_string().contains("move it away"), "{}", ask());
    assert!(finish(scratch.db(), &profiler, 10).is_some());
    assert_eq!(ask().kind(), ErrorKind::NotAnswering);
    assert!(ask().to_string().contains("no program is recording into this profile"), "{}", ask());
}

#[test]
fn a_recording_that_does_not_listen_makes_no_file() {
    if child::role().is_some() {
        let path = std::env::var("SPANDREL_DB").unwrap();
        let profiler = Profiler::from_env().unwrap();
        nobody_answers(path.as_ref());
        assert!(!sidecar(path.as_ref()).exists());
        record(&profiler, 10);
        assert_eq!(finish(path.as_ref(), &profiler, 10), None);
        return;
    }
    let scratch = scratch_for(60);
    child::plan("record")
        .env("SPANDREL_DB", scratch.db())
        .env("SPANDREL_CONTROL", "0")
        .start()
        .succeed();
    let profiler = small(scratch.db()).control(false).build().unwrap();
    nobody_answers(scratch.db());
    record(&profiler, 10);
    assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 3, "the profile and its log");
    assert_eq!(finish(scratch.db(), &profiler, 10), None);
}
