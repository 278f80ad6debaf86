//! A scope ends while another profiler is there, too, for which the handler of a signal records that interrupts the end at each
//! of its instructions: the scope ends, and no span of the other one does.
#![cfg(target_os = "linux")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use spandrel::scope;
use spandrel_tests::interrupts;
use spandrel_tests::prelude::*;

static OTHER: OnceLock<Dispatch> = OnceLock::new();
/// Before which instruction the handler does something.
static AT: AtomicU64 = AtomicU64::new(u64::MAX);
static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: libc::c_int) {
    let n = SEEN.load(Ordering::Relaxed);
    SEEN.store(n + 1, Ordering::Relaxed);
    if n == AT.load(Ordering::Relaxed) {
        record_there();
    }
}

fn record_there() {
    if let Some(other) = OTHER.get() {
        within(other, || drop(info_span!("handled")));
    }
}

const THREADS: u64 = 62;
const STEP: u64 = 20;

/// What each thread does, one after the other.
fn thread(at: u64, turn: &mpsc::Receiver<()>, done: &mpsc::Sender<()>) {
    let wait = || turn.recv().unwrap();
    let said = || done.send(()).unwrap();
    wait();
    for _ in 0..3 {
        drop(scope!("guarded"));
    }
    let guarded = scope!("guarded");
    said();
    wait();
    let other = OTHER.get().unwrap();
    // As many slots there as here: so it has the position of the scope.
    let (entered, _second) =
        within(other, || (info_span!("entered there").entered(), info_span!("not entered")));
    // Back to the first one.
    drop(info_span!("back"));
    said();
    wait();
    SEEN.store(0, Ordering::Relaxed);
    AT.store(at, Ordering::Relaxed);
    interrupts::step(|| drop(guarded));
    AT.store(u64::MAX, Ordering::Relaxed);
    within(other, || drop(info_span!("inside there")));
    drop(entered);
    drop(info_span!("outside"));
    said();
    wait();
    said();
}

#[test]
fn a_scope_ends_where_a_handler_records_for_another_profiler() {
    let Some(_) = child::role() else {
        child::plan("interrupted").start().succeed();
        return;
    };
    let scratch = scratch_for(300);
    // Each thread has a partition of each of them.
    let builder = || Profiler::builder().partitions(64).ring_capacity(1 << 17);
    let profiler = builder().database(scratch.db()).build().unwrap();
    let other_scratch = scratch_for(300);
    profiler.subscriber().init().unwrap();
    interrupts::handle(libc::SIGTRAP, handler).unwrap();
    let (mut other, mut held) = (None, None);
    // Two slots, as below.
    drop(scope!("first"));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let (go, turn) = mpsc::channel();
                let (said, done) = mpsc::channel();
                scope.spawn(move || thread(n * STEP, &turn, &said));
                (go, done)
            })
            .collect();
        for stage in 0..4 {
            if stage == 1 {
                let made = builder().database(other_scratch.db()).build().unwrap();
                OTHER.set(Dispatch::new(made.subscriber())).unwrap();
                other = Some(made);
                held = Some(within(OTHER.get().unwrap(), || info_span!("held")));
                record_there();
            }
            for (go, done) in &threads {
                go.send(()).unwrap();
                done.recv().unwrap();
            }
        }
    });
    drop(held);
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    let there = ledger::check(other_scratch.db(), &other.unwrap().close().unwrap());
    let closed = "SELECT count(*) FROM spans WHERE status = 'ok' AND name = ";
    assert_eq!(db.count(&format!("{closed}'guarded'")), 4 * THREADS);
    assert_eq!(there.count(&format!("{closed}'entered there'")), THREADS);
    let inside = "SELECT count(*) FROM spans s JOIN spans p ON p.id = s.parent_id
         WHERE s.name = 'inside there' AND p.name = 'entered there'";
    assert_eq!(there.count(inside), THREADS);
}
