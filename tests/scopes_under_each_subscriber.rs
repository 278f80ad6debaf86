//! A scope is recorded by the subscriber that its thread has, with that one's levels and filters, as any span is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spandrel::scope;
use spandrel_tests::prelude::*;
use tracing::span::Attributes;
use tracing_subscriber::filter::{LevelFilter, Targets, dynamic_filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, reload};

#[test]
fn a_scope_is_recorded_by_its_threads_subscriber() {
    alone!();
    let _limit = time_limit(120);
    match child::role().as_deref() {
        None => {
            let cases = [
                "none",
                "installed",
                "scoped",
                "global",
                "filters",
                "beside",
                "second",
                "levels",
                "two",
            ];
            for case in cases {
                child::plan(case).start().succeed();
            }
        }
        Some("none") => where_nothing_records(),
        Some("installed") => under_one_that_is_installed_late(),
        Some("scoped") => under_one_of_the_thread(),
        Some("global") => beside_the_programs_own(),
        Some("filters") => under_filters_around_the_layer(),
        Some("beside") => beside_other_layers(),
        Some("second") => under_a_second_front_end(),
        Some("levels") => levels_and_targets_change(),
        Some(_) => under_two_profilers(),
    }
}

fn names(db: &Database) -> Vec<String> {
    db.rows("SELECT name FROM spans ORDER BY start_ns, id", [], |row| row.get(0))
}

/// The parents of the spans of a name, where they have the same one.
fn parent(db: &Database, name: &str) -> Option<String> {
    let sql = "SELECT DISTINCT p.name FROM spans AS s LEFT JOIN spans AS p ON p.id = s.parent_id
               WHERE s.name = ?1";
    let mut found = db.rows(sql, [name], |row| row.get::<_, Option<String>>(0));
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found.remove(0)
}

/// One by one, from one place in the code.
fn at_one_place(n: u64) -> bool {
    let plain = scope!("plain");
    let scope = scope!("work", n);
    assert_eq!(scope.is_recorded(), plain.is_recorded());
    scope.is_recorded()
}

/// Its values are not even looked at.
fn where_nothing_records() {
    let never = || -> u64 { panic!("nobody wants it") };
    drop(scope!("off", n = never()));
    let disabled = Profiler::disabled();
    tracing::dispatcher::set_global_default(Dispatch::new(disabled.subscriber())).unwrap();
    assert!(!at_one_place(1) && !at_one_place(2));
    let (_scratch, profiler) = recording();
    drop(scope!("off", n = never()));
    // It has a front end, which nobody has installed.
    let subscriber = profiler.subscriber();
    assert!(!at_one_place(3));
    drop(subscriber);
    assert_eq!(profiler.close().unwrap().recorded, 0);
}

/// Whatever was answered before.
fn under_one_that_is_installed_late() {
    let (scratch, profiler) = recording();
    assert!(!at_one_place(1));
    let subscriber = profiler.subscriber();
    assert!(!at_one_place(2));
    subscriber.init().unwrap();
    assert!(at_one_place(3) && at_one_place(4));
    std::thread::spawn(|| assert!(at_one_place(5))).join().unwrap();
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(names(&db).len(), 6);
}

/// There is none for all.
fn under_one_of_the_thread() {
    let (scratch, profiler) = recording();
    let (first, dispatch) = (profiler.subscriber(), Dispatch::new(profiler.subscriber()));
    // Nobody records on a thread that has none; the other thread has one.
    within(&dispatch, || assert!(at_one_place(1)));
    assert!(!at_one_place(2));
    within(&Dispatch::new(first), || {
        assert!(at_one_place(3));
        std::thread::spawn(|| assert!(!at_one_place(4))).join().unwrap();
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(numbers(&db), [1, 3]);
}

fn numbers(db: &Database) -> Vec<i64> {
    let sql = "SELECT fields ->> 'n' FROM spans WHERE name = 'work' ORDER BY 1 + (fields ->> 'n')";
    db.rows(sql, [], |row| row.get(0))
}

/// Nothing of what is known of the one for all threads holds on a thread with one of its own, or with none.
fn beside_the_programs_own() {
    let (scratch, profiler) = recording();
    profiler.subscriber().init().unwrap();
    assert!(at_one_place(1) && at_one_place(2));
    within(&Dispatch::none(), || {
        assert!(!at_one_place(3) && !at_one_place(4));
        std::thread::spawn(|| assert!(at_one_place(5))).join().unwrap();
    });
    assert!(at_one_place(6));
    let heard = Heard::default();
    within(&Dispatch::new(tracing_subscriber::registry().with(heard.clone())), || {
        at_one_place(7);
    });
    assert_eq!(heard.0.load(Ordering::Relaxed), 2, "a span like any other there");
    assert!(at_one_place(8));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(numbers(&db), [1, 2, 5, 6, 8]);
}

/// Counts the spans that it is shown.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicU64>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_new_span(&self, _: &Attributes<'_>, _: &tracing::span::Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Those keep what they keep of spans, also where they decide anew each time, and tell what a scope is in.
fn under_filters_around_the_layer() {
    let (scratch, profiler) = recording();
    let is_open = Arc::new(AtomicBool::new(true));
    let mood = {
        let is_open = Arc::clone(&is_open);
        dynamic_filter_fn(move |_, _| is_open.load(Ordering::Relaxed))
    };
    let (layer, _handle) = reload::Layer::new(profiler.layer());
    let layer = layer.with_filter(mood).with_filter(LevelFilter::INFO);
    let heard = Heard::default();
    tracing_subscriber::registry().with(layer).with(heard.clone()).init();
    for n in 0..4 {
        is_open.store(n % 2 == 0, Ordering::Relaxed);
        let _outer = scope!("outer", n);
        // Hidden from the layer; what is inside belongs to what is around.
        let _hidden = scope!(level: Level::DEBUG, "hidden");
        let _span = info_span!("span").entered();
        drop(scope!("inner", n));
    }
    // What it has decided of a scope is not taken for a span that it was not asked about.
    assert_eq!(heard.0.load(Ordering::Relaxed), 16, "who is beside it gets all");
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(names(&db), ["outer", "span", "inner"].repeat(2));
    assert_eq!(parent(&db, "span").as_deref(), Some("outer"));
    assert_eq!(parent(&db, "inner").as_deref(), Some("span"));
}

/// A filter that is there for all layers; others who want all.
fn beside_other_layers() {
    let (scratch, profiler) = recording();
    let (filter, handle) = reload::Layer::new(Targets::new().with_default(Level::INFO));
    let heard = Heard::default();
    let registry = tracing_subscriber::registry().with(profiler.layer()).with(heard.clone());
    registry.with(filter).init();
    assert!(at_one_place(1) && at_one_place(2));
    assert_eq!(heard.0.load(Ordering::Relaxed), 0, "only the layer is told");
    handle.reload(Targets::new().with_default(Level::WARN)).unwrap();
    assert!(!at_one_place(3) && !at_one_place(4));
    handle.reload(Targets::new().with_default(Level::DEBUG)).unwrap();
    assert!(at_one_place(5));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_eq!(names(&db), ["plain", "work"].repeat(3));
}

/// Its spans are of another layer, and so are its scopes.
fn under_a_second_front_end() {
    let (scratch, profiler) = recording();
    profiler.subscriber().init().unwrap();
    let second = Dispatch::new(tracing_subscriber::registry().with(profiler.layer()));
    let _of_first = scope!("of first");
    within(&second, || {
        let _span = info_span!("span").entered();
        let _scope = scope!("scope", n = 1);
        drop(info_span!("inner"));
        assert!(at_one_place(1));
    });
    drop(info_span!("after"));
    drop(_of_first);
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    for (name, expected) in [
        ("of first", None),
        ("span", None),
        ("scope", Some("span")),
        ("inner", Some("scope")),
        ("after", Some("of first")),
    ] {
        assert_eq!(parent(&db, name).as_deref(), expected, "{name}");
    }
}

fn levels_and_targets_change() {
    let (scratch, profiler) = recording();
    let subscriber = profiler.subscriber().with_filter("warn,db=debug".parse().unwrap());
    let filter = subscriber.filter_handle();
    subscriber.init().unwrap();
    let never = || -> u64 { panic!("nobody wants it") };
    let run = |are_kept: [bool; 4]| {
        let scopes = [
            scope!("info"),
            scope!(level: Level::WARN, "warn", n = 1),
            scope!(target: "db", "query"),
            scope!(target: "db", level: Level::DEBUG, "debug", n = 2),
        ];
        assert_eq!(scopes.map(|scope| scope.is_recorded()), are_kept);
        drop(scope!(target: "db", level: Level::TRACE, "never", n = never()));
    };
    for _ in 0..3 {
        run([false, true, true, true]);
    }
    filter.set_max_level(Level::INFO);
    for _ in 0..3 {
        run([true, true, true, false]);
    }
    filter.set_max_level(LevelFilter::OFF);
    let outer = scope!("outer");
    for _ in 0..3 {
        run([false; 4]);
    }
    assert!(!outer.is_recorded());
    filter.set("db=info".parse().unwrap());
    run([false, false, true, false]);
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let number = |name: &str| names(&db).iter().filter(|found| *found == name).count();
    assert_eq!(["info", "warn", "query", "debug"].map(number), [3, 6, 7, 3]);
    let others = db.count("SELECT count(*) FROM spans WHERE (level = 'DEBUG') <> (name = 'debug')");
    assert_eq!((others, db.count("SELECT count(*) FROM spans WHERE target = 'db'")), (0, 10));
}

/// Both listen.
fn under_two_profilers() {
    let (one, two) = (scratch(), scratch());
    let profilers = [&one, &two].map(|scratch| small(scratch.db()).build().unwrap());
    let layers = profilers[0].layer().and_then(profilers[1].layer());
    tracing_subscriber::registry().with(layers).init();
    for n in 0..3 {
        let _outer = scope!("outer", n);
        drop(info_span!("span"));
    }
    for (profiler, scratch) in profilers.iter().zip([&one, &two]) {
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(names(&db), ["outer", "span"].repeat(3));
        assert_eq!(parent(&db, "span").as_deref(), Some("outer"));
    }
}
