//! A forked child lives on when its parent, which records, has been killed. It does not keep the
//! profile locked: the next process records into it at once.

use spandrel_tests::prelude::*;
use spandrel_tests::system;

#[test]
fn a_forked_child_does_not_keep_the_profile_of_its_dead_parent() {
    alone!();
    if let Some(role) = child::role() {
        return record_and_fork(role == "alone");
    }
    for role in repeated(&["host", "alone"], 1, 60) {
        let scratch = scratch();
        let mut host = child::plan(role).env("SPANDREL_TEST_PATH", scratch.db()).start();
        let forked = host.hear().unwrap().parse().unwrap();
        host.kill();
        let profiler = small(scratch.db()).build().unwrap();
        within(&dispatch(&profiler), || drop(info_span!("after")));
        assert_eq!(profiler.close().unwrap().stored, 1);
        system::kill(forked).expect("it has lived until here");
        let db = Database::open(scratch.db());
        assert_eq!(db.count("SELECT count(*) FROM span"), 2);
    }
}

fn record_and_fork(alone: bool) {
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let profiler = small(path.as_ref()).live_readers(!alone).build().unwrap();
    within(&dispatch(&profiler), || drop(info_span!("before")));
    profiler.flush(Duration::from_secs(20)).unwrap();
    let forked = system::fork(|| {
        system::close_stdout().unwrap();
        system::sleep_until_killed(60)
    });
    child::say(forked.unwrap());
    loop {
        std::thread::park();
    }
}
