//! Ring files that are cut short or removed while, or before, somebody collects: nothing is destroyed, nothing is told to be
//! complete that is not, and nobody else is held up.
#![cfg(target_os = "linux")]

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Instant;

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_query::{Reader, Run};
use spandrel_ring::file::Reader as RingReader;
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, collect_once, record, rings, small_in,
};
use spandrel_tests::prelude::*;

const RINGS: &str = "SPANDREL_TEST_RINGS";
/// A word of whoever drains: see `layout.rs`.
const GIVEN_BACK: usize = 8;

fn ring_of(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os(RINGS).unwrap())
}

/// The last page goes, which has nothing but a word that says that the file is whole: all records are there.
fn cut_last_page(ring: &Path) {
    let file = std::fs::File::options().write(true).open(ring).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - 4_096).unwrap();
}

fn run_of(db: &Path) -> Run {
    Reader::open(db).unwrap().run(1).unwrap().unwrap()
}

fn assert_refused_as_cut(told: &[Collecting]) {
    let is_it = |it: &Collecting| matches!(it, Collecting::Refused { why, .. } if why.contains("cut it short") || why.contains("cut short by"));
    assert!(told.iter().any(is_it), "{told:?}");
}

/// Records by another thread: one that collects records nothing.
fn record_elsewhere(profiler: &Profiler, numbers: std::ops::Range<u64>) {
    std::thread::scope(|scope| scope.spawn(|| record(profiler, numbers)).join().unwrap());
}

fn record_and_die() {
    let profiler = small_in(&folder()).build().unwrap();
    record(&profiler, 0..100);
    child::say("recorded");
    std::process::abort();
}

fn say(told: &[Collecting]) -> String {
    format!("{told:?}")
}

#[test]
fn the_ring_of_a_dead_program_that_is_cut_is_neither_destroyed_nor_told_to_be_complete() {
    if child::role().is_some() {
        return record_and_die();
    }
    let (scratch, rings) = (scratch_for(120), rings());
    let mut child = child::plan("dies").env(RINGS, rings.path()).quiet().start();
    child.expect("recorded");
    _ = child.finish();
    let ring = ring_of(rings.path());
    cut_last_page(&ring);
    let (_, told) = collect_once(rings.path(), scratch.db());
    assert_refused_as_cut(&told);
    assert!(ring.exists(), "what is left of it may be of use to somebody");
    assert!(!scratch.db().exists(), "an empty profile does not stay");
}

#[test]
fn the_ring_of_a_living_program_that_was_cut_before_the_collector_came_is_not_told_to_be_complete()
{
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..100);
    cut_last_page(&ring_of(rings.path()));
    let (_, told) = collect_once(rings.path(), scratch.db());
    assert_refused_as_cut(&told);
    let report = profiler.close().unwrap();
    assert_eq!(report.dropped.file_removed, 400, "the program knows");
    assert!(!scratch.db().exists(), "an empty profile does not stay");
}

/// The same of one that a first collector has stored a part of.
#[test]
fn a_second_collector_that_finds_the_ring_cut_does_not_tell_that_the_run_is_complete() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    collector.stop();
    record(&profiler, 100..200);
    cut_last_page(&ring_of(rings.path()));
    let (_, told) = collect_once(rings.path(), scratch.db());
    let run = run_of(scratch.db());
    assert_refused_as_cut(&told);
    assert_eq!(profiler.close().unwrap().dropped.file_removed, 400);
    assert!(run.spans == 400 && !run.is_complete(), "{run:?}");
}

/// The program goes on for long, and is in a span; its run is said to be complete.
#[test]
fn a_run_that_ends_by_a_cut_is_never_complete() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    let run = within(&dispatch(&profiler), || {
        let _open = info_span!("open").entered();
        cut_last_page(&ring_of(rings.path()));
        collector.until(|it| matches!(it, Collecting::Refused { .. }));
        run_of(scratch.db())
    });
    record(&profiler, 100..200);
    let report = profiler.close().unwrap();
    assert!(report.dropped.file_removed >= 400, "{report}");
    let (_, told) = collector.stop();
    assert!(!run.is_complete(), "{:?}", run.report);
    // Nobody knows of more than what was stored.
    let report = run.report.unwrap_or_default();
    assert!(report.contains("none of its 400 spans is known to be lost"), "{report}");
    assert!(say(&told).contains("none is known to be lost"), "{told:?}");
}

/// One ring is cut while somebody else writes to the profile for some seconds: a batch would wait for that.
#[test]
fn a_collector_whose_profile_is_busy_when_a_ring_is_cut_collects_the_others_still() {
    let (scratch, rings) = (scratch_for(120), rings());
    let first = small_in(rings.path()).build().unwrap();
    let ring = ring_of(rings.path());
    let collector = Collector::start(rings.path(), scratch.db());
    record(&first, 0..100);
    first.flush(LONG).unwrap();
    let second = small_in(rings.path()).build().unwrap();
    record(&second, 0..100);
    second.flush(LONG).unwrap();
    let busy = rusqlite::Connection::open(scratch.db()).unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    cut_last_page(&ring);
    record(&second, 100..200);
    let until = Instant::now() + Duration::from_secs(2);
    while !collector.has_ended() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    busy.execute_batch("ROLLBACK").unwrap();
    drop(busy);
    let has_ended = collector.has_ended();
    let done = if has_ended {
        format!("{:?}", collector.end())
    } else {
        format!("{:?}", collector.stop())
    };
    assert!(!has_ended, "{done}");
}

fn drop_privileges() {
    let profiler = small_in(&folder()).build().unwrap();
    record(&profiler, 0..100);
    child::say("recorded");
    child::listen();
    #[allow(unsafe_code)]
    // SAFETY: a number.
    let done = unsafe { libc::setuid(65_534) };
    assert_eq!(done, 0);
    let stats = profiler.stats();
    child::say(format!("{:?} {}", stats.crash_proof_error, stats.is_crash_proof));
    profiler.flush(LONG).unwrap();
    child::say("flushed");
    profiler.close().unwrap();
}

/// As daemons do when they have begun: nothing has happened to the file, and it is collected as before.
#[test]
fn a_program_that_gives_up_its_rights_does_not_say_that_its_ring_file_was_removed() {
    if child::role().is_some() {
        return drop_privileges();
    }
    #[allow(unsafe_code)]
    // SAFETY: a number.
    if unsafe { libc::geteuid() } != 0 {
        return skipped(format_args!("not root"));
    }
    let (scratch, rings) = (scratch_for(120), rings());
    let mut child = child::plan("drops").env(RINGS, rings.path()).start();
    child.expect("recorded");
    let collector = Collector::start(rings.path(), scratch.db());
    collector.until(|it| matches!(it, Collecting::Begun { .. }));
    child.tell("go");
    let said = child.hear();
    child.expect("flushed");
    _ = child.finish();
    collector.stop();
    assert_has(scratch.db(), 1, 0..100);
    assert_eq!(said.as_deref(), Some("None true"));
}

/// A collector that was killed after a commit, before it could say so; the next one knows what is stored, and does not say
/// it until it has something new.
#[test]
fn what_a_killed_collector_has_stored_is_known_when_the_next_one_has_begun() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&profiler, 0..100);
    // Nobody asks before: what was once known stays known.
    while Reader::open(scratch.db()).is_err()
        || Database::open(scratch.db()).count("SELECT count(*) FROM span") < 400
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    collector.stop();
    let ring = ring_of(rings.path());
    let mut reader = RingReader::open_to_drain(&ring).unwrap();
    // `begin` gives the slots back; these words it does not write.
    (0..5).for_each(|kind| reader.set_drainer(GIVEN_BACK + kind, 0).unwrap());
    drop(reader);
    let found = RefCell::new(Vec::new());
    let has_begun = Cell::new(false);
    let tell = |what| {
        if let Collecting::Begun { .. } = what {
            record_elsewhere(&profiler, 100..110);
            let stats = profiler.stats();
            found.borrow_mut().extend([stats.recorded, stats.stored, stats.in_flight]);
            has_begun.set(true);
        }
    };
    let options = CollectOptions::default();
    collect(rings.path(), scratch.db(), &options, || has_begun.get(), tell).unwrap();
    profiler.close().unwrap();
    assert_eq!(*found.borrow(), [440, 400, 40]);
}

fn with_an_open_span() {
    let profiler = small_in(&folder()).build().unwrap();
    within(&dispatch(&profiler), || {
        let _open = info_span!("open").entered();
        child::say("open");
        child::listen();
    });
}

/// Nothing was published yet, the file is cut to nothing, and its program dies.
#[test]
fn a_run_whose_ring_is_cut_to_nothing_as_its_program_dies_has_an_end() {
    if child::role().is_some() {
        return with_an_open_span();
    }
    let (scratch, rings) = (scratch_for(60), rings());
    let child = child::plan("opens").env(RINGS, rings.path()).start();
    let child = RefCell::new(child);
    child.borrow_mut().expect("open");
    let ring = ring_of(rings.path());
    let (looks, begun) = (Cell::new(0), Cell::new(false));
    let told = RefCell::new(Vec::new());
    let stop = || {
        if begun.get() {
            looks.set(looks.get() + 1);
        }
        if looks.get() == 3 {
            child.borrow_mut().kill();
            std::fs::File::options().write(true).open(&ring).unwrap().set_len(0).unwrap();
        }
        looks.get() > 12
    };
    let tell = |what| {
        if let Collecting::Begun { .. } = what {
            begun.set(true);
        }
        told.borrow_mut().push(what);
    };
    collect(rings.path(), scratch.db(), &CollectOptions::default(), stop, tell).unwrap();
    let run = run_of(scratch.db());
    assert!(run.ended_unix_ns.is_some() || run.report.is_some(), "no end: {}", say(&told.borrow()));
}

#[test]
fn others_beside_one_that_is_cut_go_on() {
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let mut all = Vec::new();
    for n in 0..3 {
        all.push(small_in(rings.path()).build().unwrap());
        record(&all[n], 0..100);
        all[n].flush(LONG).unwrap();
        if n == 1 {
            let newest = std::fs::read_dir(rings.path()).unwrap().map(|it| it.unwrap().path());
            let newest = newest.max_by_key(|it| it.metadata().unwrap().created().unwrap()).unwrap();
            cut_last_page(&newest);
            collector.until(|it| matches!(it, Collecting::Refused { .. }));
        }
    }
    for n in [0, 2] {
        std::thread::scope(|scope| {
            (0..4).for_each(|_| _ = scope.spawn(|| record(&all[n], 0..0)));
        });
        record(&all[n], 100..200);
        all[n].flush(LONG).unwrap();
    }
    drop(all);
    collector.stop();
    assert_has(scratch.db(), 1, 0..200);
    assert_has(scratch.db(), 3, 0..200);
    let reader = Reader::open(scratch.db()).unwrap();
    assert!(reader.contradictions(2).unwrap().is_empty());
    let db = Database::open(scratch.db());
    let apart =
        "SELECT count(*) FROM run a JOIN run b ON b.id = a.id + 1 WHERE b.first_id <= a.first_id";
    assert_eq!(db.count(apart), 0);
    let threads = "SELECT count(*) - count(DISTINCT run_id || ':' || id) FROM thread";
    assert_eq!(db.count(threads), 0);
}
