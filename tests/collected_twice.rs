//! A ring file that is there again after it was collected, files that cannot be collected, and a profile into which
//! nothing has come.

use spandrel::collect::{CollectOptions, Collected, Collecting, collect};
use spandrel_tests::collecting::{
    Collector, assert_has, assert_no_files, collect_once, record, rings, small_in,
};
use spandrel_tests::prelude::*;

fn only_file(folder: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_ring_that_was_put_back_is_said_to_be_stored_and_by_which_run_and_goes() {
    let (scratch, rings) = (scratch_for(60), rings());
    // So that it is not the first run which has it.
    Profiler::builder().database(scratch.db()).build().unwrap().close().unwrap();
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..10);
    profiler.close().unwrap();
    let ring = only_file(rings.path());
    let copy = scratch.path("copy");
    std::fs::copy(&ring, &copy).unwrap();
    collect_once(rings.path(), scratch.db());
    std::fs::copy(&copy, &ring).unwrap();
    let (done, told) = collect_once(rings.path(), scratch.db());
    assert_eq!(told, [Collecting::StoredAlready { path: ring, run_id: 2 }]);
    assert_eq!(done, Collected::default());
    assert_has(scratch.db(), 2, 0..10);
    assert_no_files(rings.path());
}

#[test]
fn files_that_are_left_alone_are_counted() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..10);
    let ring = only_file(rings.path());
    std::os::unix::fs::symlink(&ring, rings.path().join("a.ring")).unwrap();
    std::os::unix::fs::symlink(&ring, rings.path().join("b.ring")).unwrap();
    profiler.close().unwrap();
    let (done, told) = collect_once(rings.path(), scratch.db());
    assert_eq!((done.ended, done.refused), (1, 2), "{told:?}");
}

#[test]
fn a_profile_that_was_made_for_nothing_does_not_stay_and_one_that_was_there_does() {
    let (scratch, rings) = (scratch_for(60), rings());
    let is_there = || {
        ["", "-wal", "-shm"].map(|end| {
            std::path::PathBuf::from(format!("{}{end}", scratch.db().display())).exists()
        })
    };
    assert_eq!(Collector::start(rings.path(), scratch.db()).stop().0, Collected::default());
    assert_eq!(is_there(), [false; 3]);
    // Nor where it ends with an error.
    let file = scratch.path("no folder");
    std::fs::write(&file, "").unwrap();
    let once = || collect(&file, scratch.db(), &CollectOptions::default(), || true, |_| ());
    // The caller has spans of its own to record.
    let failed = std::thread::scope(|scope| scope.spawn(once).join().unwrap());
    failed.unwrap_err();
    assert_eq!(is_there(), [false; 3]);

    Profiler::builder().database(scratch.db()).build().unwrap().close().unwrap();
    collect_once(rings.path(), scratch.db());
    assert_eq!(is_there(), [true, false, false]);
    let other = scratch.path("empty.db");
    std::fs::write(&other, "").unwrap();
    collect_once(rings.path(), &other);
    assert!(other.exists());

    // One that has come stays, whatever becomes of it.
    let profiler = small_in(rings.path()).build().unwrap();
    let third = scratch.path("third.db");
    let collector = Collector::start(rings.path(), &third);
    collector.until(|it| matches!(it, Collecting::Begun { .. }));
    collector.stop();
    assert!(third.exists());
    profiler.close().unwrap();
    collect_once(rings.path(), &third);
    assert_no_files(rings.path());
}
