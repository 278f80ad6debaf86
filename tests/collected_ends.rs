//! How runs end that are collected: when that was, though somebody looks long after it; and what is said of a ring file that
//! is removed or cut while its program lives.
#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel::recover::OpenRings;
use spandrel_query::Reader;
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, collect_once, record, rings, small_in,
};
use spandrel_tests::prelude::*;

const RINGS: &str = "SPANDREL_TEST_RINGS";
const DATABASE: &str = "SPANDREL_TEST_DATABASE";
/// A word of whoever drains: see `layout.rs`.
const ALIVE_AT: usize = 13;

fn ring_of(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// When whoever drains has said last that the program lives, in ticks: one of its words, which begin where word 41
/// of the header says.
fn alive_at(ring: &Path) -> u64 {
    let file = File::open(ring).unwrap();
    let word = |at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    };
    word(word(8 * 41) + 8 * ALIVE_AT as u64)
}

/// Waits until somebody has looked whether the program lives, from beginning to end.
fn until_seen_alive(ring: &Path) {
    let _limit = time_limit(60);
    for _ in 0..2 {
        let before = alive_at(ring);
        while alive_at(ring) == before {
            std::thread::yield_now();
        }
    }
}

/// Where the last moment is that is known of the only run, in nanoseconds since its start.
fn last_ns(database: &Path) -> i64 {
    Database::open(database).value("SELECT last_ns FROM run")
}

fn number(said: Option<String>) -> i64 {
    said.unwrap().parse().unwrap()
}

/// Records more than its ring has room for, and ends; says how long that took.
fn overflow(is_closed: bool) {
    let began = Instant::now();
    let folder = PathBuf::from(std::env::var_os(RINGS).unwrap());
    let profiler = small_in(&folder).ring_capacity(1 << 10).build().unwrap();
    record(&profiler, 0..5_000);
    assert!(profiler.stats().dropped.total() > 0);
    if is_closed {
        profiler.close().unwrap();
    }
    child::say(began.elapsed().as_nanos());
    if !is_closed {
        std::process::abort();
    }
}

#[test]
fn a_run_that_nobody_has_collected_ends_when_its_program_did_and_so_do_its_losses() {
    if let Some(role) = child::role() {
        return overflow(role == "closes");
    }
    for role in ["closes", "dies"] {
        let (scratch, rings) = (scratch_for(120), rings());
        let mut child = child::plan(role).env(RINGS, rings.path()).quiet().start();
        let lasted = number(child.hear());
        _ = child.finish();
        // Whoever takes the moment of the look says more than that.
        std::thread::sleep(Duration::from_millis(200));
        collect_once(rings.path(), scratch.db());
        let db = Database::open(scratch.db());
        assert!(db.count("SELECT count(*) FROM loss") > 0);
        let windows: i64 = db.value("SELECT max(to_ns) FROM loss");
        assert!(windows <= lasted, "{role}: {windows} of {lasted}");
        let last = last_ns(scratch.db());
        assert!((1..=lasted).contains(&last), "{role}: {last} of {lasted}");
        if role == "closes" {
            let length: i64 = db.value("SELECT ended_unix_ns - started_unix_ns FROM run");
            assert!((last..=lasted).contains(&length), "{length} of {lasted}");
        }
    }
}

/// Is stuck in a span; says when it had begun and when it is known to be in it, since its own beginning.
fn hang() {
    let builder = match std::env::var_os(DATABASE) {
        Some(database) => Profiler::builder().database(database).crash_proof(true),
        None => small_in(&PathBuf::from(std::env::var_os(RINGS).unwrap())),
    };
    let profiler = builder.build().unwrap();
    let began = Instant::now();
    within(&dispatch(&profiler), || {
        let _stuck = info_span!("stuck").entered();
        let entered = began.elapsed();
        std::thread::sleep(Duration::from_millis(50));
        child::say((began.elapsed() - entered).as_nanos());
        child::listen();
    });
}

#[test]
fn for_how_long_a_collected_program_was_stuck_outlives_it() {
    if child::role().is_some() {
        return hang();
    }
    let (scratch, rings) = (scratch_for(120), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let mut child = child::plan("hangs").env(RINGS, rings.path()).start();
    let stuck = number(child.hear());
    until_seen_alive(&ring_of(rings.path()));
    child.kill();
    collector.until(|it| matches!(it, Collecting::Ended { crashed: true, .. }));
    collector.stop();
    let db = Database::open(scratch.db());
    let open = "SELECT r.last_ns - s.start_ns FROM spans AS s JOIN run AS r ON r.id = s.run_id
        WHERE s.name = 'stuck' AND s.status = 'crashed' AND s.duration_ns IS NULL";
    let open: i64 = db.value(open);
    assert!(open >= stuck, "{open} of {stuck}");
    let inside: i64 = db.value("SELECT busy_ns FROM spans WHERE name = 'stuck'");
    assert!(inside >= stuck, "{inside} of {stuck}");
    assert!(Reader::open(scratch.db()).unwrap().contradictions(1).unwrap().is_empty());
}

#[test]
fn for_how_long_a_crash_proof_program_was_stuck_outlives_it() {
    if child::role().is_some() {
        return hang();
    }
    let (scratch, rings) = (scratch_for(120), rings());
    let plan = child::plan("hangs").env(DATABASE, scratch.db());
    let mut child = plan.env("XDG_RUNTIME_DIR", rings.path()).start();
    let stuck = number(child.hear());
    let folder = rings.path().join("spandrel");
    let ring = ring_of(&folder);
    until_seen_alive(&ring);
    child.kill();
    let look = OpenRings::of_folder(&folder).look().unwrap();
    let [open] = &look.rings[..] else { panic!("{look:?}") };
    let age = open.seen_ns - open.spans[0].start_ns;
    assert!(age >= stuck, "{age} of {stuck}");
}

#[test]
fn a_ring_file_that_is_removed_while_nobody_collects_is_told_of_and_counted() {
    let _limit = time_limit(60);
    let rings = rings();
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..100);
    assert_eq!((profiler.stats().crash_proof_error, profiler.stats().in_flight), (None, 400));
    std::fs::remove_file(ring_of(rings.path())).unwrap();
    let stats = profiler.stats();
    let said = stats.crash_proof_error.as_deref().unwrap();
    assert!(said.contains(".ring: the ring file was removed while it was recorded into"), "{said}");
    assert!(!stats.is_crash_proof);
    let count = (stats.recorded, stats.stored, stats.dropped.file_removed, stats.in_flight);
    assert_eq!(count, (400, 0, 400, 0));
    record(&profiler, 100..110);
    let flushed = profiler.flush(LONG).unwrap_err().to_string();
    assert!(flushed.contains("the ring file was removed"), "{flushed}");
    let report = profiler.close().unwrap();
    let count = (report.recorded, report.dropped.file_removed, report.in_flight);
    assert_eq!(count, (440, 440, 0), "{report}");
    assert_eq!((report.events.recorded, report.events.dropped.file_removed), (330, 330));
}

#[test]
fn a_ring_file_that_is_removed_while_it_is_collected_loses_nothing() {
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    std::fs::remove_file(ring_of(rings.path())).unwrap();
    let said = profiler.stats().crash_proof_error.unwrap();
    assert!(said.contains("the ring file was moved or removed; only a collector"), "{said}");
    record(&profiler, 100..200);
    profiler.flush(LONG).unwrap();
    record(&profiler, 200..300);
    profiler.close().unwrap();
    collector.until(|it| matches!(it, Collecting::Ended { .. }));
    let stats = profiler.stats();
    assert_eq!((stats.recorded, stats.stored, stats.in_flight), (1_200, 1_200, 0), "{stats:?}");
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    assert_has(scratch.db(), 1, 0..300);
}

#[test]
fn what_comes_after_the_only_collector_of_a_removed_ring_file_has_ended_is_lost_and_counted() {
    let (scratch, rings) = (scratch_for(60), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    std::fs::remove_file(ring_of(rings.path())).unwrap();
    collector.stop();
    let stats = profiler.stats();
    assert_eq!((stats.stored, stats.in_flight, stats.dropped.total()), (400, 0, 0), "{stats:?}");
    record(&profiler, 100..110);
    let stats = profiler.stats();
    assert_eq!((stats.recorded, stats.stored, stats.dropped.file_removed), (440, 400, 40));
    profiler.close().unwrap();
}

/// It is cut as soon as it was seen, and no matter whether that was stored: it is, or is counted as lost.
#[test]
fn a_ring_file_that_is_cut_ends_its_run_with_what_is_lost() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let ring = ring_of(rings.path());
    let whole = ring.metadata().unwrap().len();
    let (looks, refused) = (Cell::new(0), Cell::new(None));
    let stop = || {
        let has_begun = looks.get() > 0;
        match looks.get() {
            // By another thread: one that collects records nothing.
            1 => std::thread::scope(|scope| {
                scope.spawn(|| record(&profiler, 0..100)).join().unwrap();
            }),
            // By now what was recorded was seen.
            3 => File::options().write(true).open(&ring).unwrap().set_len(whole / 4).unwrap(),
            _ => {}
        }
        looks.set(looks.get() + u32::from(has_begun));
        looks.get() > 10
    };
    let tell = |what| match what {
        Collecting::Begun { .. } => looks.set(1),
        Collecting::Refused { why, .. } => refused.set(Some(why)),
        other => panic!("{other:?}"),
    };
    collect(rings.path(), scratch.db(), &CollectOptions::default(), stop, tell).unwrap();
    let why = refused.take().unwrap();
    assert!(why.contains("it was cut short by somebody; run 1 ends here"), "{why}");
    let reader = Reader::open(scratch.db()).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert_eq!((run.spans + run.dropped_spans, run.events + run.dropped_events), (400, 300));
    let report: serde_json::Value = serde_json::from_str(run.report.as_deref().unwrap()).unwrap();
    let said = report["last_error"].as_str().unwrap();
    assert!(said.contains("was cut short while it was collected"), "{said}");
    let spans = &report["spans"];
    assert_eq!((spans["recorded"].as_u64(), spans["in_flight"].as_u64()), (Some(400), Some(0)));
    assert!(run.ended_unix_ns.is_some() && !run.is_complete() || run.dropped() == 0);
    assert!(reader.contradictions(1).unwrap().is_empty());
    assert_no_files(rings.path());
    let report = profiler.close().unwrap();
    assert!(report.crash_proof_error.as_deref().unwrap().contains("cut short"), "{report}");
    assert_eq!(report.recorded, report.stored + report.dropped.total(), "{report}");
}

#[test]
fn what_is_stored_is_known_while_more_comes() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    collector.stop();
    // Nobody has looked at the counts since.
    record(&profiler, 100..110);
    let stats = profiler.stats();
    assert_eq!((stats.recorded, stats.stored, stats.in_flight), (440, 400, 40), "{stats:?}");
    profiler.close().unwrap();
}

fn record_and_die() {
    let profiler = small_in(&PathBuf::from(std::env::var_os(RINGS).unwrap())).build().unwrap();
    record(&profiler, 0..100);
    child::say("recorded");
    std::process::abort();
}

/// A forged word, in the ring of a dead program.
#[test]
fn a_forged_sign_of_life_does_not_end_a_run_in_decades() {
    if child::role().is_some() {
        return record_and_die();
    }
    {
        for forged in [1_u64 << 61, (1 << 62) - 1] {
            let (scratch, rings) = (scratch_for(120), rings());
            let mut child = child::plan("dies").env(RINGS, rings.path()).quiet().start();
            child.expect("recorded");
            _ = child.finish();
            let ring = ring_of(rings.path());
            let mut reader = spandrel_ring::file::Reader::open_to_drain(&ring).unwrap();
            reader.set_drainer(ALIVE_AT, forged).unwrap();
            reader.set_drainer(ALIVE_AT + 1, !forged).unwrap();
            drop(reader);
            collect_once(rings.path(), scratch.db());
            let run = Reader::open(scratch.db()).unwrap().run(1).unwrap().unwrap();
            let ended = run.ended_unix_ns.unwrap_or(run.info.started_unix_ns);
            let lasted = (ended.saturating_sub(run.info.started_unix_ns)).max(run.last_ns);
            assert!(lasted < 3_600_000_000_000, "forged {forged:x}: lasted {lasted} ns");
        }
    }
}
