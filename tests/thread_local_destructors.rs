//! Spans opened while a thread's locals are destroyed.
//!
//! Where `Registry`'s own locals are gone already, it panics, and a panic in a destructor of a
//! thread local aborts the process: that happens in `tracing-subscriber` without us too, and is
//! pinned here so that we notice when it changes (tokio-rs/tracing#3239). Otherwise the span is
//! stored or counted.

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use spandrel_tests::prelude::*;

/// Opens a span in its destructor.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        info_span!("in a destructor").in_scope(|| {
            info!("in a destructor");
            drop(info_span!("below"));
        });
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

fn touch() {
    LATE.with_borrow_mut(|late| *late = Some(Late));
}

/// In the child: a thread whose local `LATE` is registered first or last. What is registered first
/// is destroyed last.
fn end_a_thread(role: &str) {
    let _limit = time_limit(30);
    let (order, layer) = role.split_once(' ').unwrap();
    let path = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let profiler =
        if layer == "with" { small(&path).build().unwrap() } else { Profiler::disabled() };
    if layer == "with" {
        tracing_subscriber::registry().with(profiler.layer()).init();
    } else {
        // Not with the layer of a profiler that is switched off, for which `tracing` makes no spans.
        tracing_subscriber::registry().init();
    }
    let order = order.to_owned();
    std::thread::spawn(move || {
        if order == "first" {
            touch();
        }
        drop(info_span!("ordinary"));
        touch();
    })
    .join()
    .unwrap();
    child::say("joined");
    let report = profiler.close().unwrap();
    if layer == "with" {
        let db = ledger::check(&path, &report);
        assert_eq!((report.recorded, report.events.recorded), (3, 1), "{report:?}");
        if report.dropped.total() == 0 {
            let below = db.span("below");
            assert_eq!(below.parent_id, Some(db.span("in a destructor").id));
            assert_eq!(db.event("in a destructor").span_id, below.parent_id);
        }
    }
    child::say("closed");
}

fn run(role: &str) -> (std::process::ExitStatus, Vec<String>, spandrel_tests::Scratch) {
    let scratch = scratch();
    let plan = child::plan(role).env("SPANDREL_TEST_PATH", scratch.db()).quiet();
    let mut child = plan.start();
    let said = std::iter::from_fn(|| child.hear()).collect();
    (child.finish(), said, scratch)
}

#[test]
fn spans_in_destructors_are_stored_or_counted_while_the_registry_lives() {
    alone!();
    if let Some(role) = child::role() {
        return end_a_thread(&role);
    }
    let _limit = time_limit(60);
    let (status, said, _) = run("last with");
    assert!(status.success(), "{status}");
    assert_eq!(said, ["joined", "closed"]);
}

#[test]
fn the_registry_itself_aborts_once_its_locals_are_gone() {
    alone!();
    if let Some(role) = child::role() {
        return end_a_thread(&role);
    }
    let _limit = time_limit(60);
    for layer in ["without", "with"] {
        let (status, said, scratch) = run(&format!("first {layer}"));
        let aborted = status.signal() == Some(6) && said.is_empty();
        assert!(
            aborted,
            "tracing-subscriber used to abort here ({layer} our layer) and now ends with {status}: \
             update this test and the README"
        );
        if layer == "with" {
            // Even so, the file is sound.
            ledger::whole(&Database::open(scratch.db()), 1);
        }
    }
}
