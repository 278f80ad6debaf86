//! A span that its own thread enters inside its parent, another thread elsewhere, and its own thread inside its parent
//! again, in any order: what of it was inside the parent is not the parent's own time, and all else is not taken off it.

use std::hint::black_box;
use std::sync::Barrier;

use spandrel::{Entries, Profiler, ProfilerBuilder};
use spandrel_tests::{
    Database, dispatch, ledger, rounds, scratch, self_times, small, time_limit, within,
};
use tracing::{Dispatch, Span, info_span};

/// An entry of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// By its own thread, inside its parent.
    Inside,
    /// By its own thread, inside a span in its parent.
    Aside,
    /// By its own thread, when that has left its parent.
    Outside,
    /// By another thread that is inside another span.
    ByOther,
    /// By another thread that is inside the parent, too.
    ByOtherInside,
    /// The same while its own thread is inside, which came first and leaves last.
    ByOtherMeanwhile,
}

use Entry::*;

/// What is done with the child, one after the other.
const PROGRAMS: [&[Entry]; 12] = [
    &[Inside, ByOther, Inside],
    &[ByOther, Inside],
    &[ByOther, Inside, Inside, ByOther, Inside],
    &[Inside, Inside, ByOther, ByOther, Inside, Inside],
    &[ByOtherMeanwhile, Inside],
    &[Inside, ByOther, Aside, Inside],
    &[Aside, ByOther, Inside, Inside],
    &[Inside, Inside, ByOther, Inside, Inside, Aside, Inside, Aside],
    &[Inside, ByOther, Outside, Inside],
    &[Inside, ByOtherInside, ByOther, ByOtherInside, Inside],
    &[ByOtherInside, Inside, ByOtherInside],
    &[Inside, Aside, ByOtherInside, ByOtherMeanwhile, Outside, ByOtherInside],
];

#[derive(Debug, Clone, Copy)]
enum Front {
    Layer,
    Subscriber,
}

const RULES: [fn(ProfilerBuilder) -> ProfilerBuilder; 4] = [
    |builder| builder,
    |builder| builder.entries(Entries::All),
    |builder| builder.entries_of("child", Entries::All),
    |builder| builder.entries_of("child", Entries::Off),
];
/// That one: nothing takes the child's time off what it was entered in elsewhere.
const OFF: usize = 3;

/// Something that takes a while.
fn work() {
    black_box((0..2_000_u64).fold(0, |sum, n| black_box(sum ^ n)));
}

/// The other thread does its part of an entry.
fn other(entry: Entry, parent: &Span, child: &Span) {
    let enter = || child.in_scope(work);
    match entry {
        ByOther | ByOtherMeanwhile => info_span!(parent: None, "other").in_scope(enter),
        ByOtherInside => parent.in_scope(enter),
        Inside | Aside | Outside => {}
    }
}

/// Its own thread, which is inside the parent, does its part; `turn` is that of the other one.
fn own(entry: Entry, child: &Span, turn: impl Fn()) {
    match entry {
        Inside => child.in_scope(work),
        Aside => info_span!("aside").in_scope(|| child.in_scope(work)),
        ByOtherMeanwhile => {
            child.in_scope(|| {
                work();
                turn();
                work();
            });
            return;
        }
        Outside | ByOther | ByOtherInside => {}
    }
    turn();
}

fn play(dispatch: &Dispatch, entries: &[Entry]) {
    let parent = info_span!(parent: None, "parent");
    let child = info_span!(parent: &parent, "child");
    let turns = Barrier::new(2);
    let turn = || {
        turns.wait();
        turns.wait();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            within(dispatch, || {
                for entry in entries {
                    turns.wait();
                    other(*entry, &parent, &child);
                    turns.wait();
                }
            });
        });
        let mut inside = Some(parent.clone().entered());
        for entry in entries {
            if *entry == Outside {
                inside = None;
                info_span!(parent: None, "other").in_scope(|| child.in_scope(work));
                turn();
                continue;
            }
            inside.get_or_insert_with(|| parent.clone().entered());
            own(*entry, &child, turn);
        }
    });
    // Before its parent, which our own subscriber does not keep open.
    drop(child);
}

/// Nothing is entered around `parent` and `other`: so that they say how long threads were inside anything.
fn has_all(db: &Database, is_off: bool) -> Result<(), String> {
    let outer = "SELECT sum(busy_ns) FROM spans WHERE name IN ('parent', 'other')";
    let (inside, own): (i64, i64) = (db.value(outer), self_times::self_busy_ns(db));
    // Moments and lengths are rounded to nanoseconds, each by itself.
    let rounding: i64 = db.value("SELECT sum(entries) + count(*) FROM span");
    let elsewhere: i64 = match is_off {
        true => {
            db.value("SELECT coalesce(sum(busy_ns), 0) FROM spans WHERE name IN ('aside', 'other')")
        }
        false => 0,
    };
    let adds_up = (inside - rounding..=inside + elsewhere + rounding).contains(&own);
    adds_up.then_some(()).ok_or_else(|| format!("{own} ns in spans themselves, {inside} ns in all"))
}

#[test]
fn what_was_inside_the_parent_is_known_whoever_entered_it_between() {
    let _limit = time_limit(120);
    let fronts = [Front::Layer, Front::Subscriber];
    let mut wrong = Vec::new();
    for (n, rule) in (0..rounds(1)).flat_map(|_| RULES.iter().enumerate()) {
        for (front, program) in fronts.iter().flat_map(|front| PROGRAMS.map(|it| (front, it))) {
            for times in [1, 3] {
                let scratch = scratch();
                let profiler = rule(small(scratch.db())).build().unwrap();
                let dispatch = of(*front, &profiler);
                within(&dispatch, || (0..times).for_each(|_| play(&dispatch, program)));
                let report = profiler.close().unwrap();
                let db = ledger::check_complete(scratch.db(), &report);
                if let Err(sums) = has_all(&db, n == OFF) {
                    wrong.push(format!("rule {n}, {front:?}, {times} times {program:?}: {sums}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

fn of(front: Front, profiler: &Profiler) -> Dispatch {
    match front {
        Front::Layer => dispatch(profiler),
        Front::Subscriber => Dispatch::new(profiler.subscriber()),
    }
}
