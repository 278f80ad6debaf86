//! A copy of a profile that is being recorded: it holds all that was recorded before, is a profile of
//! its own, and nothing waits for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_storage as storage;
use spandrel_tests::prelude::*;

const LONG: Duration = Duration::from_secs(60);
const BEFORE: &str = "SELECT count(*) FROM span JOIN callsite ON callsite.id = callsite_id
                      WHERE callsite.name = 'before'";

/// Ends the threads beside, also when the test fails.
struct Halt<'a>(&'a AtomicBool);

impl Drop for Halt<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whoever copies a file by hand while SQLite has it open loses SQLite's locks, and with them spans.
#[test]
fn a_copy_while_recording_goes_on_holds_all_that_came_before() {
    let scratch = scratch_for(120);
    let folder = scratch.db().parent().unwrap().to_owned();
    let profiler = small(scratch.db()).ring_capacity(1 << 16).build().unwrap();
    let dispatch = dispatch(&profiler);
    let halt = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // All the time, a batch comes between two pages of the copy.
        scope.spawn(|| {
            within(&dispatch, || {
                while !halt.load(Ordering::Relaxed) {
                    (0..50).for_each(|n| drop(info_span!("beside", n)));
                    profiler.flush(LONG).unwrap();
                }
            });
        });
        let _halt = Halt(&halt);
        for copies in 1..=5_u64 {
            within(&dispatch, || (0..100).for_each(|n| drop(info_span!("before", n))));
            let path = folder.join(format!("copy {copies}.db"));
            let snapshot = profiler.snapshot_within(&path, LONG).unwrap();
            let copy = Database::open(&path);
            let count = |sql| copy.count(sql);
            assert_eq!(count(BEFORE), copies * 100);
            assert_eq!(count("SELECT count(*) FROM span"), snapshot.spans);
            assert_eq!(copy.value::<String>("PRAGMA integrity_check"), "ok");
            assert_eq!(copy.value::<String>("PRAGMA journal_mode"), "delete", "one file alone");
            assert_eq!(snapshot.bytes, path.metadata().unwrap().len());
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            // Rollups are of the same moment.
            ledger::whole(&copy, copy.last_run());
        }
    });
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left = names.filter(|name| name.to_string_lossy().contains(".part")).count();
    assert_eq!(left, 0, "nothing half done");
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    // The copy can be recorded into as any other.
    let again = Profiler::builder().database(folder.join("copy 5.db")).build().unwrap();
    ledger::settled(&again.close().unwrap());
}

#[test]
fn a_copy_that_cannot_be_made_leaves_everything_as_it_was() {
    let scratch = scratch_for(120);
    let folder = scratch.db().parent().unwrap().to_owned();
    let profiler = small(scratch.db()).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("work")));
    let kind = |kind| ErrorKind::Storage(kind);
    let there = folder.join("there");
    fs::write(&there, "mine").unwrap();
    let error = profiler.snapshot(&there).unwrap_err();
    assert_eq!(error.kind(), kind(storage::ErrorKind::Exists), "{error}");
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
    std::os::unix::fs::symlink("nowhere", folder.join("link")).unwrap();
    let error = profiler.snapshot(folder.join("link")).unwrap_err();
    assert_eq!(error.kind(), kind(storage::ErrorKind::Exists), "{error}");
    let error = profiler.snapshot(scratch.db()).unwrap_err();
    assert_eq!(error.kind(), kind(storage::ErrorKind::Exists), "not onto itself: {error}");
    let error = profiler.snapshot(folder.join("no/folder")).unwrap_err();
    assert_eq!(error.kind(), kind(storage::ErrorKind::MissingFolder), "{error}");
    profiler.flush(LONG).unwrap();
    let late = folder.join("late.db");
    let error = storage::snapshot(scratch.db(), &late, Duration::ZERO, u64::MAX).unwrap_err();
    assert!(matches!(error.kind(), storage::ErrorKind::TimedOut), "{error}");
    let error = storage::snapshot(scratch.db(), &late, LONG, 0).unwrap_err();
    assert!(matches!(error.kind(), storage::ErrorKind::WalFull), "{error}");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(&*scratch.db().file_name().unwrap().to_string_lossy()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["link", "there"], "nothing half done");
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let error = profiler.snapshot(folder.join("after.db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    let error = Profiler::disabled().snapshot(folder.join("off.db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}
