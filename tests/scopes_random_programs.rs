//! Random programs of scopes, spans and events, entered and left in any order: under each front end the rows are those
//! that a plain model tells. What lies in what, how it ended, how often it was entered, and with which fields.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};

use spandrel::{Scope, scope};
use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing::span::EnteredSpan;
use tracing_subscriber::filter::dynamic_filter_fn;

const THREADS: usize = 3;
const STEPS: u64 = 150;

/// How it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setup {
    front: &'static str,
    /// Not the program's subscriber, but each thread's own.
    is_scoped: bool,
    /// There are spans that are made, and not recorded. What is entered last is left first then: else it is not
    /// told by what a thread is in what belongs where.
    hides: bool,
    busy_time: bool,
    /// All entries are recorded, one by one.
    entries: bool,
}

const PLAIN: Setup =
    Setup { front: "subscriber", is_scoped: false, hides: false, busy_time: true, entries: false };
const SETUPS: [Setup; 9] = [
    PLAIN,
    Setup { front: "layer", ..PLAIN },
    Setup { front: "layer", hides: true, ..PLAIN },
    Setup { front: "filter", hides: true, ..PLAIN },
    Setup { is_scoped: true, ..PLAIN },
    Setup { front: "layer", is_scoped: true, ..PLAIN },
    Setup { busy_time: false, ..PLAIN },
    Setup { entries: true, ..PLAIN },
    Setup { front: "layer", entries: true, ..PLAIN },
];

#[test]
fn scopes_and_spans_make_the_tree_that_a_plain_model_makes() {
    alone!();
    match child::role() {
        None => {
            let _limit = time_limit(300 * rounds(1));
            for index in 0..SETUPS.len() {
                child::plan(&index.to_string()).start().succeed();
            }
        }
        Some(index) => check(SETUPS[index.parse::<usize>().unwrap()]),
    }
}

fn check(setup: Setup) {
    let scratch = scratch_for(300 * rounds(1));
    let builder = small(scratch.db()).ring_capacity(65_536).busy_time(setup.busy_time);
    let builder = builder.entries(match setup.entries {
        true => spandrel::Entries::All,
        false => spandrel::Entries::Off,
    });
    let profiler = builder.spans(Level::INFO).build().unwrap();
    let dispatch = dispatch(setup.front, &profiler);
    if !setup.is_scoped {
        tracing::dispatcher::set_global_default(dispatch.clone()).unwrap();
    }
    let programs = 25 * rounds(1);
    let mut told: u64 = 0;
    for seed in 0..programs {
        let is_ordered = seed % 2 == 0;
        let threads = run(seed, is_ordered, setup, &dispatch);
        profiler.flush(Duration::from_secs(60)).unwrap();
        let db = Database::open(scratch.db());
        told += threads.iter().map(|thread| thread.rows.len() as u64).sum::<u64>();
        compare(&db, seed, &threads, setup);
    }
    let report = profiler.close().unwrap();
    match setup.busy_time {
        true => _ = ledger::check_complete(scratch.db(), &report),
        false => ledger::settled(&report),
    }
    assert_eq!((report.recorded, report.stats.open), (told, 0), "{setup:?}");
    assert!(told > 1_000, "{told}");
}

fn dispatch(front: &str, profiler: &Profiler) -> Dispatch {
    match front {
        "subscriber" => Dispatch::new(profiler.subscriber()),
        // Whoever is beside it wants all there is.
        "layer" => {
            Dispatch::new(tracing_subscriber::registry().with(profiler.layer()).with(SeesAll))
        }
        "filter" => {
            let layer = profiler.layer().with_filter(dynamic_filter_fn(|_, _| true));
            Dispatch::new(tracing_subscriber::registry().with(layer))
        }
        other => panic!("no front end: {other}"),
    }
}

/// A span or scope in the model.
#[derive(Debug, Clone)]
struct Row {
    name: &'static str,
    fields: String,
    /// Thread and index of the one it is in.
    parent: Option<(usize, usize)>,
    status: &'static str,
    entries: i64,
}

/// What a thread opened, in that order.
#[derive(Debug, Default)]
struct Told {
    rows: Vec<Row>,
}

type Model = Arc<Vec<Mutex<Told>>>;
type At = (usize, usize);

/// What a thread is in, innermost last.
struct Entry {
    /// None for what is not recorded.
    at: Option<At>,
    is_scope: bool,
    _guard: Box<dyn Any>,
}

impl Entry {
    fn scope(at: Option<At>, scope: Scope) -> Self {
        Self { at, is_scope: true, _guard: Box::new(scope) }
    }

    fn span(at: Option<At>, span: EnteredSpan) -> Self {
        Self { at, is_scope: false, _guard: Box::new(span) }
    }
}

struct Worker {
    thread: usize,
    model: Model,
    setup: Setup,
    inside: Vec<Entry>,
    /// Shared where the threads take turns.
    pool: Arc<Mutex<Vec<(At, Span)>>>,
}

/// The numbers of splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn run(seed: u64, is_ordered: bool, setup: Setup, dispatch: &Dispatch) -> Vec<Told> {
    let model: Model = Arc::new((0..THREADS).map(|_| Mutex::default()).collect());
    let pool = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        let (mut to, mut done) = (Vec::new(), Vec::new());
        for thread in 0..THREADS {
            let (send, steps) = mpsc::channel::<u64>();
            let (ready, is_done) = mpsc::channel::<()>();
            let pool = if is_ordered { Arc::clone(&pool) } else { Arc::default() };
            let (model, dispatch) = (Arc::clone(&model), dispatch.clone());
            let work = move || {
                let _scoped = setup.is_scoped.then(|| tracing::dispatcher::set_default(&dispatch));
                let mut worker = Worker { thread, model, setup, inside: Vec::new(), pool };
                for step in steps {
                    worker.step(&mut Random(step));
                    let _ = ready.send(());
                }
                while let Some(entry) = worker.inside.pop() {
                    drop(entry);
                }
            };
            let name = format!("{seed}-{thread}");
            std::thread::Builder::new().name(name).spawn_scoped(threads, work).unwrap();
            to.push(send);
            done.push(is_done);
        }
        let mut random = Random(seed);
        for _ in 0..STEPS * THREADS as u64 {
            let thread = random.below(THREADS as u64) as usize;
            to[thread].send(random.below(u64::MAX)).unwrap();
            if is_ordered {
                done[thread].recv().unwrap();
            }
        }
    });
    // The registry asks its thread's subscriber who closes the parent.
    within(dispatch, || drop(pool));
    let model = Arc::into_inner(model).unwrap();
    model.into_iter().map(|told| told.into_inner().unwrap()).collect()
}

impl Worker {
    fn here(&self) -> Option<At> {
        self.inside.iter().rev().find_map(|entry| entry.at)
    }

    /// What is opened now.
    fn tell(&self, name: &'static str, fields: &str, parent: Option<At>, entries: i64) -> At {
        let mut told = self.model[self.thread].lock().unwrap();
        let (fields, status) = (fields.to_owned(), "ok");
        told.rows.push(Row { name, fields, parent, status, entries });
        (self.thread, told.rows.len() - 1)
    }

    fn change(&self, (thread, index): At, change: impl FnOnce(&mut Row)) {
        change(&mut self.model[thread].lock().unwrap().rows[index]);
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(100) {
            0..28 => self.open_scope(random),
            28..46 => self.leave(random, |entry| entry.is_scope),
            46..58 => self.open_span(random),
            58..72 => self.enter(random),
            72..84 => self.leave(random, |entry| !entry.is_scope),
            84..88 => info!("said"),
            88..92 => {
                error!("said");
                if let Some(at) = self.here() {
                    self.change(at, |row| row.status = "error");
                }
            }
            92..94 => self.panic(),
            94..97 => self.hide(),
            _ => {
                let mut pool = self.pool.lock().unwrap();
                if !pool.is_empty() {
                    let index = random.below(pool.len() as u64) as usize;
                    let span = pool.swap_remove(index);
                    drop(pool);
                    drop(span);
                }
            }
        }
    }

    fn open_scope(&mut self, random: &mut Random) {
        let (n, parent) = (random.below(1 << 40), self.here());
        let long = "long ".repeat(n as usize % 60);
        let (name, fields, scope) = match n % 8 {
            0..3 => ("plain", "{}".to_owned(), scope!("plain")),
            3 => ("one", format!(r#"{{"n":{n}}}"#), scope!("one", n)),
            4 => {
                let fields = format!(r#"{{"n":{n},"half":0.5,"kind":"short"}}"#);
                ("three", fields, scope!("three", n, half = 0.5, kind = "short"))
            }
            5 => {
                let fields = format!(r#"{{"text":"{long}","last":true}}"#);
                ("long", fields, scope!("long", text = long.as_str(), last = true))
            }
            6 => {
                let fields = format!(r#"{{"shown":"<{n}>","said":"{n:?}","n":-1}}"#);
                let (shown, said) = (Shown(n), format_args!("{n}").to_string());
                let said = said.parse::<u64>().unwrap();
                ("formatted", fields, scope!("formatted", %shown, said = ?said, n = -1))
            }
            _ => ("below", String::new(), scope!(level: Level::TRACE, "below", n)),
        };
        let is_kept = name != "below";
        assert!(scope.is_recorded() || !is_kept, "{name}");
        let at = is_kept.then(|| self.tell(name, &fields, parent, 1));
        self.inside.push(Entry::scope(at, scope));
    }

    fn open_span(&mut self, random: &mut Random) {
        let n = random.below(1 << 40);
        let mut pool = self.pool.lock().unwrap();
        let (span, parent) = match random.below(6) {
            0 => (info_span!(parent: None, "span", n), None),
            1 if !pool.is_empty() => {
                let (at, parent) = &pool[random.below(pool.len() as u64) as usize];
                (info_span!(parent: parent, "span", n), Some(*at))
            }
            _ => (info_span!("span", n), self.here()),
        };
        let at = self.tell("span", &format!(r#"{{"n":{n}}}"#), parent, 0);
        pool.push((at, span));
    }

    /// Enters a span that the thread is not in, perhaps another thread's.
    fn enter(&mut self, random: &mut Random) {
        let pool = self.pool.lock().unwrap();
        if pool.is_empty() {
            return;
        }
        let (at, span) = &pool[random.below(pool.len() as u64) as usize];
        if self.inside.iter().all(|entry| entry.at != Some(*at)) {
            self.inside.push(Entry::span(Some(*at), span.clone().entered()));
            self.change(*at, |row| row.entries += 1);
        }
    }

    /// Enters one that is not recorded.
    fn hide(&mut self) {
        if self.setup.hides {
            self.inside.push(Entry::span(None, trace_span!("hidden").entered()));
        }
    }

    fn leave(&mut self, random: &mut Random, which: impl Fn(&Entry) -> bool) {
        if self.setup.hides {
            drop(self.inside.pop());
            return;
        }
        let some: Vec<_> = (0..self.inside.len()).filter(|at| which(&self.inside[*at])).collect();
        // Mostly the last one.
        let index = match random.below(3) {
            0 if !some.is_empty() => some[random.below(some.len() as u64) as usize],
            _ => match some.last() {
                Some(last) => *last,
                None => return,
            },
        };
        drop(self.inside.remove(index));
    }

    fn panic(&self) {
        let outer = self.tell("panics", r#"{"n":7}"#, self.here(), 1);
        let inner = self.tell("plain", "{}", Some(outer), 1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _outer = scope!("panics", n = 7);
            let _inner = scope!("plain");
            resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        for at in [outer, inner] {
            self.change(at, |row| row.status = "panicked");
        }
    }
}

struct Shown(u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

fn compare(db: &Database, seed: u64, threads: &[Told], setup: Setup) {
    let of_thread = |thread: usize| {
        db.rows(
            "SELECT s.id, s.parent_id, s.name, s.fields, s.status, s.entries, s.duration_ns, s.busy_ns
             FROM spans AS s WHERE s.made_on = ?1 ORDER BY s.start_ns, s.id",
            [format!("{seed}-{thread}")],
            |row| {
                let ids = (row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?);
                let text = (row.get::<_, String>(2)?, row.get::<_, Option<String>>(3)?);
                let status: String = row.get(4)?;
                let times = (row.get::<_, i64>(6)?, row.get::<_, Option<i64>>(7)?);
                Ok((ids, text, status, row.get::<_, i64>(5)?, times))
            },
        )
    };
    let found: Vec<_> = (0..threads.len()).map(of_thread).collect();
    let at: HashMap<i64, At> = (0..found.len())
        .flat_map(|thread| (0..found[thread].len()).map(move |index| (thread, index)))
        .map(|(thread, index)| (found[thread][index].0.0, (thread, index)))
        .collect();
    for (thread, (told, found)) in threads.iter().zip(&found).enumerate() {
        let context = format!("{setup:?}, program {seed}, thread {thread}");
        let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(" ");
        let (told_names, found_names) = (
            names(&mut told.rows.iter().map(|row| row.name)),
            names(&mut found.iter().map(|(_, (name, _), ..)| name.as_str())),
        );
        assert_eq!(found_names, told_names, "{context}");
        for (index, (row, found)) in told.rows.iter().zip(found).enumerate() {
            let ((_, parent), (name, fields), status, entries, (duration, busy)) = found;
            let context = format!(
                "{context}, row {index}: {row:?} in {:?}",
                row.parent.map(|(thread, index)| &threads[thread].rows[index])
            );
            assert_eq!(name, row.name, "{context}");
            assert_eq!(parent.map(|id| at[&id]), row.parent, "{context}");
            assert_eq!(fields.as_deref().unwrap_or("{}"), row.fields, "{context}");
            assert_eq!((status.as_str(), *entries), (row.status, row.entries), "{context}");
            assert!(*duration >= 0, "{context}");
            if *name != "span" && setup.busy_time && setup.front != "filter" {
                assert_eq!(*busy, Some(*duration), "inside all the time: {context}");
            }
        }
    }
}
