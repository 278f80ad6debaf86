//! What the values of a scope are made of changes the filter: the scope is kept by the filter of then, as a span of `tracing` is.

use spandrel::scope;
use spandrel_tests::prelude::*;

#[test]
fn a_scope_is_kept_by_the_filter_that_its_values_have_left() {
    alone!();
    let Some(role) = child::role() else {
        for kind in ["span", "scope"] {
            child::plan(kind).start().succeed();
        }
        return;
    };
    let (scratch, profiler) = recording_for(60);
    let subscriber = profiler.subscriber().with_max_level(Level::INFO);
    let filter = subscriber.filter_handle();
    subscriber.init().unwrap();
    let open = |off: bool| {
        let value = || {
            if off {
                filter.set_max_level(LevelFilter::OFF);
            }
            u64::from(off)
        };
        if role == "scope" {
            drop(scope!("judged", off = value()))
        } else {
            drop(info_span!("judged", off = value()))
        }
    };
    for off in [false, false, false, true] {
        open(off);
    }
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    let count = |off: bool| {
        let rows = db.spans();
        let is_so =
            |off: &str| rows.iter().filter(|row| row.fields.raw("off") == Some(off)).count();
        is_so(if off { "1" } else { "0" })
    };
    assert_eq!((count(false), count(true)), (3, 0), "{role}");
}
