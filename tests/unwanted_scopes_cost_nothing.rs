//! What a scope's values are made of is looked at only if the scope is wanted.

use std::sync::atomic::{AtomicU64, Ordering};

use spandrel::scope;
use spandrel_tests::prelude::*;
use tracing_subscriber::filter::filter_fn;

static LOOKED: AtomicU64 = AtomicU64::new(0);

fn value() -> u64 {
    LOOKED.fetch_add(1, Ordering::Relaxed) + 1
}

#[test]
fn values_of_scopes_that_nobody_wants_are_not_looked_at() {
    let Some(role) = child::role() else {
        for role in ["filter", "other subscriber"] {
            child::plan(role).start().succeed();
        }
        return;
    };
    let (_scratch, profiler) = recording_for(60);
    let unwanted = filter_fn(|metadata| metadata.name() != "unwanted");
    match &*role {
        "filter" => {
            tracing_subscriber::registry().with(unwanted).with(profiler.layer()).init();
        }
        _ => {
            // The profiler is there, but nobody's subscriber.
            let _subscriber = profiler.subscriber();
            tracing_subscriber::registry().with(unwanted).init();
        }
    }
    for _ in 0..10 {
        drop(scope!("unwanted", value = value()));
    }
    assert_eq!(LOOKED.load(Ordering::Relaxed), 0, "{role}");
    profiler.close().unwrap();
}
