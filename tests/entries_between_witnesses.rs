//! When spans were entered, for how long and by which thread: between what two layers say that are called
//! right before and right after the profiler's. So however busy the machine is, what is right lies between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Instant;

use spandrel_tests::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// What one of the two has seen of a span.
#[derive(Debug, Default, Clone)]
struct Seen {
    new: Option<Instant>,
    /// Since when: a thread can be inside more than once.
    inside: HashMap<ThreadId, Vec<Instant>>,
    /// Begin, end and thread.
    entries: Vec<(Instant, Instant, ThreadId)>,
}

#[derive(Default, Clone)]
struct Witness(Arc<Mutex<HashMap<u64, Seen>>>);

/// The span's field `n`, by which it is known.
struct Number(u64);

impl Visit for Number {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "n" {
            self.0 = value;
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Witness {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let now = Instant::now();
        let mut number = Number(0);
        attributes.record(&mut number);
        let span = context.span(id).unwrap();
        span.extensions_mut().replace(number);
        let n = span.extensions().get::<Number>().unwrap().0;
        self.0.lock().unwrap().entry(n).or_default().new = Some(now);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let now = Instant::now();
        let n = context.span(id).unwrap().extensions().get::<Number>().unwrap().0;
        let mut all = self.0.lock().unwrap();
        all.entry(n).or_default().inside.entry(std::thread::current().id()).or_default().push(now);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let (now, thread) = (Instant::now(), std::thread::current().id());
        let n = context.span(id).unwrap().extensions().get::<Number>().unwrap().0;
        let mut all = self.0.lock().unwrap();
        let seen = all.entry(n).or_default();
        let inside = seen.inside.get_mut(&thread).unwrap();
        let since = inside.pop().unwrap();
        if inside.is_empty() {
            seen.entries.push((since, now, thread));
        }
    }
}

/// A program with futures on one thread and on several, spans that are entered by several threads at once, by
/// another one only, late, again and again, once, and never. Returns how many spans there are, which are
/// numbered from 0 on.
fn program() -> u64 {
    let mut numbers = 0..;
    let mut next = || numbers.next().unwrap();
    let work = || {
        let _sum = std::hint::black_box((0..200_u64).fold(0, u64::wrapping_add));
    };
    for _ in 0..20 {
        let never = info_span!("never", n = next());
        info_span!("once", n = next()).in_scope(work);
        let again = info_span!("again", n = next());
        (0..7).for_each(|_| again.in_scope(work));
        let nested = info_span!("nested", n = next());
        nested.in_scope(|| nested.in_scope(work));
        drop(never);
    }
    let late = info_span!("late", n = next());
    std::thread::sleep(Duration::from_millis(1));
    late.in_scope(work);
    let elsewhere = info_span!("elsewhere", n = next());
    let shared = info_span!("shared", n = next());
    shared.in_scope(work);
    std::thread::scope(|scope| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        for thread in 0..3 {
            let (dispatch, shared, elsewhere) = (dispatch.clone(), &shared, &elsewhere);
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    (0..5).for_each(|_| shared.in_scope(work));
                    if thread == 0 {
                        elsewhere.in_scope(work);
                    }
                });
            });
        }
    });
    let future = |n| {
        async move {
            for step in 0..4_u64 {
                std::hint::black_box(step);
                tokio::task::yield_now().await;
            }
        }
        .instrument(info_span!("future", n))
    };
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    current.block_on(async { (0..10).for_each(|_| drop(tokio::spawn(future(next())))) });
    current.block_on(async { tokio::task::yield_now().await });
    drop(current);
    next()
}

/// What is not by the two's clock: its rate is measured, to a thousandth at worst.
fn about(nanoseconds: i64) -> i64 {
    nanoseconds / 1_000 + 2_000
}

fn nanoseconds(from: Instant, to: Instant) -> i64 {
    let apart = to.saturating_duration_since(from).as_nanos() as i64;
    apart - from.saturating_duration_since(to).as_nanos() as i64
}

#[test]
fn entries_lie_between_those_of_two_witnesses() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).ring_capacity(65_536).partitions(4).build().unwrap();
    let (below, above) = (Witness::default(), Witness::default());
    let subscriber = tracing_subscriber::registry()
        .with(below.clone())
        .with(profiler.layer())
        .with(above.clone());
    let spans = tracing::subscriber::with_default(subscriber, program);
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!(report.recorded, spans);
    let (below, above) = (below.0.lock().unwrap(), above.0.lock().unwrap());
    let mut checked = 0;
    for span in db.spans() {
        let (below, above) = (&below[&(span.n() as u64)], &above[&(span.n() as u64)]);
        let context = format!("{span:?}\nbelow {below:?}\nabove {above:?}");
        // A thread that enters where it is inside already counts once.
        let count = below.entries.len();
        assert_eq!(span.entries as usize, count, "{context}");
        let row = db.entries_of(span.id);
        if count == 0 {
            assert_eq!((row.first_ns, row.longest_ns, row.last_exit_ns), (None, None, None));
            continue;
        }
        let (new, new_above) = (below.new.unwrap(), above.new.unwrap());
        let between = |what: &str, value: Option<i64>, least: i64, most: i64| {
            let value = value.unwrap();
            let fits = value >= least - about(least) && value <= most + about(most);
            assert!(fits, "{what}: {value} is not in {least}..{most}\n{context}");
        };
        // Each entry by both: who is below is called first, when a thread comes and when it leaves.
        let of = |n: usize| {
            let (from, to, thread) = below.entries[n];
            let all = above.entries.iter().filter(|(.., other)| *other == thread);
            let nth = below.entries[..n].iter().filter(|(.., other)| *other == thread).count();
            let &(from_above, to_above, _) = all.clone().nth(nth).unwrap();
            (from, from_above, to, to_above)
        };
        let all: Vec<_> = (0..count).map(of).collect();
        let first = all.iter().map(|at| at.0).min().unwrap();
        let first_above = all.iter().map(|at| at.1).min().unwrap();
        between(
            "first",
            row.first_ns,
            nanoseconds(new_above, first),
            nanoseconds(new, first_above),
        );
        let last = all.iter().map(|at| at.2).max().unwrap();
        let last_above = all.iter().map(|at| at.3).max().unwrap();
        between(
            "last exit",
            row.last_exit_ns,
            nanoseconds(new_above, last),
            nanoseconds(new, last_above),
        );
        let least = all.iter().map(|at| nanoseconds(at.1, at.2)).max().unwrap();
        let most = all.iter().map(|at| nanoseconds(at.0, at.3)).max().unwrap();
        between("longest", row.longest_ns, least, most);
        let least = all.iter().map(|at| nanoseconds(at.1, at.2)).sum();
        let most = all.iter().map(|at| nanoseconds(at.0, at.3)).sum();
        between("busy", Some(span.busy_ns), least, most);
        checked += 1;
        if span.name == "elsewhere" {
            assert_ne!(row.thread_id, span.thread_id, "{context}");
        }
    }
    assert!(checked > 50, "{checked} spans");
}
