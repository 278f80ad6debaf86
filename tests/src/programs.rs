//! Random programs of span operations, and what runs them.
//!
//! Spans lie in a pool that all threads share. To use one, a thread takes it out and puts it back
//! afterwards, so that no two threads ever work on one handle at once and every layer sees the
//! operations on a span in the same order, also when the threads run freely.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use proptest::collection::vec;
use proptest::prelude::*;
use tracing::span::EnteredSpan;
use tracing::{Dispatch, Level, Span, event, field, span};

/// Where a span or an event belongs.
#[derive(Debug, Clone, Copy)]
pub enum Parent {
    /// To the span that the thread is in.
    Current,
    /// To none.
    Root,
    /// To this one of the pool.
    Under(usize),
}

/// One operation. Numbers choose from what is there, modulo how many there are; with nothing to
/// choose from, nothing happens.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Opens a span of one of [`KINDS`] kinds, its values made from a seed.
    Open { kind: usize, parent: Parent, seed: u64 },
    /// Enters a span and keeps a handle.
    Enter { span: usize },
    /// Leaves one of the spans that the thread is in, not necessarily the last.
    Exit { entry: usize },
    /// Records fields.
    Record { span: usize, seed: u64 },
    /// One span follows from another.
    Follow { span: usize, from: usize },
    /// Emits an event.
    Event { level: usize, parent: Parent, seed: u64 },
    /// Makes a second handle.
    Clone { span: usize },
    /// Drops a handle.
    Drop { span: usize },
    /// Drops a handle while the thread unwinds.
    DropInPanic { span: usize },
}

/// An operation and the thread that does it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub thread: usize,
    pub op: Op,
}

/// A program.
#[derive(Debug, Clone)]
pub struct Program {
    pub threads: usize,
    pub steps: Vec<Step>,
    /// Whether the profiler is closed while all that is open still is.
    pub close_early: bool,
    /// Events that are kept: this level and the more severe ones.
    pub threshold: usize,
    /// The same for spans, where they are filtered.
    pub spans: usize,
}

/// How the threads of a program take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// One step after the other, in the program's order.
    Ordered,
    /// All at once, each thread its own steps.
    Free,
}

/// All levels, the most severe first.
pub const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// How many kinds of span there are.
pub const KINDS: usize = 6;

fn parents() -> impl Strategy<Value = Parent> {
    prop_oneof![
        6 => Just(Parent::Current),
        1 => Just(Parent::Root),
        3 => any::<usize>().prop_map(Parent::Under),
    ]
}

fn ops(turns: Turns) -> impl Strategy<Value = Op> {
    let span = any::<usize>;
    let clones = u32::from(turns == Turns::Ordered);
    prop_oneof![
        8 => (0..KINDS, parents(), any::<u64>())
            .prop_map(|(kind, parent, seed)| Op::Open { kind, parent, seed }),
        8 => span().prop_map(|span| Op::Enter { span }),
        8 => span().prop_map(|entry| Op::Exit { entry }),
        3 => (span(), any::<u64>()).prop_map(|(span, seed)| Op::Record { span, seed }),
        2 => (span(), span()).prop_map(|(span, from)| Op::Follow { span, from }),
        4 => (0..LEVELS.len(), parents(), any::<u64>())
            .prop_map(|(level, parent, seed)| Op::Event { level, parent, seed }),
        2 * clones => span().prop_map(|span| Op::Clone { span }),
        6 => span().prop_map(|span| Op::Drop { span }),
        1 => span().prop_map(|span| Op::DropInPanic { span }),
    ]
}

/// Programs of at most so many threads and steps.
pub fn programs(turns: Turns, threads: usize, steps: usize) -> impl Strategy<Value = Program> {
    (1..=threads).prop_flat_map(move |threads| {
        let step = (0..threads, ops(turns)).prop_map(|(thread, op)| Step { thread, op });
        let levels = (0..LEVELS.len(), 0..LEVELS.len());
        (vec(step, 1..=steps), any::<bool>(), levels).prop_map(
            move |(steps, close_early, (threshold, spans))| Program {
                threads,
                steps,
                close_early,
                threshold,
                spans,
            },
        )
    })
}

thread_local! {
    static HIDES: Cell<bool> = const { Cell::new(false) };
}

/// Whether the span that the calling thread opens just now is one of those, a third of each kind, that a
/// filter by its own mind would hide.
pub fn is_hidden() -> bool {
    HIDES.get()
}

/// What the threads share.
#[derive(Debug, Default)]
struct Pool {
    spans: Mutex<Vec<Span>>,
    /// Numbers for spans and events.
    next: AtomicI64,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.spans.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, index: usize) -> Option<Span> {
        let mut spans = self.lock();
        if spans.is_empty() {
            return None;
        }
        let index = index % spans.len();
        Some(spans.swap_remove(index))
    }

    fn put(&self, span: Option<Span>) {
        self.lock().extend(span);
    }

    fn number(&self) -> i64 {
        // Relaxed: only uniqueness matters.
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Runs the program on threads of its own under `dispatch`. Once every step is done and before
/// anything that is still open is closed, `pause` runs.
pub fn run(program: &Program, turns: Turns, dispatch: &Dispatch, pause: impl FnOnce()) {
    let pool = Arc::new(Pool::default());
    std::thread::scope(|scope| {
        let (done, wait) = channel();
        let mut workers = Vec::new();
        for _ in 0..program.threads {
            let (send, steps) = channel::<Option<Op>>();
            let (pool, done) = (Arc::clone(&pool), done.clone());
            workers.push(send);
            scope.spawn(move || {
                tracing::dispatcher::with_default(dispatch, || {
                    let mut entries = Vec::new();
                    while let Ok(Some(op)) = steps.recv() {
                        perform(op, &pool, &mut entries);
                        let _ = done.send(());
                    }
                    // The end of the program: wait for the word, then leave what is entered.
                    let _ = steps.recv();
                    drop(entries);
                    let _ = done.send(());
                });
            });
        }
        drop(done);
        let tell = |worker: &Sender<Option<Op>>, op| worker.send(op).expect("the worker lives");
        let hear = || wait.recv().expect("a worker panicked");
        for step in &program.steps {
            tell(&workers[step.thread], Some(step.op));
            if turns == Turns::Ordered {
                hear();
            }
        }
        if turns == Turns::Free {
            program.steps.iter().for_each(|_| hear());
        }
        pause();
        for worker in &workers {
            tell(worker, None);
            tell(worker, None);
            hear();
        }
        // Closing a child gives up its parent through the default subscriber.
        tracing::dispatcher::with_default(dispatch, || pool.lock().clear());
    });
}

fn perform(op: Op, pool: &Pool, entries: &mut Vec<EnteredSpan>) {
    match op {
        Op::Open { kind, parent, seed } => {
            let above = under(parent, pool);
            HIDES.set(seed % 3 == 0);
            let span = open(kind, parent, above.as_ref(), pool.number(), &mut Random(seed));
            HIDES.set(false);
            pool.put(above);
            pool.put(Some(span));
        }
        Op::Enter { span } => {
            if let Some(span) = pool.take(span) {
                entries.push(span.clone().entered());
                pool.put(Some(span));
            }
        }
        Op::Exit { entry } => {
            if !entries.is_empty() {
                drop(entries.remove(entry % entries.len()));
            }
        }
        Op::Record { span, seed } => {
            if let Some(span) = pool.take(span) {
                record(&span, &mut Random(seed));
                pool.put(Some(span));
            }
        }
        Op::Follow { span, from } => {
            let (span, from) = (pool.take(span), pool.take(from));
            if let (Some(span), Some(from)) = (&span, &from) {
                span.follows_from(from);
            }
            pool.put(span);
            pool.put(from);
        }
        Op::Event { level, parent, seed } => {
            let above = under(parent, pool);
            emit(level, parent, above.as_ref(), pool.number(), &mut Random(seed));
            pool.put(above);
        }
        Op::Clone { span } => {
            if let Some(span) = pool.take(span) {
                pool.put(Some(span.clone()));
                pool.put(Some(span));
            }
        }
        Op::Drop { span } => drop(pool.take(span)),
        Op::DropInPanic { span } => {
            let span = pool.take(span);
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _span = span;
                resume_unwind(Box::new(())) // no message on the terminal
            }));
            assert!(unwound.is_err());
        }
    }
}

fn under(parent: Parent, pool: &Pool) -> Option<Span> {
    match parent {
        Parent::Under(index) => pool.take(index),
        Parent::Current | Parent::Root => None,
    }
}

/// Calls `$macro` with the parent in the way that `tracing` has for it.
macro_rules! at {
    ($macro:ident, $parent:expr, $above:expr, $($rest:tt)*) => {
        match ($parent, $above) {
            (Parent::Current, _) => $macro!($($rest)*),
            (Parent::Under(_), Some(above)) => $macro!(parent: above, $($rest)*),
            (Parent::Root | Parent::Under(_), _) => $macro!(parent: None, $($rest)*),
        }
    };
}

fn open(kind: usize, parent: Parent, above: Option<&Span>, n: i64, random: &mut Random) -> Span {
    match kind {
        0 => at!(span, parent, above, Level::INFO, "plain", n),
        1 => at!(
            span,
            parent,
            above,
            Level::ERROR,
            "numbers",
            n,
            signed = random.next() as i64,
            unsigned = random.next(),
            small = random.next() as i8,
            flag = random.next().is_multiple_of(2),
            float = random.float()
        ),
        2 => {
            let (text, pair) = (random.text(), Some(random.text()));
            at!(
                span, parent, above, Level::WARN, "texts", n,
                text = text.as_str(), ?pair, shown = %Shown(random.next()), late = field::Empty
            )
        }
        3 => {
            let bytes = random.next().to_le_bytes();
            let failure = Failure(random.next() % 3);
            at!(
                span,
                parent,
                above,
                Level::DEBUG,
                "rare",
                n,
                long = i128::from(random.next() as i64) * i128::from(random.next()),
                longer = u128::from(random.next()) * u128::from(random.next()),
                bytes = &bytes[..random.next() as usize % 9],
                cause = &failure as &(dyn std::error::Error + 'static)
            )
        }
        4 => at!(
            span,
            parent,
            above,
            Level::DEBUG,
            "late",
            n,
            late = field::Empty,
            float = field::Empty,
            error = field::Empty
        ),
        _ => at!(span, parent, above, Level::INFO, "error", n, error = random.next()),
    }
}

fn record(span: &Span, random: &mut Random) {
    // A name that the span does not have is nothing to it.
    match random.next() % 4 {
        0 => span.record("late", random.text().as_str()),
        1 => span.record("late", random.next()).record("float", random.float()),
        2 => span.record("float", random.float()),
        _ => span.record("error", field::display(Shown(random.next()))),
    };
}

fn emit(level: usize, parent: Parent, above: Option<&Span>, n: i64, random: &mut Random) {
    match LEVELS[level % LEVELS.len()] {
        Level::ERROR => at!(event, parent, above, Level::ERROR, n, "it {} failed", random.next()),
        Level::WARN => at!(event, parent, above, Level::WARN, n, text = random.text().as_str()),
        Level::INFO => at!(event, parent, above, Level::INFO, n, float = random.float(), "{}", n),
        Level::DEBUG => at!(event, parent, above, Level::DEBUG, n, message = "said"),
        _ => at!(event, parent, above, Level::TRACE, n),
    }
}

/// Numbers from a seed (S. Vigna, splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn float(&mut self) -> f64 {
        match self.next() % 8 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => self.next() as i32 as f64,
            _ => f64::from_bits(self.next()),
        }
    }

    fn text(&mut self) -> String {
        let pieces =
            ["", "a", "\"", "\\", "\n", "\0", "\u{1b}[31m", "\u{1f980}", "\u{202e}", "é", "'); --"];
        let count = self.next() % 8;
        (0..count).map(|_| pieces[self.next() as usize % pieces.len()]).collect()
    }
}

struct Shown(u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

/// An error with so many causes.
#[derive(Debug)]
struct Failure(u64);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        const CAUSES: [Failure; 2] = [Failure(0), Failure(1)];
        static CAUSE: [Failure; 2] = CAUSES;
        let cause = (self.0 as usize).checked_sub(1)?;
        Some(&CAUSE[cause])
    }
}
