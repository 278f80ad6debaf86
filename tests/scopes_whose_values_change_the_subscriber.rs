//! What the values of a scope are made of gives the thread a subscriber of its own: the scope goes to that one, as a span of
//! `tracing` does.

use spandrel::scope;
use spandrel_tests::prelude::*;

#[test]
fn a_scope_goes_to_the_subscriber_that_its_values_have_left() {
    alone!();
    let Some(role) = child::role() else {
        for kind in ["span", "scope"] {
            child::plan(kind).start().succeed();
        }
        return;
    };
    let (scratch, profiler) = recording_for(60);
    profiler.subscriber().init().unwrap();
    let mut guard = None;
    for own in [false, false, false, true] {
        let mut value = || {
            if own {
                guard = Some(tracing::subscriber::set_default(tracing_subscriber::registry()));
            }
            u64::from(own)
        };
        if role == "scope" {
            drop(scope!("judged", own = value()))
        } else {
            drop(info_span!("judged", own = value()))
        }
    }
    drop(guard);
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    assert_eq!(db.count("SELECT count(*) FROM spans"), 3, "{role}");
}
