//! Time belongs to whoever was entered: programs with spans that live long and are entered anywhere, and the sums of
//! self times over each thread, which are the time that it was inside anything, to the nanosecond.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use spandrel::{Entries, Profiler};
use spandrel_tests::{
    Database, dispatch, ledger, rounds, scratch, self_times, small, time_limit, within,
};
use tracing::{Dispatch, Span, info_span};

/// What a thread does inside of what it is in.
#[derive(Debug, Clone)]
enum Step {
    /// Enters a span that lives long, and does the others inside.
    Long(usize, Vec<Step>),
    /// The same with a span of its own, which is a child of the one that it is in.
    Child(Vec<Step>),
    /// The same with one that has this long-lived span for its parent.
    ChildOf(usize, Vec<Step>),
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        (0_usize..4).prop_map(|n| Step::Long(n, Vec::new())),
        Just(Step::Child(Vec::new())),
    ];
    let step = leaf.prop_recursive(4, 12, 3, |inner| {
        let inside = prop::collection::vec(inner, 0..4);
        prop_oneof![
            3 => (0_usize..4, inside.clone()).prop_map(|(n, inside)| Step::Long(n, inside)),
            2 => inside.clone().prop_map(Step::Child),
            1 => (0_usize..4, inside).prop_map(|(n, inside)| Step::ChildOf(n, inside)),
        ]
    });
    prop::collection::vec(step, 1..4)
}

fn run(long: &[Span], steps: &[Step]) {
    for step in steps {
        match step {
            Step::Long(n, inside) => long[*n].in_scope(|| run(long, inside)),
            Step::Child(inside) => info_span!("child").in_scope(|| run(long, inside)),
            Step::ChildOf(n, inside) => {
                info_span!(parent: &long[*n], "child").in_scope(|| run(long, inside));
            }
        }
    }
}

/// Programs one after the other, as many for each thread, with long-lived spans that the threads share and some of
/// their own.
fn record(front: fn(&Profiler) -> Dispatch, threads: u32, programs: usize) {
    let scratch = scratch();
    let builder = small(scratch.db()).entries_of("long*", Entries::All);
    let profiler = builder.ring_capacity(1 << 16).build().unwrap();
    let dispatch = front(&profiler);
    let (profiler, dispatch) = (&profiler, &dispatch);
    within(dispatch, || {
        let shared = [info_span!("long_shared"), info_span!(parent: None, "long_too")];
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let shared = &shared;
                scope.spawn(move || {
                    within(dispatch, || of_a_thread(profiler, shared, thread, programs))
                });
            }
        });
    });
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    assert!(report.entries.stored > programs as u64, "{report}");
    sums_by_thread(&db);
}

fn of_a_thread(profiler: &Profiler, shared: &[Span; 2], thread: u32, programs: usize) {
    let seed = [thread as u8 + 1; 32];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = program();
    // One that is made inside of something, which it is never entered in, and one that is nobody's child.
    let own = info_span!("outer").in_scope(|| info_span!("long_made_inside"));
    let long = [shared[0].clone(), shared[1].clone(), own, info_span!("long_root")];
    for n in 0..programs {
        run(&long, &strategy.new_tree(&mut runner).unwrap().current());
        if n % 100 == 99 {
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
    }
}

/// By thread: what all self times come to, and how long it was inside anything.
fn sums_by_thread(db: &Database) {
    let mut sums = BTreeMap::<i64, (i64, Vec<(i64, i64)>)>::new();
    let entries = self_times::entries(db);
    let stray = entries.iter().filter(|entry| entry.self_ns.is_none());
    let stray: HashMap<i64, i64> =
        stray.map(|entry| (entry.span_id, entry.end_ns - entry.start_ns)).collect();
    assert!(!stray.is_empty());
    // A child's lifetime is taken off the span that it is in, but where that is not its parent: there it is the entry,
    // and the moments before and after that are the child's waiting.
    // Registry keeps the outer one open for the long-lived one that was made inside of it.
    let spans =
        db.spans().into_iter().filter(|span| span.self_ns.is_some() && span.name != "outer");
    for span in spans {
        let sum = sums.entry(span.thread_id).or_default();
        sum.0 += span.self_ns.unwrap();
        match stray.get(&span.id) {
            Some(entry) => sum.0 -= span.duration_ns.unwrap() - entry,
            None => sum.1.push((span.start_ns, span.end_ns())),
        }
    }
    for entry in &entries {
        let sum = sums.entry(entry.thread_id).or_default();
        sum.0 += entry.self_ns.unwrap_or(0);
        sum.1.push((entry.start_ns, entry.end_ns));
    }
    for (thread, (own, inside)) in sums {
        let all =
            inside.iter().fold((i64::MAX, 0), |(from, to), it| (from.min(it.0), to.max(it.1)));
        let passed = self_times::union(inside.into_iter(), all);
        assert_eq!(own, passed, "thread {thread}: sum of self times, and time inside anything");
    }
}

fn subscriber(profiler: &Profiler) -> Dispatch {
    Dispatch::new(profiler.subscriber())
}

/// `SPANDREL_TEST_ROUNDS` times as many: a hundred thousand programs with 50.
#[test]
fn self_times_of_a_thread_come_to_the_time_that_it_was_inside_anything() {
    let _limit = time_limit(1_200);
    for _ in 0..rounds(1) {
        record(dispatch, 1, 600);
        record(subscriber, 1, 600);
        record(dispatch, 3, 150);
        record(subscriber, 3, 150);
    }
}
