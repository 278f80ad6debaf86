//! Time belongs to whoever was entered last: whatever a program makes, enters, leaves, keeps and enters again, wherever
//! and with whatever parent, the busy times of spans themselves come to the time that threads were inside anything.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use spandrel::Entries;
use spandrel_tests::{
    Database, dispatch, ledger, rounds, scratch, self_times, small, time_limit, within,
};
use tracing::{Dispatch, Span, info_span};

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
    /// Enters one inside its parent, which is entered for that.
    EnterInParent(usize, Vec<Step>),
    /// Lends one to all threads, with its parent.
    Lend(usize),
    /// Enters one that was lent by any of them; inside its parent or just so.
    EnterLent(usize, bool, Vec<Step>),
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
        1 => any::<usize>().prop_map(Step::Lend),
    ];
    let step = leaf.prop_recursive(5, 40, 5, |inner| {
        let inside = prop::collection::vec(inner, 0..6);
        prop_oneof![
            2 => (any::<usize>(), inside.clone()).prop_map(|(at, inside)| Step::Enter(at, inside)),
            1 => (any::<usize>(), inside.clone())
                .prop_map(|(at, inside)| Step::EnterShared(at, inside)),
            2 => (parent(), inside.clone())
                .prop_map(|(parent, inside)| Step::Once(parent, inside)),
            1 => (any::<usize>(), inside.clone())
                .prop_map(|(at, inside)| Step::EnterInParent(at, inside)),
            2 => (any::<usize>(), any::<bool>(), inside)
                .prop_map(|(at, in_parent, inside)| Step::EnterLent(at, in_parent, inside)),
        ]
    });
    prop::collection::vec(step, 1..10)
}

/// A span that a program has made.
#[derive(Debug, Clone)]
struct Made {
    span: Span,
    /// Where spans are lent.
    parent: Option<Span>,
}

impl Made {
    fn in_parent(&self, body: impl FnOnce()) {
        // What is around all is entered once: it says how long threads were inside anything.
        match self.parent.as_ref().filter(|parent| !is_outer(parent)) {
            Some(parent) => parent.in_scope(|| self.span.in_scope(body)),
            None => self.span.in_scope(body),
        }
    }
}

fn is_outer(span: &Span) -> bool {
    span.metadata().is_some_and(|metadata| metadata.name() == "outer")
}

/// So many are lent at a time.
const LENT_MAX: usize = 12;

/// What runs programs.
struct Player<'a> {
    shared: &'a [Span],
    own: Vec<Made>,
    /// What was lent by any thread, if they lend.
    lent: Option<&'a Mutex<Vec<Made>>>,
    /// All that were made, in that order, where they have to be there for as long as one of them is lent.
    kept: Vec<Span>,
    /// Whether a span may be forgotten that has children; our own subscriber keeps no parent open, and takes what is
    /// entered inside a later span in the same place for being inside the parent.
    forgets: bool,
}

impl Player<'_> {
    fn make(&mut self, parent: &Parent) -> Made {
        let other = match parent {
            Parent::Other(at) => self.own.get(at % self.own.len().max(1)),
            Parent::Current | Parent::Nobody => None,
        };
        let other = other.map(|made| made.span.clone());
        let span = match (parent, &other) {
            (Parent::Nobody, _) => info_span!(parent: None, "root"),
            (_, Some(parent)) => info_span!(parent: parent, "child"),
            (_, None) => info_span!("child"),
        };
        if self.lent.is_none() {
            return Made { span, parent: None };
        }
        self.keep(&span);
        let is_root = matches!(parent, Parent::Nobody);
        Made { span, parent: (!is_root).then(|| other.unwrap_or_else(Span::current)) }
    }

    fn keep(&mut self, span: &Span) {
        if self.lent.is_some() && !self.forgets {
            self.kept.push(span.clone());
        }
    }

    fn chosen(&self, at: usize) -> Option<Made> {
        self.own.get(at % self.own.len().max(1)).cloned()
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Make(parent) => {
                    let made = self.make(parent);
                    self.own.push(made);
                }
                Step::Enter(at, inside) => {
                    let Some(Made { span, .. }) = self.chosen(*at) else { continue };
                    span.in_scope(|| self.run(inside));
                }
                Step::EnterInParent(at, inside) => {
                    let Some(made) = self.chosen(*at) else { continue };
                    made.in_parent(|| self.run(inside));
                }
                Step::Lend(at) => {
                    if let (Some(lent), Some(made)) = (self.lent, self.chosen(*at)) {
                        let mut lent = lent.lock().unwrap();
                        let full = lent.len() >= LENT_MAX;
                        let before =
                            if full { Some(lent.swap_remove(at % LENT_MAX)) } else { None };
                        lent.push(made);
                        drop(lent);
                        // Perhaps the last handle, and nothing is to wait for its record.
                        drop(before);
                    }
                }
                Step::EnterLent(at, in_parent, inside) => {
                    let Some(lent) = self.lent else { continue };
                    let chosen = {
                        let lent = lent.lock().unwrap();
                        lent.get(at % lent.len().max(1)).cloned()
                    };
                    match chosen {
                        Some(made) if *in_parent => made.in_parent(|| self.run(inside)),
                        Some(made) => made.span.in_scope(|| self.run(inside)),
                        None => {}
                    }
                }
                Step::EnterShared(at, inside) => {
                    let span = self.shared[at % self.shared.len()].clone();
                    span.in_scope(|| self.run(inside));
                }
                Step::Once(parent, inside) => {
                    let (Made { span, .. }, known) = (self.make(parent), self.own.len());
                    span.in_scope(|| self.run(inside));
                    if !self.forgets && self.lent.is_none() {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    Layer,
    Subscriber,
}

/// Which entries are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Usual,
    All,
    /// All of spans that are shared, which count by them.
    Shared,
}

/// Programs one after the other, as many for each thread, ten of them with the same shared spans. `lends`: whether spans
/// that a thread has made are entered by others.
fn record(front: Front, threads: u8, programs: usize, recorded: Recorded, lends: bool) {
    let scratch = scratch();
    let builder = small(scratch.db()).ring_capacity(1 << 16);
    let builder = match recorded {
        Recorded::Usual => builder,
        Recorded::All => builder.entries(Entries::All),
        Recorded::Shared => builder.entries_of("shared*", Entries::All),
    };
    let profiler = builder.build().unwrap();
    let dispatch = match front {
        Front::Layer => dispatch(&profiler),
        Front::Subscriber => Dispatch::new(profiler.subscriber()),
    };
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
            let lent = Mutex::new(Vec::new());
            let kept: Vec<Vec<Span>> = std::thread::scope(|scope| {
                let playing = runners.iter_mut().map(|runner| {
                    let (dispatch, shared) = (&dispatch, &shared);
                    let lent = lends.then_some(&lent);
                    scope.spawn(move || within(dispatch, || play(front, shared, lent, runner)))
                });
                let playing: Vec<_> = playing.collect();
                playing.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            drop(lent);
            // What was made last, first.
            kept.into_iter().for_each(|mut kept| while kept.pop().is_some() {});
        });
        profiler.flush(Duration::from_secs(60)).unwrap();
    }
    let report = profiler.close().unwrap();
    let db = ledger::check_complete(scratch.db(), &report);
    check(&db, recorded, &format!("{front:?}, {threads} threads, {recorded:?}, {lends}"));
    if lends && threads > 1 {
        let by_others =
            "SELECT count(*) FROM spans WHERE name = 'child' AND longest_thread_id != thread_id";
        assert!(db.count(by_others) > 0, "no thread has entered what another one has made");
    }
}

/// Ten programs. Returns what has to be there until all threads are done.
fn play(
    front: Front,
    shared: &[Span; 3],
    lent: Option<&Mutex<Vec<Made>>>,
    runner: &mut TestRunner,
) -> Vec<Span> {
    let forgets = front == Front::Layer;
    let mut player = Player { shared, own: Vec::new(), lent, kept: Vec::new(), forgets };
    for _ in 0..10 {
        let steps = program().new_tree(runner).unwrap().current();
        let outer = info_span!(parent: None, "outer");
        player.keep(&outer);
        outer.in_scope(|| player.run(&steps));
        // What was made last, first: our own subscriber keeps no parent open. What is lent is entered in the next
        // programs, too.
        while lent.is_none() && player.own.pop().is_some() {}
    }
    while player.own.pop().is_some() {}
    player.kept
}

fn check(db: &Database, recorded: Recorded, what: &str) {
    let inside: i64 = db.value("SELECT sum(busy_ns) FROM spans WHERE name = 'outer'");
    let own = self_times::self_busy_ns(db);
    // Moments and lengths are rounded to nanoseconds, each by itself.
    let rounding: i64 = db.value("SELECT sum(entries) + count(*) FROM span");
    assert!(own <= inside + rounding, "{what}: {own} ns in spans themselves, {inside} ns in all");
    assert!(own >= inside - rounding, "{what}: {own} ns in spans themselves, {inside} ns in all");
    if recorded == Recorded::Shared {
        assert!(db.count("SELECT count(*) FROM entry WHERE self_ns IS NOT NULL") > 0);
        return;
    }
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
        for recorded in [Recorded::Usual, Recorded::All, Recorded::Shared] {
            for front in [Front::Layer, Front::Subscriber] {
                record(front, 1, 300, recorded, false);
                record(front, 3, 100, recorded, false);
                record(front, 1, 100, recorded, true);
                record(front, 3, 100, recorded, true);
            }
        }
    }
}
