//! The ring file of a process that lives: a child of `fork` leaves it alone, somebody removes it, there is no room for
//! it. The recording goes on in any case, its profile has everything, and no file is left.
#![cfg(target_os = "linux")]

use std::path::PathBuf;

use spandrel::recover::{RingOwner, waiting};
use spandrel_tests::prelude::*;
use spandrel_tests::system;

const SPANS: u64 = 3_000;

fn record(dispatch: &Dispatch, spans: u64) {
    within(dispatch, || (0..spans).for_each(|n| drop(info_span!("work", n).entered())));
}

/// The ring files of this profile.
fn rings(path: &Path) -> Vec<PathBuf> {
    let rings = waiting(path).unwrap();
    assert!(rings.iter().all(|ring| ring.owner == RingOwner::Alive));
    rings.into_iter().map(|ring| ring.path).collect()
}

/// In a process of its own: a fork takes no threads of the harness with it, and a limit stays.
fn alone(body: fn(&Scratch)) {
    if child::role().is_some() {
        return body(&scratch_for(60));
    }
    let _limit = time_limit(60);
    child::plan("alone").start().succeed();
}

#[test]
fn a_child_of_fork_writes_nothing_into_its_parents_ring() {
    alone!();
    alone(|scratch| {
        let builder = Profiler::builder().database(scratch.db()).crash_proof(true);
        let profiler = builder.flush_interval(Duration::from_secs(3_600)).build().unwrap();
        assert!(profiler.stats().is_crash_proof);
        let dispatch = dispatch(&profiler);
        record(&dispatch, SPANS);
        let outer = within(&dispatch, || info_span!("outer"));
        let child = || {
            // With a span of its parent, and a callsite that its parent does not know.
            let inside = || drop(info_span!("of the child").entered());
            within(&dispatch, || outer.in_scope(inside));
            // More than the ring has slots.
            record(&dispatch, 300_000);
            let report = profiler.close().unwrap();
            i32::from(report.stored > 0)
        };
        let pid = system::fork(child).unwrap();
        assert_eq!(system::wait(pid).unwrap(), 0);
        // What the child has left behind is the parent's, who lives.
        assert_eq!(rings(scratch.db()).len(), 1);
        record(&dispatch, SPANS);
        within(&dispatch, || drop(outer));
        let (report, db) = ledger::closed(scratch, &profiler);
        assert_eq!((report.recorded, report.stored), (2 * SPANS + 1, 2 * SPANS + 1));
        assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'of the child'"), 0);
        assert_eq!(rings(scratch.db()), [] as [PathBuf; 0]);
    });
}

#[test]
fn somebody_removes_the_file_and_the_recording_goes_on() {
    alone!();
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler = Profiler::builder().database(scratch.db()).crash_proof(true).build().unwrap();
    let dispatch = dispatch(&profiler);
    record(&dispatch, SPANS);
    let [ring] = rings(scratch.db()).try_into().unwrap();
    std::fs::remove_file(&ring).unwrap();
    record(&dispatch, SPANS);
    let (report, _db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.stored, 2 * SPANS);
    // Nothing else is wrong.
    assert_eq!(report.stats.last_error, report.stats.crash_proof_error);
    assert!(report.stats.crash_proof_error.is_some_and(|why| why.contains("was removed")));
}

#[test]
fn without_room_for_the_file_the_recording_goes_on_and_says_so() {
    alone!();
    alone(|scratch| {
        system::limit_file_size(Some(8 << 20)).unwrap();
        let builder = Profiler::builder().database(scratch.db()).crash_proof(true);
        let profiler = builder.build().unwrap();
        let stats = profiler.stats();
        let why = stats.crash_proof_error.unwrap();
        assert!(!stats.is_crash_proof && why.contains("has no room for a ring file of"), "{why}");
        assert_eq!(rings(scratch.db()), [] as [PathBuf; 0]);
        let dispatch = dispatch(&profiler);
        record(&dispatch, SPANS);
        let (report, db) = ledger::closed(scratch, &profiler);
        assert_eq!(report.stored, SPANS);
        let told: String = db.value("SELECT report ->> 'last_error' FROM run");
        assert_eq!(told, why, "whoever reads the profile is told, too");
    });
}

#[test]
fn a_profiler_that_is_not_built_leaves_no_file() {
    alone!();
    let _limit = time_limit(60);
    let scratch = scratch();
    let first = Profiler::builder().database(scratch.db()).crash_proof(true).build().unwrap();
    // The profile is in use.
    Profiler::builder().database(scratch.db()).crash_proof(true).build().unwrap_err();
    assert_eq!(rings(scratch.db()).len(), 1);
    first.close().unwrap();
    assert_eq!(rings(scratch.db()), [] as [PathBuf; 0]);
}
