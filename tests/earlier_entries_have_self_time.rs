//! Of a span that is entered very often, the first thousand entries are in no row. What they were inside themselves is
//! known all the same: the time that threads were inside anything is in spans themselves and in entries, all of it.

use std::hint::black_box;
use std::time::Duration;

use spandrel::Profiler;
use spandrel_tests::{Database, dispatch, ledger, scratch, self_times, small, time_limit, within};
use tracing::{Dispatch, Span, info_span};

#[derive(Debug, Clone, Copy)]
enum Front {
    Layer,
    Subscriber,
}

impl Front {
    fn dispatch(self, profiler: &Profiler) -> Dispatch {
        match self {
            Self::Layer => dispatch(profiler),
            Self::Subscriber => Dispatch::new(profiler.subscriber()),
        }
    }
}

/// Something that takes a while.
fn work() {
    black_box((0..200_u64).fold(0, |sum, n| black_box(sum ^ n)));
}

/// What a thread does inside the span that lives long: a child now and then, one that is entered again in the next entry,
/// and one that is kept until a later one.
fn enter(long: &Span, times: usize) {
    let mut kept = Vec::new();
    let mut again = None;
    for n in 0..times {
        long.in_scope(|| {
            work();
            match n % 7 {
                1 => info_span!("child").in_scope(work),
                2 => again.insert(info_span!("again")).in_scope(work),
                3 => again.iter().for_each(|again| again.in_scope(work)),
                4 => {
                    let child = info_span!("kept");
                    child.in_scope(work);
                    kept.push(child);
                }
                5 if n % 70 == 5 => kept.clear(),
                _ => again = None,
            }
        });
    }
}

/// Nothing is entered around `outer`.
fn has_all(db: &Database) -> Result<(), String> {
    let inside: i64 = db.value("SELECT sum(busy_ns) FROM spans WHERE name = 'outer'");
    let own = self_times::self_busy_ns(db);
    // Moments and lengths are rounded to nanoseconds, each by itself.
    let rounding: i64 = db.value("SELECT sum(entries) + count(*) FROM span");
    let adds_up = (own - inside).abs() <= rounding;
    adds_up.then_some(()).ok_or_else(|| format!("{own} ns in spans themselves, {inside} ns in all"))
}

/// So many other threads enter it, too, if it is nobody's child; else its own does alone, inside its parent.
fn record(front: Front, others: Option<usize>, times: usize) -> Result<(), String> {
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    let dispatch = front.dispatch(&profiler);
    let outer = || info_span!(parent: None, "outer");
    within(&dispatch, || match others {
        None => outer().in_scope(|| {
            let long = info_span!("long");
            enter(&long, times / 2);
            profiler.flush(Duration::from_secs(60)).unwrap();
            enter(&long, times / 2);
        }),
        Some(others) => {
            let long = info_span!(parent: None, "long");
            std::thread::scope(|scope| {
                for _ in 0..others {
                    scope.spawn(|| {
                        within(&dispatch, || {
                            outer().in_scope(|| enter(&long, times / 2));
                            profiler.flush(Duration::from_secs(60)).unwrap();
                            outer().in_scope(|| enter(&long, times / 2));
                        });
                    });
                }
                outer().in_scope(|| enter(&long, times));
            });
        }
    });
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    let earlier: i64 = db.value("SELECT coalesce(sum(earlier_entries), 0) FROM entry");
    // Where it is a second old, it counts sooner.
    assert!(earlier > 0 || times < 1_000, "no entries before the first that counts");
    has_all(&db)
}

#[test]
fn what_entries_before_the_first_that_counts_were_inside_themselves_is_known() {
    let _limit = time_limit(300);
    let mut wrong = Vec::new();
    for front in [Front::Layer, Front::Subscriber] {
        for others in [None, Some(0), Some(2)] {
            for times in [400, 1_100, 4_000] {
                if let Err(sums) = record(front, others, times) {
                    wrong.push(format!("{front:?}, {others:?} other threads, {times}: {sums}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}
