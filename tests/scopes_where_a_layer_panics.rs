//! A layer panics once while `tracing` asks about all callsites again: scopes that are met later go on as spans do.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel::scope;
use spandrel_tests::prelude::*;
use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::{Interest, Metadata};

static PANICS: AtomicBool = AtomicBool::new(false);

struct PanicsOnce;

impl<S: Subscriber> tracing_subscriber::Layer<S> for PanicsOnce {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        assert!(metadata.name() != "met" || !PANICS.swap(false, Ordering::Relaxed), "on purpose");
        Interest::always()
    }
}

#[test]
fn scopes_go_on_where_a_layer_has_panicked_once() {
    alone!();
    let Some(role) = child::role() else {
        for kind in ["span", "scope"] {
            child::plan(kind).start().succeed();
        }
        return;
    };
    let (scratch, profiler) = recording_for(60);
    tracing_subscriber::registry().with(profiler.layer()).with(PanicsOnce).init();
    let is_scope = role == "scope";
    if is_scope {
        drop(scope!("met"))
    } else {
        drop(info_span!("met"))
    }
    PANICS.store(true, Ordering::Relaxed);
    assert!(catch_unwind(rebuild_interest_cache).is_err());
    let later =
        catch_unwind(|| if is_scope { drop(scope!("later")) } else { drop(info_span!("later")) });
    let again = catch_unwind(rebuild_interest_cache);
    assert!(later.is_ok() && again.is_ok(), "{role}");
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(db.count("SELECT count(*) FROM spans"), 2);
}
