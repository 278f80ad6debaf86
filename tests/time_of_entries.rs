//! Time belongs to whoever was entered: programs with spans that live long and are entered anywhere, that nobody enters,
//! and that are kept for long after they were left, by a handle or by a child; and the sums of
//! self times over each thread, which are the time that it was inside anything, to the nanosecond.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use spandrel::Entries;
use spandrel_tests::prelude::*;

/// What a thread does inside of what it is in.
#[derive(Debug, Clone)]
enum Step {
    /// Enters a span that lives long, and does the others inside.
    Long(usize, Vec<Step>),
    /// The same with a span of its own, which is a child of the one that it is in.
    Child(Vec<Step>),
    /// The same, and the handle is kept when the one around has been left.
    Held(Vec<Step>),
    /// The same with one that has this long-lived span for its parent.
    ChildOf(usize, Vec<Step>),
    /// The same with one whose parent is a child that nobody enters.
    ChildOfNever(Vec<Step>),
    /// Two children, the first of which is left while the thread is in the second.
    Crossed(Vec<Step>, Vec<Step>),
    /// A child that nobody enters, which is kept.
    Never,
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        (0_usize..4).prop_map(|n| Step::Long(n, Vec::new())),
        Just(Step::Child(Vec::new())),
        Just(Step::Never),
    ];
    let step = leaf.prop_recursive(4, 12, 3, |inner| {
        let inside = prop::collection::vec(inner, 0..4);
        prop_oneof![
            3 => (0_usize..4, inside.clone()).prop_map(|(n, inside)| Step::Long(n, inside)),
            2 => inside.clone().prop_map(Step::Child),
            2 => inside.clone().prop_map(Step::Held),
            1 => (0_usize..4, inside.clone()).prop_map(|(n, inside)| Step::ChildOf(n, inside)),
            1 => inside.clone().prop_map(Step::ChildOfNever),
            1 => (inside.clone(), inside).prop_map(|(inside, beyond)| Step::Crossed(inside, beyond)),
        ]
    });
    prop::collection::vec(step, 1..4)
}

/// What runs a program.
struct Player<'a> {
    long: &'a [Span],
    /// Whether two spans may overlap, of which the one that was entered first is left first.
    crosses: bool,
}

impl Player<'_> {
    /// Does steps. What they keep goes to `held`, and is kept for longer than the entry that it was made in, and with our own
    /// subscriber than its parent.
    fn run(&self, steps: &[Step], held: &mut Vec<Span>) {
        for step in steps {
            match step {
                Step::Long(n, inside) => self.long[*n].in_scope(|| self.run(inside, held)),
                Step::ChildOf(n, inside) => {
                    let span = info_span!(parent: &self.long[*n], "child");
                    span.in_scope(|| self.run(inside, held));
                }
                Step::ChildOfNever(inside) => {
                    let never = info_span!("never");
                    let span = info_span!(parent: &never, "child");
                    span.in_scope(|| self.run(inside, held));
                }
                Step::Child(inside) => info_span!("child").in_scope(|| self.run(inside, held)),
                Step::Held(inside) => {
                    let span = info_span!("child");
                    span.in_scope(|| self.run(inside, held));
                    held.push(span);
                }
                Step::Crossed(inside, beyond) if !self.crosses => {
                    info_span!("child").in_scope(|| self.run(inside, held));
                    info_span!("child").in_scope(|| self.run(beyond, held));
                }
                Step::Crossed(inside, beyond) => {
                    let first = info_span!("child");
                    let entered = first.enter();
                    let second = info_span!("crossed");
                    second.in_scope(|| {
                        self.run(inside, held);
                        drop(entered);
                        self.run(beyond, held);
                    });
                }
                Step::Never => held.push(info_span!("never")),
            }
        }
    }
}

/// Programs one after the other, as many for each thread, with long-lived spans that the threads share and some of
/// their own.
fn record(front: Front, threads: u32, programs: usize, crosses: bool) {
    let scratch = scratch();
    let builder = small(scratch.db()).entries_of("long*", Entries::All);
    let profiler = builder.ring_capacity(1 << 16).build().unwrap();
    let dispatch = front.dispatch(&profiler);
    let (profiler, dispatch) = (&profiler, &dispatch);
    within(dispatch, || {
        let shared = [info_span!("long_shared"), info_span!(parent: None, "long_too")];
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let shared = &shared;
                scope.spawn(move || {
                    let runner = runner(thread);
                    within(dispatch, || {
                        of_a_thread(profiler, shared, runner, (programs, crosses));
                    });
                });
            }
        });
    });
    let (report, db) = ledger::closed(&scratch, profiler);
    assert!(report.entries.stored > programs as u64, "{report}");
    // What is inside of two spans at once of which none is inside the other is in both, or in none.
    if !crosses {
        sums_by_thread(&db, threads == 1);
    }
    self_times::check(&db);
}

fn runner(thread: u32) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[thread as u8 + 1; 32]);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn of_a_thread(
    profiler: &Profiler,
    shared: &[Span; 2],
    mut runner: TestRunner,
    (programs, crosses): (usize, bool),
) {
    let strategy = program();
    // One that is made inside of something, which it is never entered in, and one that is nobody's child.
    let own = info_span!("outer").in_scope(|| info_span!("long_made_inside"));
    let root = || info_span!(parent: None, "long_root");
    let mut long = [shared[0].clone(), shared[1].clone(), own, root()];
    let mut held = Vec::new();
    let flush = || profiler.flush(Duration::from_secs(60)).unwrap();
    for n in 0..programs {
        let program = strategy.new_tree(&mut runner).unwrap().current();
        Player { long: &long, crosses }.run(&program, &mut held);
        if n % 10 == 9 {
            flush();
        }
        if n % 50 == 49 {
            // Even for longer than that, if that does not wait for its children.
            long[3] = root();
            (0..3).for_each(|_| {
                info_span!("between").in_scope(|| ());
                flush();
            });
            held.clear();
        }
    }
}

/// By thread: what all self busy times and self times of entries come to, and how long it was inside anything.
fn sums_by_thread(db: &Database, is_alone: bool) {
    let mut sums = BTreeMap::<i64, (i64, Vec<(i64, i64)>)>::new();
    let mut kept_ns = 0_i64;
    let entries = self_times::entries(db);
    assert!(entries.iter().any(|entry| entry.self_ns.is_none()));
    let works = self_times::works(db);
    let own = "SELECT id, self_busy_ns FROM spans WHERE self_busy_ns IS NOT NULL";
    let own: HashMap<i64, i64> =
        db.rows(own, [], |row| Ok((row.get(0)?, row.get(1)?))).into_iter().collect();
    for span in db.spans().into_iter().filter(|span| span.self_ns.is_some()) {
        let sum = sums.entry(span.thread_id).or_default();
        sum.0 += own[&span.id];
        let work = works[&span.id];
        sum.1.extend(work.inside_ns());
        assert!(span.entries > 0 || span.self_ns == Some(0), "nobody was inside: {span:?}");
        kept_ns += span.end_ns() - work.end_ns;
    }
    assert!(kept_ns > works.values().map(self_times::Work::length_ns).sum());
    for entry in &entries {
        let sum = sums.entry(entry.thread_id).or_default();
        sum.0 += entry.self_ns.unwrap_or(0);
        sum.1.push((entry.start_ns, entry.end_ns));
    }
    for (thread, (own, inside)) in sums {
        let all =
            inside.iter().fold((i64::MAX, 0), |(from, to), it| (from.min(it.0), to.max(it.1)));
        let passed = self_times::union(inside.into_iter(), all);
        let what = "sum of self busy times, and time inside anything";
        // What comes late from another thread may be known by its sum only, and be taken off where nothing is left of it.
        let missing = if is_alone { 0 } else { passed / 200 };
        assert!(
            (passed - missing..=passed).contains(&own),
            "thread {thread}: {what}: {own}, {passed}"
        );
    }
}

/// `SPANDREL_TEST_ROUNDS` times as many: a hundred thousand programs with 50.
#[test]
fn self_times_of_a_thread_come_to_the_time_that_it_was_inside_anything() {
    let _limit = time_limit(1_200);
    for _ in 0..rounds(1) {
        for crosses in [false, true] {
            record(Front::Layer, 1, 300, crosses);
            record(Front::Subscriber, 1, 300, crosses);
            record(Front::Layer, 3, 75, crosses);
            record(Front::Subscriber, 3, 75, crosses);
        }
    }
}
