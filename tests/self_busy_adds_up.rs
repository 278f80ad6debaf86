//! Time belongs to whoever was entered last: whatever a program makes, enters, leaves, keeps and enters again, wherever
//! and with whatever parent, the busy times of spans themselves come to the time that threads were inside anything.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use spandrel::Entries;
use spandrel_tests::prelude::*;

/// Whose child a span is.
#[derive(Debug, Clone)]
enum Parent {
    Current,
    Nobody,
    Other(usize),
}

/// What a thread does.
#[derive(Debug, Clone)]
enum Step {
    /// Makes a span, which waits until somebody enters it, if anybody ever does.
    Make(Parent),
    /// Enters one of those that are there, which it may be inside of already.
    Enter(usize, Vec<Step>),
    /// The same with one that other threads enter, too.
    EnterShared(usize, Vec<Step>),
    /// Makes one, enters it and forgets it.
    Once(Parent, Vec<Step>),
    /// Forgets one.
    Forget(usize),
}

fn parent() -> impl Strategy<Value = Parent> {
    prop_oneof![
        3 => Just(Parent::Current),
        1 => Just(Parent::Nobody),
        2 => any::<usize>().prop_map(Parent::Other),
    ]
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        3 => parent().prop_map(Step::Make),
        3 => any::<usize>().prop_map(|at| Step::Enter(at, Vec::new())),
        1 => any::<usize>().prop_map(|at| Step::EnterShared(at, Vec::new())),
        1 => any::<usize>().prop_map(Step::Forget),
    ];
    let step = leaf.prop_recursive(5, 40, 5, |inner| {
        let inside = prop::collection::vec(inner, 0..6);
        prop_oneof![
            2 => (any::<usize>(), inside.clone()).prop_map(|(at, inside)| Step::Enter(at, inside)),
            1 => (any::<usize>(), inside.clone())
                .prop_map(|(at, inside)| Step::EnterShared(at, inside)),
            2 => (parent(), inside).prop_map(|(parent, inside)| Step::Once(parent, inside)),
        ]
    });
    prop::collection::vec(step, 1..10)
}

/// What runs a program.
struct Player<'a> {
    shared: &'a [Span],
    own: Vec<Span>,
    /// Whether a span may be forgotten that has children; our own subscriber keeps no parent open, and takes what is
    /// entered inside a later span in the same place for being inside the parent.
    forgets: bool,
}

impl Player<'_> {
    fn make(&self, parent: &Parent) -> Span {
        match parent {
            Parent::Current => info_span!("child"),
            Parent::Nobody => info_span!(parent: None, "root"),
            Parent::Other(at) => match self.own.get(at % self.own.len().max(1)) {
                Some(parent) => info_span!(parent: parent, "child"),
                None => info_span!("child"),
            },
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Make(parent) => self.own.push(self.make(parent)),
                Step::Enter(at, inside) => {
                    let Some(span) = self.own.get(at % self.own.len().max(1)).cloned() else {
                        continue;
                    };
                    span.in_scope(|| self.run(inside));
                }
                Step::EnterShared(at, inside) => {
                    let span = self.shared[at % self.shared.len()].clone();
                    span.in_scope(|| self.run(inside));
                }
                Step::Once(parent, inside) => {
                    let (span, known) = (self.make(parent), self.own.len());
                    span.in_scope(|| self.run(inside));
                    if !self.forgets {
                        self.own.truncate(known);
                    }
                }
                Step::Forget(at) if self.forgets && !self.own.is_empty() => {
                    self.own.swap_remove(at % self.own.len());
                }
                Step::Forget(_) => {}
            }
        }
    }
}

/// Programs one after the other, as many for each thread, ten of them with the same shared spans. `lives_long`: whether
/// those count by their entries.
fn record(front: Front, threads: u8, programs: usize, lives_long: bool) {
    let scratch = scratch();
    let mut builder = small(scratch.db()).ring_capacity(1 << 16);
    if lives_long {
        builder = builder.entries_of("shared*", Entries::All);
    }
    let profiler = builder.build().unwrap();
    let dispatch = front.dispatch(&profiler);
    let runner = |thread: u8| {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[thread + 1; 32]);
        TestRunner::new_with_rng(Config::default(), rng)
    };
    let mut runners: Vec<TestRunner> = (0..threads).map(runner).collect();
    for _ in 0..programs.div_ceil(10) {
        within(&dispatch, || {
            let shared =
                [info_span!(parent: None, "shared"), info_span!(parent: None, "shared_too")];
            let child = info_span!(parent: &shared[0], "shared_child");
            let shared = [shared[0].clone(), shared[1].clone(), child];
            std::thread::scope(|scope| {
                for runner in &mut runners {
                    let (dispatch, shared) = (&dispatch, &shared);
                    scope.spawn(move || within(dispatch, || play(front, shared, runner)));
                }
            });
        });
        profiler.flush(Duration::from_secs(60)).unwrap();
    }
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    check(&db, lives_long);
}

/// Ten programs.
fn play(front: Front, shared: &[Span; 3], runner: &mut TestRunner) {
    for _ in 0..10 {
        let steps = program().new_tree(runner).unwrap().current();
        let mut player = Player { shared, own: Vec::new(), forgets: front == Front::Layer };
        info_span!(parent: None, "outer").in_scope(|| player.run(&steps));
        // What was made last, first: our own subscriber keeps no parent open.
        while player.own.pop().is_some() {}
    }
}

fn check(db: &Database, lives_long: bool) {
    let inside: i64 = db.value("SELECT sum(busy_ns) FROM spans WHERE name = 'outer'");
    let own = self_times::self_busy_ns(db);
    // Moments and lengths are rounded to nanoseconds, each by itself.
    let rounding: i64 = db.value("SELECT sum(entries) + count(*) FROM span");
    assert!(own <= inside + rounding, "{own} ns in spans themselves, {inside} ns in all");
    if lives_long {
        assert!(db.count("SELECT count(*) FROM entry WHERE self_ns IS NOT NULL") > 0);
        // What children were busy that were entered several times is taken off the entries at hand, which may be others: so
        // there may be less, by as much as a thread was kept from running in one of them.
        return;
    }
    assert!(own >= inside - rounding, "{own} ns in spans themselves, {inside} ns in all");
    let again = "SELECT count(*) FROM span WHERE entries > 1 AND self_busy_ns IS NOT NULL";
    assert!(db.count(again) > 0, "nothing was entered twice, with another span inside");
    let waited = "SELECT count(*) FROM spans WHERE self_ns > self_busy_ns";
    assert!(db.count(waited) > 0, "nothing waited");
    assert_eq!(
        db.count("SELECT count(*) FROM spans WHERE self_busy_ns IS NULL AND self_ns IS NOT NULL"),
        0
    );
}

/// `SPANDREL_TEST_ROUNDS` times as many.
#[test]
fn busy_times_of_spans_themselves_come_to_the_time_that_threads_were_inside_anything() {
    let _limit = time_limit(1_200);
    for _ in 0..rounds(1) {
        for lives_long in [false, true] {
            record(Front::Layer, 1, 300, lives_long);
            record(Front::Subscriber, 1, 300, lives_long);
            record(Front::Layer, 3, 100, lives_long);
            record(Front::Subscriber, 3, 100, lives_long);
        }
    }
}
