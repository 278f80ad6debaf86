//! A callsite that is met after the subscriber was made, and before it is installed, is switched off by
//! `tracing`, which never asks about it again. Two others are no trouble to it: one that was met
//! before the subscriber was made, and one that is met after it was installed.

use spandrel_tests::prelude::*;
use tracing::dispatcher::{self, Dispatch};
use tracing_subscriber::layer::SubscriberExt;

fn before() -> bool {
    !info_span!("before").is_disabled()
}

fn between() -> bool {
    !info_span!("between").is_disabled()
}

fn elsewhere() -> bool {
    !info_span!("elsewhere").is_disabled()
}

fn after() -> bool {
    !info_span!("after").is_disabled()
}

#[test]
fn a_callsite_that_was_met_while_the_layer_was_being_installed_is_recorded_after() {
    alone!();
    let (scratch, profiler) = recording_for(60);
    let made = |layer| Dispatch::new(tracing_subscriber::registry().with(layer));
    assert!(!before());
    let dispatch = made(profiler.layer());
    // Nobody has it yet, so `tracing` keeps in mind that nobody wants them.
    assert!(!between());
    assert!(!std::thread::spawn(elsewhere).join().unwrap());
    dispatcher::set_global_default(dispatch).unwrap();
    assert!(before(), "`tracing` itself asks again when a subscriber is made");
    profiler.flush(Duration::from_secs(30)).unwrap();
    assert!(between());
    assert!(elsewhere());
    assert!(after());
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let names: Vec<_> = db.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["before", "between", "elsewhere", "after"]);
}
