//! A scope ends while another profiler is there, too, for which the handler of a signal records that interrupts the end at each
//! of its instructions: the scope ends, and no span of the other one does. So does one of which the thread does not keep the slot.
#![cfg(target_os = "linux")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use spandrel::{Scope, scope};
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

/// How many scopes a thread has open, how many of them it ends before the one that is interrupted, and where that is.
#[derive(Debug, Clone, Copy)]
struct Scopes {
    open: usize,
    ended: usize,
    at: fn(thread: u64, instructions: u64) -> u64,
}

/// One, in a slot that the thread keeps for scopes: from its first instructions on.
const ONE: Scopes = Scopes { open: 1, ended: 0, at: |thread, _| thread * 20 };
/// More than a thread keeps slots: after so many ends it keeps no more, and the next slot goes back to the profiler. All over
/// what an end takes.
const MANY: Scopes =
    Scopes { open: 50, ended: 20, at: |thread, instructions| instructions * thread / THREADS };
/// Spans of the other profiler that are open all the time: in each slot that a thread has here.
const HELD: u64 = 62 * 50 + 500;

/// What each thread does, one after the other.
fn thread(scopes: Scopes, number: u64, turn: &mpsc::Receiver<()>, done: &mpsc::Sender<()>) {
    let wait = || turn.recv().unwrap();
    let said = || done.send(()).unwrap();
    wait();
    for _ in 0..3 {
        drop(scope!("guarded"));
    }
    let mut guarded: Vec<Scope> = (0..scopes.open).map(|_| scope!("guarded")).collect();
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
    // The innermost first.
    guarded.drain(scopes.open - scopes.ended..).rev().for_each(drop);
    let mut end_at = |at| {
        let interrupted = guarded.pop();
        SEEN.store(0, Ordering::Relaxed);
        AT.store(at, Ordering::Relaxed);
        interrupts::step(|| drop(interrupted));
        AT.store(u64::MAX, Ordering::Relaxed);
        SEEN.load(Ordering::Relaxed)
    };
    // What one takes, if there is one to spare.
    let instructions = if scopes.ended > 0 { end_at(u64::MAX) } else { 0 };
    end_at((scopes.at)(number, instructions));
    guarded.into_iter().rev().for_each(drop);
    within(other, || drop(info_span!("inside there")));
    drop(entered);
    drop(info_span!("outside"));
    said();
    wait();
    said();
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "known: where the handler comes between finding and changing what the thread is in, a row has another root; \
              which of the 62 positions that is depends on the machine code"
)]
fn a_scope_ends_where_a_handler_records_for_another_profiler() {
    alone!();
    match child::role() {
        None => child::plan("one").start().succeed(),
        Some(_) => ends_are_interrupted(ONE),
    }
}

#[test]
fn a_scope_in_no_slot_of_the_thread_ends_where_a_handler_records_for_another_profiler() {
    alone!();
    match child::role() {
        None => child::plan("many").start().succeed(),
        Some(_) => ends_are_interrupted(MANY),
    }
}

fn ends_are_interrupted(scopes: Scopes) {
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
                scope.spawn(move || thread(scopes, n, &turn, &said));
                (go, done)
            })
            .collect();
        for stage in 0..4 {
            if stage == 1 {
                let made = builder().database(other_scratch.db()).build().unwrap();
                OTHER.set(Dispatch::new(made.subscriber())).unwrap();
                other = Some(made);
                let hold = || (0..HELD).map(|n| info_span!("held", n)).collect::<Vec<_>>();
                held = Some(within(OTHER.get().unwrap(), hold));
                record_there();
            }
            for (go, done) in &threads {
                go.send(()).unwrap();
                done.recv().unwrap();
            }
        }
    });
    // In slots of their own.
    let later = || (0..HELD).map(|_| info_span!("later")).collect::<Vec<_>>();
    drop(within(OTHER.get().unwrap(), later));
    drop(held);
    let db = ledger::check(scratch.db(), &profiler.close().unwrap());
    let there = ledger::check(other_scratch.db(), &other.unwrap().close().unwrap());
    let closed = "SELECT count(*) FROM spans WHERE status = 'ok' AND name = ";
    assert_eq!(db.count(&format!("{closed}'guarded'")), (3 + scopes.open as u64) * THREADS);
    assert_eq!(there.count(&format!("{closed}'later'")), HELD);
    let held = "SELECT count(DISTINCT json_extract(fields, '$.n')) FROM spans
         WHERE status = 'ok' AND name = 'held'";
    assert_eq!(there.count(held), HELD);
    assert_eq!(there.count(&format!("{closed}'entered there'")), THREADS);
    let inside = "SELECT count(*) FROM spans s JOIN spans p ON p.id = s.parent_id
         WHERE s.name = 'inside there' AND p.name = 'entered there'";
    // An end in the general way finds what the thread is in and then changes it: where the handler comes between the two, at
    // a few of its instructions, the thread is outside there.
    let least = THREADS - 8;
    assert!(there.count(inside) >= least, "{} inside", there.count(inside));
}
