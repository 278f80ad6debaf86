//! The handler of a signal puts another owner's table in place of a thread's, or takes it out, before each instruction of a use
//! of it, and of its exchange and removal: nobody gets the one for the other, and it is found afterwards, or can be put there
//! again. So does a thread that turns to another profiler.
#![cfg(target_os = "linux")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::{Owner, Table, ThreadTable};
use spandrel_tests::interrupts;
use spandrel_tests::prelude::*;

thread_local! {
    static HERE: ThreadTable<u64> = const { ThreadTable::new() };
    /// What comes in its place by a handler.
    static OTHER: ThreadTable<u64> = const { ThreadTable::new() };
    /// And what by whom it interrupts.
    static THIRD: ThreadTable<u64> = const { ThreadTable::new() };
}

static AT: AtomicU64 = AtomicU64::new(u64::MAX);
static SEEN: AtomicU64 = AtomicU64::new(0);
/// Whether nothing comes in its place.
static ONLY_TAKES: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_: libc::c_int) {
    let n = SEEN.load(Ordering::Relaxed);
    SEEN.store(n + 1, Ordering::Relaxed);
    if n > 100_000 {
        // It is in a panic's printing.
        std::process::abort();
    }
    if n != AT.load(Ordering::Relaxed) {
        return;
    }
    let only_takes = ONLY_TAKES.load(Ordering::Relaxed) == 1;
    if let Some((table, _)) = HERE.with(ThreadTable::take) {
        if !only_takes && let Some((other, owner)) = OTHER.with(ThreadTable::take) {
            HERE.with(|here| here.put(other, owner));
        }
        // Kept, so that no memory is freed here.
        OTHER.with(|other| other.put(table, owner(9)));
    }
}

fn owner(number: u32) -> Owner {
    Owner::new(NonZeroU32::new(number).unwrap())
}

fn found(number: u32) -> Option<u64> {
    HERE.with(|here| here.with_owned_by(owner(number), |table| table.get(0).copied()))
}

/// Each of these takes fewer.
const INSTRUCTIONS: u64 = 10_000;

/// What is interrupted: whose table is found, and what it says.
const USE: fn() -> Option<(u32, u64)> = || found(5).map(|value| (5, value));
const TAKE: fn() -> Option<(u32, u64)> = || {
    let (table, owner) = HERE.with(ThreadTable::take)?;
    Some((owner.number(), table.get(0).copied()?))
};
const PUT: fn() -> Option<(u32, u64)> = || {
    let third = THIRD.with(ThreadTable::take)?.0;
    HERE.with(|here| here.put(third, owner(7)));
    None
};
const HIDE: fn() -> Option<(u32, u64)> = || {
    let run = || HERE.with(|here| assert!(here.take().is_none()));
    HERE.with(|here| here.hidden(owner(5), run));
    None
};

/// One run for each so many instructions: of the longer ones all would take minutes.
fn step_through(what: fn() -> Option<(u32, u64)>, takes: bool, step: usize) -> Vec<String> {
    let takes = takes || ONLY_TAKES.load(Ordering::Relaxed) == 1;
    // Shares of these, so that no memory is freed at each step.
    let [fifth, sixth, seventh] = [75, 76, 77].map(|value| Table::<u64>::new(1, 2, || value));
    let mut wrong = Vec::new();
    for at in (0..INSTRUCTIONS).step_by(step) {
        HERE.with(|here| here.put(fifth.clone(), owner(5)));
        OTHER.with(|other| other.put(sixth.clone(), owner(6)));
        THIRD.with(|third| third.put(seventh.clone(), owner(7)));
        SEEN.store(0, Ordering::Relaxed);
        AT.store(at, Ordering::Relaxed);
        let mut got = None;
        interrupts::step(|| got = what());
        AT.store(u64::MAX, Ordering::Relaxed);
        let seen = SEEN.load(Ordering::Relaxed);
        // Each owner's is his, and nobody else's.
        let is_sound = |(owner, value): (u32, u64)| value == u64::from(owner) + 70;
        let after: Vec<_> = [5, 6, 7]
            .into_iter()
            .filter_map(|owner| found(owner).map(|value| (owner, value)))
            .collect();
        // One of them, unless it was taken out, by the one or the other.
        let is_there = after.len() == 1 || takes && after.is_empty();
        let all_sound = got.into_iter().chain(after.iter().copied()).all(is_sound);
        let is_in_use = HERE.with(ThreadTable::is_in_use);
        if !is_there || !all_sound || is_in_use {
            wrong.push(format!("{at}: {got:?}, then {after:?}, in use {is_in_use}"));
        }
        // And another one can be put there.
        HERE.with(|here| here.put(fifth.clone(), owner(5)));
        if found(5) != Some(75) {
            wrong.push(format!("{at}: nothing can be put there any more"));
        }
        HERE.with(|here| drop(here.take()));
        OTHER.with(|other| drop(other.take()));
        THIRD.with(|third| drop(third.take()));
        if seen <= at {
            // That was the last one.
            return wrong;
        }
    }
    panic!("it takes more instructions than {INSTRUCTIONS}");
}

#[test]
fn nobody_gets_the_table_of_another_owner() {
    alone!();
    let Some(role) = child::role() else {
        for role in ["taken", "replaced"] {
            child::plan(role).start().succeed();
        }
        return;
    };
    ONLY_TAKES.store(u64::from(role == "taken"), Ordering::Relaxed);
    interrupts::handle(libc::SIGTRAP, handler).unwrap();
    let all = [
        ("use", USE, false, 1),
        ("take", TAKE, true, 7),
        ("put", PUT, false, 53),
        ("hide", HIDE, false, 29),
    ];
    for (name, what, takes, step) in all {
        let wrong = step_through(what, takes, step);
        assert!(wrong.is_empty(), "{name}, before which instruction, got, then found: {wrong:#?}");
    }
}
