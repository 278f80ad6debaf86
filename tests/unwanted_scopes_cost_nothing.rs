//! What a scope's values are made of is looked at only if the scope is wanted, as with a span of `tracing`.

use std::sync::atomic::{AtomicU64, Ordering};

use spandrel::scope;
use spandrel_tests::prelude::*;
use tracing_subscriber::filter::{dynamic_filter_fn, filter_fn};

static LOOKED: AtomicU64 = AtomicU64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

fn value() -> u64 {
    LOOKED.fetch_add(1, Ordering::Relaxed) + 1
}

const TIMES: u64 = 10;

#[test]
fn values_of_scopes_that_nobody_wants_are_not_looked_at() {
    alone!();
    let Some(role) = child::role() else {
        for role in ["filter", "filter that decides each time", "other subscriber"] {
            child::plan(role).start().succeed();
        }
        return;
    };
    let (scratch, profiler) = recording_for(60);
    let unwanted = filter_fn(|metadata| metadata.name() != "unwanted");
    let is_dynamic = role == "filter that decides each time";
    match &*role {
        "filter" => {
            tracing_subscriber::registry().with(unwanted).with(profiler.layer()).init();
        }
        _ if is_dynamic => {
            let each_time = dynamic_filter_fn(|metadata, _| {
                ASKED.fetch_add(1, Ordering::Relaxed);
                metadata.name() != "unwanted"
            });
            tracing_subscriber::registry().with(each_time).with(profiler.layer()).init();
        }
        _ => {
            // The profiler is there, but nobody's subscriber.
            let _subscriber = profiler.subscriber();
            tracing_subscriber::registry().with(unwanted).init();
        }
    }
    for _ in 0..TIMES {
        drop(scope!("unwanted", value = value()));
    }
    assert_eq!(LOOKED.load(Ordering::Relaxed), 0, "{role}");
    if is_dynamic {
        // The first question of all is the callsite's.
        let asked = ASKED.load(Ordering::Relaxed);
        for _ in 0..TIMES {
            drop(scope!("wanted", value = value()));
        }
        assert_eq!(LOOKED.load(Ordering::Relaxed), TIMES);
        assert_eq!(ASKED.load(Ordering::Relaxed) - asked, asked, "once for each");
    }
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let wanted = db.count("SELECT count(*) FROM spans WHERE name = 'wanted'");
    assert_eq!(wanted, if is_dynamic { TIMES } else { 0 });
}
