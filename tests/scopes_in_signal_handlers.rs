//! A scope that ends in the slow way is interrupted, at each of its instructions, by a signal whose handler opens and ends
//! one in the slow way, too: the slots that the thread keeps for its scopes stay a list, each slot in it once.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicU64, Ordering};

use spandrel::scope;
use spandrel_tests::interrupts;
use spandrel_tests::prelude::*;

/// Before which instruction, of so many, the handler does something.
static AT: AtomicU64 = AtomicU64::new(u64::MAX);
static OF: AtomicU64 = AtomicU64::new(u64::MAX);
static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: libc::c_int) {
    let n = SEEN.load(Ordering::Relaxed);
    SEEN.store(n + 1, Ordering::Relaxed);
    if n % OF.load(Ordering::Relaxed) == AT.load(Ordering::Relaxed) {
        open_and_fail();
    }
}

/// One that ends in the slow way: there is more to say of it than times and fields.
fn open_and_fail() {
    let _handled = scope!("handled");
    error!("on purpose");
}

/// A run for each so many instructions: all would take minutes.
const STEP: usize = 5;
/// An end takes more than so many.
const INSTRUCTIONS: u64 = 400;
const DEPTH: u64 = 5;
const NESTS: u64 = 3;

fn nest(depth: u64) {
    if depth < DEPTH {
        let _probe = scope!("probe", depth);
        nest(depth + 1);
    }
}

#[test]
fn slots_stay_a_list_where_slow_ends_interrupt_each_other() {
    alone!();
    let Some(_) = child::role() else {
        child::plan("interrupted").start().succeed();
        return;
    };
    let (scratch, profiler) = recording_for(300);
    profiler.subscriber().init().unwrap();
    interrupts::handle(libc::SIGTRAP, handler).unwrap();
    let mut rounds = 0;
    for at in (0..INSTRUCTIONS).step_by(STEP) {
        std::thread::scope(|scope| {
            let body = || {
                // As many slots as are kept.
                for _ in 0..3 {
                    nest(0);
                }
                SEEN.store(0, Ordering::Relaxed);
                AT.store(at, Ordering::Relaxed);
                OF.store(INSTRUCTIONS, Ordering::Relaxed);
                let outer = scope!("outer");
                let inner = scope!("inner");
                error!("on purpose");
                interrupts::step(|| drop(inner));
                drop(outer);
                AT.store(u64::MAX, Ordering::Relaxed);
                for _ in 0..NESTS {
                    nest(0);
                }
            };
            scope.spawn(body);
        });
        rounds += 1;
        // What that thread gave back is in one hand each.
        let spans: Vec<_> = (0..40).map(|_| info_span!("late")).collect();
        drop(spans);
        profiler.flush(Duration::from_secs(60)).unwrap();
    }
    assert!(SEEN.load(Ordering::Relaxed) > 100, "nothing was stepped through");
    // An event of a handler may come inside another callback.
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'late'"), rounds * 40);
    let probes = "FROM spans s LEFT JOIN spans p ON p.id = s.parent_id WHERE s.name = 'probe'";
    let nests = rounds * (3 + NESTS);
    assert_eq!(db.count(&format!("SELECT count(*) {probes}")), nests * DEPTH);
    assert_eq!(db.count(&format!("SELECT count(*) {probes} AND p.id IS NULL")), nests);
    assert_eq!(db.count(&format!("SELECT count(*) {probes} AND p.name <> 'probe'")), 0);
}
