//! Times that are too long to be told are as good as for ever: nobody panics for them.

use spandrel_storage::{ControlClient, StoreOptions};
use spandrel_tests::prelude::*;

const FOR_EVER: Duration = Duration::MAX;

fn patient(db: &std::path::Path) -> Profiler {
    let store = StoreOptions { busy_timeout: FOR_EVER, ..StoreOptions::default() };
    small(db)
        .store_options(store)
        .max_age(FOR_EVER)
        .flush_interval(FOR_EVER)
        .close_timeout(FOR_EVER)
        .build()
        .unwrap()
}

#[test]
fn the_longest_of_all_times_are_taken_for_every_wait() {
    let scratch = scratch_for(60);
    let profiler = patient(scratch.db());
    within(&dispatch(&profiler), || info_span!("flushed").in_scope(|| ()));
    profiler.flush(FOR_EVER).unwrap();
    assert_eq!(profiler.stats().stored, 1);
    let mut client = ControlClient::open(scratch.db()).unwrap();
    client.ask("flush", "{}", FOR_EVER).unwrap();
    within(&dispatch(&profiler), || info_span!("closed").in_scope(|| ()));
    let report = profiler.close().unwrap();
    assert_eq!((report.stored, report.timed_out), (2, false), "{report:?}");
    assert_eq!(report.stats.last_error, None, "the writer has not panicked");
    ledger::check_complete(scratch.db(), &report);
}

#[test]
fn a_drop_waits_as_long() {
    let scratch = scratch_for(60);
    let profiler = patient(scratch.db());
    within(&dispatch(&profiler), || info_span!("dropped").in_scope(|| ()));
    drop(profiler);
    let db = spandrel_tests::Database::open(scratch.db());
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'dropped'"), 1);
}
