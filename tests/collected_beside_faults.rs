//! Something is wrong with one ring: the others are collected nevertheless. Nothing is counted as lost that was not.
#![cfg(target_os = "linux")]

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, collect_once, looked_at, record, rings, small_in,
};
use spandrel_tests::prelude::*;

fn ring_of(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_ring_file_that_is_cut_ends_no_collector_of_others() {
    let (scratch, rings) = (scratch_for(60), rings());
    let cut = small_in(rings.path()).label("cut").build().unwrap();
    let path = ring_of(rings.path());
    let other = small_in(rings.path()).label("other").build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&cut, 0..100);
    record(&other, 0..100);
    cut.flush(LONG).unwrap();
    other.flush(LONG).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    collector.until(|it| matches!(it, Collecting::Refused { .. }));
    record(&other, 100..200);
    let flushed = other.flush(LONG).map_err(|error| error.to_string());
    assert_eq!(flushed, Ok(()));
    other.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    let refused: Vec<_> = told
        .iter()
        .filter_map(|it| match it {
            Collecting::Refused { path, .. } => Some(path.as_path()),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [path.as_path()]);
    let run = |label: &str| {
        Database::open(scratch.db())
            .value::<i64>(&format!("SELECT id FROM run WHERE label = '{label}'"))
    };
    assert_has(scratch.db(), run("cut"), 0..100);
    assert_has(scratch.db(), run("other"), 0..200);
    _ = cut.close();
}

/// Of a parent that closes before its child does: its self time, its time inside, and that of the child.
fn parent_and_child(db: &Path) -> (i64, i64, i64) {
    let db = Database::open(db);
    let value = |sql: &str| db.value::<i64>(sql);
    (
        value("SELECT self_ns FROM spans WHERE name = 'parent'"),
        value(
            "SELECT coalesce(last_exit_ns, first_entry_ns + busy_ns) FROM span
             WHERE id = (SELECT id FROM spans WHERE name = 'parent')",
        ),
        value("SELECT busy_ns FROM spans WHERE name = 'child'"),
    )
}

fn record_late_child(profiler: &Profiler) {
    within(&subscriber(profiler), || {
        let parent = info_span!("parent");
        let child = parent.in_scope(|| {
            let child = info_span!("child");
            child.in_scope(|| std::thread::sleep(Duration::from_millis(20)));
            child
        });
        drop(parent);
        profiler.flush(LONG).unwrap();
        // The next batch, and the one after it.
        info_span!("other").in_scope(|| ());
        profiler.flush(LONG).unwrap();
        drop(child);
        profiler.flush(LONG).unwrap();
    });
    profiler.close().unwrap();
}

#[test]
fn a_child_that_comes_after_its_parent_is_taken_off_its_self_time_as_by_a_writer() {
    let scratch = scratch_for(60);
    record_late_child(&Profiler::builder().database(scratch.db()).build().unwrap());
    let (own, inside, child) = parent_and_child(scratch.db());
    assert!(own + child <= inside, "a writer: {own} + {child} <= {inside}");
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    record_late_child(&small_in(rings.path()).build().unwrap());
    collector.stop();
    let (own, inside, child) = parent_and_child(scratch.db());
    assert!(own + child <= inside, "a collector: {own} + {child} <= {inside}");
}

/// The children are deleted before their parent closes, as a limit of the profile's size would do it: so nobody who looks
/// for them there finds them.
#[test]
fn a_span_around_everything_has_its_self_time_where_one_collector_has_seen_all_of_it() {
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let profiler = small_in(rings.path()).build().unwrap();
    let mut inside_parts = 0;
    within(&dispatch(&profiler), || {
        let _main = info_span!("main").entered();
        for _ in 0..10 {
            (0..500).for_each(|_| info_span!("part").in_scope(std::thread::yield_now));
            profiler.flush(LONG).unwrap();
        }
        let db = Database::open(scratch.db());
        inside_parts = db.value::<i64>("SELECT sum(busy_ns) FROM spans WHERE name = 'part'");
        let other = rusqlite::Connection::open(scratch.db()).unwrap();
        other.execute("DELETE FROM span WHERE parent_id IS NOT NULL", []).unwrap();
    });
    profiler.close().unwrap();
    // It ends the run by itself.
    collector.until(|it| matches!(it, Collecting::Ended { .. }));
    collector.stop();
    let db = Database::open(scratch.db());
    let own: i64 = db.value("SELECT self_ns FROM spans WHERE name = 'main'");
    let busy: i64 = db.value("SELECT busy_ns FROM spans WHERE name = 'main'");
    assert!(own > 0 && own + inside_parts <= busy + busy / 1_000, "{own} {inside_parts} {busy}");
}

#[test]
fn a_child_that_the_collector_has_stored_that_goes_on_counts_once() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let dispatch = dispatch(&profiler);
    let mut outer = Some(within(&dispatch, || info_span!("outer")));
    for is_last in [false, true] {
        let collector = Collector::start(rings.path(), scratch.db());
        within(&dispatch, || {
            outer.as_ref().unwrap().in_scope(|| {
                let inner = info_span!("inner");
                inner.in_scope(|| std::thread::sleep(Duration::from_millis(5)));
                drop(inner);
                std::thread::sleep(Duration::from_millis(20));
            });
        });
        profiler.flush(LONG).unwrap();
        // In the batch that is made next, what was drained into it is stored, too.
        within(&dispatch, || info_span!("other").in_scope(|| ()));
        profiler.flush(LONG).unwrap();
        if is_last {
            within(&dispatch, || drop(outer.take()));
            profiler.flush(LONG).unwrap();
            profiler.close().unwrap();
        }
        collector.stop();
    }
    let db = Database::open(scratch.db());
    let busy: i64 = db.value("SELECT busy_ns FROM spans WHERE name = 'outer'");
    let own: i64 = db.value("SELECT self_busy_ns FROM spans WHERE name = 'outer'");
    let inner: i64 = db.value("SELECT sum(busy_ns) FROM spans WHERE name = 'inner'");
    assert_eq!(own, busy - inner);
}

#[test]
fn a_second_profile_counts_nothing_as_lost_that_the_first_one_has() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..200);
    let collector = Collector::start(rings.path(), scratch.db());
    profiler.flush(LONG).unwrap();
    collector.stop();
    record(&profiler, 200..300);
    let second = scratch.path("second.db");
    // Two collectors of it, of which the last one comes to the end.
    let collector = Collector::start(rings.path(), &second);
    profiler.flush(LONG).unwrap();
    collector.stop();
    record(&profiler, 300..400);
    profiler.close().unwrap();
    let (_, told) = collect_once(rings.path(), &second);
    let [.., Collecting::Ended { spans, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((spans.recorded, spans.stored), (800, 800), "{spans:?}");
    assert_has(&second, 1, 200..400);
    let db = Database::open(&second);
    assert_eq!(db.count("SELECT count(*) FROM loss"), 0);
}

#[test]
fn while_the_profile_refuses_it_is_asked_whether_to_stop_and_says_that_it_is_there() {
    let (scratch, rings) = (scratch_for(120), rings());
    let profilers = [(); 2].map(|()| small_in(rings.path()).build().unwrap());
    // So much that there is a commit at once.
    profilers.iter().for_each(|profiler| record(profiler, 0..1_500));
    let files: Vec<std::fs::File> = std::fs::read_dir(rings.path())
        .unwrap()
        .map(|it| std::fs::File::open(it.unwrap().path()).unwrap())
        .collect();
    let lock: RefCell<Option<rusqlite::Connection>> = RefCell::new(None);
    let (begun, looked) = (Cell::new(0), RefCell::new(Vec::<Vec<u64>>::new()));
    let tell = |what| {
        begun.set(begun.get() + u32::from(matches!(what, Collecting::Begun { .. })));
        if begun.get() == 2 && lock.borrow().is_none() {
            let other = rusqlite::Connection::open(scratch.db()).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            *lock.borrow_mut() = Some(other);
        }
    };
    let stop = || {
        if lock.borrow().is_some() {
            looked.borrow_mut().push(files.iter().map(looked_at).collect());
        }
        if looked.borrow().len() < 3 {
            return false;
        }
        lock.take();
        true
    };
    let done = collect(rings.path(), scratch.db(), &CollectOptions::default(), stop, tell);
    let done = done.map(|done| (done.going_on, done.records > 0));
    assert_eq!(done.map_err(|error| error.to_string()), Ok((2, true)));
    let looked = looked.borrow();
    assert!(looked.windows(2).all(|it| it[0].iter().zip(&it[1]).all(|(a, b)| a < b)), "{looked:?}");
}
