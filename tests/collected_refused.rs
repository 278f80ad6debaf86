//! The profile refuses for a while what is collected into it: that is told once, and once when it is over; and nothing is
//! lost, whatever it has refused: a run that begins, rows, the end of a run.

use std::cell::RefCell;

use rusqlite::Connection;
use spandrel::StoreOptions;
use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, collect_once, looked_at, record, request, rings,
    small_in,
};
use spandrel_tests::prelude::*;

/// Somebody else who writes to the profile, and does not end.
fn lock(database: &Path) -> Connection {
    let other = Connection::open(database).unwrap();
    other.busy_timeout(LONG).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// What was told of the profile: why it refuses, each time, and how often it was over.
fn refusals(told: &[Collecting]) -> (Vec<&str>, usize) {
    let why = told.iter().filter_map(|it| match it {
        Collecting::ProfileRefuses { why } => Some(why.as_str()),
        _ => None,
    });
    (why.collect(), told.iter().filter(|it| **it == Collecting::ProfileTakes).count())
}

fn assert_told_once(told: &[Collecting], reason: &str) {
    let (why, over) = refusals(told);
    assert!(why.len() == 1 && why[0].contains(reason) && over == 1, "{told:?}");
    let is_refused = |it: &Collecting| matches!(it, Collecting::Refused { .. });
    assert!(!told.iter().any(is_refused), "{told:?}");
    let at = |is_it: fn(&Collecting) -> bool| told.iter().position(is_it);
    let begins = at(|it| matches!(it, Collecting::ProfileRefuses { .. }));
    assert!(begins < at(|it| *it == Collecting::ProfileTakes), "{told:?}");
}

/// Collects from programs until the profile has refused rows, and has taken them. `refuse` makes it do so, once all have
/// begun; what it returns is dropped when it is told.
fn collect_while_refused<R>(
    rings: &Path,
    database: &Path,
    store: StoreOptions,
    refuse: impl Fn() -> R,
) -> Vec<Collecting> {
    let told = RefCell::new(Vec::new());
    let (refusing, is_over) = (RefCell::new(None), RefCell::new(false));
    let tell = |what: Collecting| {
        match &what {
            Collecting::Begun { .. } if refusing.borrow().is_none() => {
                refusing.replace(Some(Some(refuse())));
            }
            Collecting::ProfileRefuses { .. } => {
                // From here on it may take rows.
                if let Some(refusing) = refusing.borrow_mut().as_mut() {
                    drop(refusing.take());
                }
            }
            Collecting::ProfileTakes => *is_over.borrow_mut() = true,
            _ => {}
        }
        told.borrow_mut().push(what);
    };
    let mut options = CollectOptions::default();
    options.store = store;
    let stop = || *is_over.borrow();
    let done = collect(rings, database, &options, stop, tell);
    done.map_err(|error| error.to_string()).unwrap();
    told.into_inner()
}

#[test]
fn a_lock_of_somebody_else_is_told_of_once_and_once_when_it_is_gone() {
    let (scratch, rings) = (scratch_for(120), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..800);
    let (path, store) = (scratch.db(), StoreOptions::default());
    let told = collect_while_refused(rings.path(), path, store, || lock(path));
    assert_told_once(&told, "another connection holds a lock");
    assert!(refusals(&told).0[0].contains("profile.db"), "{told:?}");
    profiler.close().unwrap();
    collect_once(rings.path(), path);
    assert_has(path, 1, 0..800);
    assert_no_files(rings.path());
}

/// Gives the pages of a table back to the file.
struct Filling<'a>(&'a Path);

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        let other = Connection::open(self.0).unwrap();
        other.busy_timeout(LONG).unwrap();
        other.execute_batch("DROP TABLE filling").unwrap();
    }
}

#[test]
fn a_full_disk_is_told_of_once_and_once_when_it_has_room_again() {
    let (scratch, rings) = (scratch_for(120), rings());
    let path = scratch.db();
    drop(Profiler::builder().database(path).build().unwrap());
    let other = Connection::open(path).unwrap();
    let fill = "CREATE TABLE filling (x); INSERT INTO filling VALUES (zeroblob(8000000))";
    other.execute_batch(fill).unwrap();
    let pages: u32 = other.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    drop(other);
    let store = StoreOptions { max_page_count: Some(pages + 8), ..StoreOptions::default() };
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..800);
    let told = collect_while_refused(rings.path(), path, store, || Filling(path));
    assert_told_once(&told, "is full; free some space");
    profiler.close().unwrap();
    collect_once(rings.path(), path);
    assert_has(path, 2, 0..800);
}

#[test]
fn a_program_that_begins_while_the_profile_refuses_is_collected_when_that_is_over() {
    let (scratch, rings) = (scratch_for(120), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let first = small_in(rings.path()).build().unwrap();
    record(&first, 0..10);
    first.flush(LONG).unwrap();
    let other = lock(scratch.db());
    let second = small_in(rings.path()).build().unwrap();
    collector.until(|it| matches!(it, Collecting::ProfileRefuses { .. }));
    assert!(!collector.has_ended());
    drop(other);
    record(&second, 100..150);
    second.flush(LONG).unwrap();
    first.close().unwrap();
    second.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.refused), (2, 0), "{told:?}");
    assert_told_once(&told, "another connection holds a lock");
    assert_has(scratch.db(), 1, 0..10);
    assert_has(scratch.db(), 2, 100..150);
    assert_no_files(rings.path());
}

#[test]
fn the_end_of_a_program_is_stored_when_the_profile_takes_it() {
    let (scratch, rings) = (scratch_for(120), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let profiler = small_in(rings.path()).build().unwrap();
    let dispatch = dispatch(&profiler);
    within(&dispatch, || (0..10).for_each(request));
    let open = within(&dispatch, || info_span!("left open"));
    profiler.flush(LONG).unwrap();
    let other = lock(scratch.db());
    profiler.close().unwrap();
    let is_told = |it: &Collecting| {
        matches!(it, Collecting::ProfileRefuses { .. } | Collecting::Refused { .. })
    };
    collector.until(is_told);
    assert!(!collector.has_ended());
    drop(other);
    collector.until(|it| matches!(it, Collecting::Ended { .. } | Collecting::Refused { .. }));
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.refused), (1, 0), "{told:?}");
    assert_told_once(&told, "another connection holds a lock");
    assert_has(scratch.db(), 1, 0..10);
    let unfinished = "SELECT count(*) FROM spans WHERE status = 'unfinished'";
    assert_eq!(Database::open(scratch.db()).count(unfinished), 1);
    assert_no_files(rings.path());
    drop(open);
}

/// So many looks at a ring take some seconds, if nothing comes: the pause between two of them grows to half a second.
const LOOKS: usize = 12;

#[test]
fn a_profile_in_which_nothing_can_be_deleted_for_a_while_ends_no_collector() {
    let (scratch, rings) = (scratch_for(120), rings());
    let mut options = CollectOptions::default();
    options.store.max_age = Some(Duration::from_nanos(1));
    let collector = Collector::start_with(rings.path(), scratch.db(), options);
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..10);
    profiler.flush(LONG).unwrap();
    // It deletes once a second, also where nothing comes.
    let file = std::fs::read_dir(rings.path()).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::File::open(file).unwrap();
    let other = lock(scratch.db());
    for _ in 0..LOOKS {
        let before = looked_at(&file);
        while looked_at(&file) == before && !collector.has_ended() {
            std::thread::yield_now();
        }
    }
    drop(other);
    record(&profiler, 10..20);
    profiler.flush(LONG).unwrap();
    profiler.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.refused), (1, 0), "{told:?}");
    let row = spandrel_query::Reader::open(scratch.db()).unwrap().run(1).unwrap().unwrap();
    assert_eq!((row.spans, row.dropped()), (80, 0), "{row:?}");
}
