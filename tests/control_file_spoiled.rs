//! The file for requests is deleted, spoiled or replaced while a program records, or cannot be made: the
//! recording goes on, the ledger says why nobody can ask, and nobody else's file is touched.

use std::fs;
use std::path::Path;
use std::time::Duration;

use spandrel::{Profiler, Report};
use spandrel_storage::{ControlClient, ErrorKind};
use spandrel_tests::asking::{mark, sidecar};
use spandrel_tests::{child, dispatch, ledger, scratch, small, time_limit, within};
use tracing::info_span;

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

#[test]
fn a_deleted_file_is_made_anew() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    let path = sidecar(scratch.db());
    mark(scratch.db(), "before");
    fs::remove_file(&path).unwrap();
    nobody_answers(scratch.db());
    record(&profiler, 10);
    while !path.exists() {
        std::thread::yield_now();
    }
    // It may be there and not be complete yet.
    while ControlClient::open(scratch.db()).is_err() {
        std::thread::yield_now();
    }
    mark(scratch.db(), "after");
    record(&profiler, 10);
    assert_eq!(profiler.stats().marks, 4);
    assert_eq!(finish(scratch.db(), &profiler, 20), None);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_damaged_is_given_up() {
    let _limit = time_limit(60);
    for (index, bytes) in [vec![0x5A; 8_192], vec![0x5A; 3], vec![0; 8_192]].iter().enumerate() {
        let scratch = scratch();
        let profiler = small(scratch.db()).build().unwrap();
        let path = sidecar(scratch.db());
        mark(scratch.db(), "before");
        fs::write(&path, bytes).unwrap();
        while profiler.stats().control_error.is_none() {
            record(&profiler, 0);
        }
        record(&profiler, 10);
        nobody_answers(scratch.db());
        let error = finish(scratch.db(), &profiler, 10).unwrap();
        assert!(error.contains("profile.db-ctl"), "{index}: {error}");
        assert!(!path.exists(), "it was ours");
    }
}

#[test]
fn a_file_put_in_its_place_is_not_touched() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    let path = sidecar(scratch.db());
    let theirs = scratch.path("theirs");
    fs::write(&theirs, "theirs").unwrap();
    fs::rename(&theirs, &path).unwrap();
    while profiler.stats().control_error.is_none() {
        std::thread::yield_now();
    }
    record(&profiler, 10);
    let error = finish(scratch.db(), &profiler, 10).unwrap();
    assert!(error.contains("replaced"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
}

#[test]
fn where_it_cannot_be_made_the_recording_goes_on() {
    let _limit = time_limit(60);
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
        let error = finish(scratch.db(), &profiler, 10).unwrap();
        assert!(error.contains("profile.db-ctl"), "{error}");
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!((before.file_type(), before.len()), (after.file_type(), after.len()));
    }
}

#[test]
fn a_recording_that_does_not_listen_makes_no_file() {
    let test = "a_recording_that_does_not_listen_makes_no_file";
    if child::role().is_some() {
        let path = std::env::var("SPANDREL_DB").unwrap();
        let profiler = Profiler::from_env().unwrap();
        nobody_answers(path.as_ref());
        assert!(!sidecar(path.as_ref()).exists());
        record(&profiler, 10);
        assert_eq!(finish(path.as_ref(), &profiler, 10), None);
        return;
    }
    let _limit = time_limit(60);
    let scratch = scratch();
    child::plan(test, "record")
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
