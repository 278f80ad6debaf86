//! What programs record into ring files of one folder is collected into one profile: each a run of its own, all of it,
//! once, whoever is killed.

use std::path::PathBuf;

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_query::Reader;
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, collect_once, record, request, rings, small_in,
};
use spandrel_tests::prelude::*;

#[test]
fn what_was_recorded_before_there_is_a_collector_is_collected() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).label("nightly").commit("a1b2c3").build().unwrap();
    record(&profiler, 0..200);
    profiler.mark("here").unwrap();
    drop(profiler.section("a section"));
    let open = within(&dispatch(&profiler), || info_span!("left open", secret = "x"));
    let report = profiler.close().unwrap();
    assert_eq!((report.recorded, report.in_flight), (800, 800));
    let (done, told) = collect_once(rings.path(), scratch.db());
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    let [Collecting::Begun { run_id: 1, pid, .. }, Collecting::Ended { crashed: false, spans, .. }] =
        &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*pid, u64::from(std::process::id()));
    assert_eq!((spans.recorded, spans.stored, spans.in_flight), (801, 801, 0));
    assert_has(scratch.db(), 1, 0..200);
    let db = Database::open(scratch.db());
    let row: (String, String, bool, String) = db
        .rows(
            "SELECT label, program, ended_unix_ns >= started_unix_ns, settings FROM run",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .remove(0);
    assert_eq!((&*row.0, row.2), ("nightly", true));
    let program = std::env::current_exe().unwrap();
    assert_eq!(Path::new(&row.1), program, "{row:?}");
    assert!(row.3.contains(r#""commit":"a1b2c3""#), "{row:?}");
    let unfinished = "SELECT fields FROM spans WHERE status = 'unfinished' AND name = 'left open'";
    assert_eq!(db.value::<String>(unfinished), r#"{"secret":"[redacted]"}"#);
    let marks: Vec<(String, bool)> =
        db.rows("SELECT label, until_ns IS NOT NULL FROM mark ORDER BY at_ns", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
    assert_eq!(marks, [("here".to_owned(), false), ("a section".to_owned(), true)]);
    assert_no_files(rings.path());
    // The program can ask, though it has closed.
    assert_eq!(profiler.stats().in_flight, 0);
    drop(open);
}

#[test]
fn several_programs_at_once_are_a_run_each_and_a_flush_is_answered() {
    const PROGRAMS: u64 = 4;
    const REQUESTS: u64 = 400;
    let (scratch, rings) = (scratch_for(120), rings());
    let collector = Collector::start(rings.path(), scratch.db());
    std::thread::scope(|scope| {
        for program in 0..PROGRAMS {
            let rings = rings.path();
            scope.spawn(move || {
                let profiler = small_in(rings).label(program.to_string()).build().unwrap();
                for round in 0..4 {
                    let first = program * 10_000 + round * REQUESTS;
                    record(&profiler, first..first + REQUESTS);
                    profiler.flush(LONG).unwrap();
                    let stats = profiler.stats();
                    ledger::identity(&stats);
                    assert_eq!((stats.stored, stats.in_flight), (4 * (round + 1) * REQUESTS, 0));
                }
                profiler.close().unwrap();
            });
        }
    });
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (PROGRAMS, 0), "{told:?}");
    let db = Database::open(scratch.db());
    for program in 0..PROGRAMS {
        let run: i64 = db.value(&format!("SELECT id FROM run WHERE label = '{program}'"));
        assert_has(scratch.db(), run, program * 10_000..program * 10_000 + 4 * REQUESTS);
    }
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
    assert_eq!(db.count("SELECT count(*) FROM run WHERE ended_unix_ns IS NULL"), 0);
    assert_eq!(db.count("SELECT count(*) FROM drained"), 0);
    assert_no_files(rings.path());
}

#[test]
fn collectors_come_and_go_and_nothing_is_lost_or_stored_twice() {
    let (scratch, rings) = (scratch_for(120), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let dispatch = dispatch(&profiler);
    let outer = within(&dispatch, || info_span!("outer"));
    for round in 0..5 {
        let collector = Collector::start(rings.path(), scratch.db());
        within(&dispatch, || {
            outer.in_scope(|| {
                info_span!("inner", round)
                    .in_scope(|| std::thread::sleep(Duration::from_millis(1)));
            });
            (round * 300..(round + 1) * 300).for_each(request);
        });
        if round % 2 == 0 {
            profiler.flush(LONG).unwrap();
        }
        let (done, told) = collector.stop();
        assert_eq!((done.ended, done.going_on), (0, 1), "{told:?}");
        assert!(matches!(&told[..], [Collecting::Begun { run_id: 1, .. }]), "{told:?}");
    }
    within(&dispatch, || drop(outer));
    profiler.close().unwrap();
    collect_once(rings.path(), scratch.db());
    assert_has(scratch.db(), 1, 0..1_500);
    let db = Database::open(scratch.db());
    let (busy, own): (i64, i64) = db
        .rows("SELECT busy_ns, self_busy_ns FROM spans WHERE name = 'outer'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .remove(0);
    let inner: i64 = db.value("SELECT sum(busy_ns) FROM spans WHERE name = 'inner'");
    assert!(busy > inner && own == busy - inner, "{busy} {own} {inner}");
    let gone: i64 = db.value("SELECT dropped_spans FROM run");
    assert_eq!(gone, 0);
}

/// In the child: records until it is killed, with a span that is open.
fn record_until_killed() {
    let rings = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let profiler = small_in(&rings).build().unwrap();
    within(&dispatch(&profiler), || {
        (0..700).for_each(request);
        let _open = info_span!("charge", order = 4_711).entered();
        child::say("recorded");
        child::listen();
    });
}

#[test]
fn a_program_that_is_killed_leaves_all_that_it_has_published_and_what_was_open() {
    if child::role().is_some() {
        return record_until_killed();
    }
    for is_collected_before in [false, true] {
        let (scratch, rings) = (scratch_for(60), rings());
        let mut child = child::plan("record").env("SPANDREL_TEST_PATH", rings.path()).start();
        assert_eq!(child.hear().as_deref(), Some("recorded"));
        if is_collected_before {
            let (done, _) = Collector::start(rings.path(), scratch.db()).stop();
            assert_eq!((done.ended, done.going_on), (0, 1));
        }
        child.kill();
        let (done, told) = collect_once(rings.path(), scratch.db());
        assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
        assert_has(scratch.db(), 1, 0..700);
        let db = Database::open(scratch.db());
        let crashed =
            "SELECT fields ->> 'order' FROM spans WHERE status = 'crashed' AND name = 'charge'";
        assert_eq!(db.value::<i64>(crashed), 4_711);
        let row = Reader::open(scratch.db()).unwrap().run(1).unwrap().unwrap();
        assert!(row.has_crashed() && row.dropped() == 0, "{row:?}");
        assert_no_files(rings.path());
    }
}

/// In the child: collects until it is killed.
fn collect_until_killed() {
    let path = |name| PathBuf::from(std::env::var_os(name).unwrap());
    child::say("collects");
    let (rings, database) = (path("SPANDREL_TEST_RINGS"), path("SPANDREL_TEST_PATH"));
    collect(&rings, &database, &CollectOptions::default(), || false, |_| ()).unwrap();
}

#[test]
fn a_collector_that_is_killed_neither_loses_nor_stores_twice() {
    if child::role().is_some() {
        return collect_until_killed();
    }
    const ROUNDS: u64 = 12;
    let (scratch, rings) = (scratch_for(120), rings());
    // It holds everything, if no collector comes as far as a commit.
    let profiler = small_in(rings.path()).ring_capacity(1 << 17).build().unwrap();
    let dispatch = dispatch(&profiler);
    for round in 0..ROUNDS {
        let plan = child::plan("collect").env("SPANDREL_TEST_RINGS", rings.path());
        let mut child = plan.env("SPANDREL_TEST_PATH", scratch.db()).start();
        assert_eq!(child.hear().as_deref(), Some("collects"));
        // It is killed at another moment each time: while it opens the profile, drains, commits or gives back.
        for n in 0..200 {
            within(&dispatch, || request(round * 200 + n));
            if n % 20 == 0 && n > 20 * round {
                std::thread::sleep(Duration::from_millis(round));
            }
        }
        child.kill();
    }
    profiler.close().unwrap();
    collect_once(rings.path(), scratch.db());
    assert_has(scratch.db(), 1, 0..ROUNDS * 200);
}

#[test]
fn marks_are_collected_while_nothing_else_comes_and_a_flush_waits_for_them() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    let db = |sql: &str| Database::open(scratch.db()).count(sql);
    for n in 1..=5 {
        profiler.mark(format!("mark {n}")).unwrap();
        profiler.flush(LONG).unwrap();
        assert_eq!(db("SELECT count(*) FROM mark"), n);
    }
    profiler.close().unwrap();
    collector.stop();
    assert_eq!(db("SELECT count(*) FROM mark"), 5);
}

#[test]
fn what_did_not_fit_the_ring_is_counted_in_the_run() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).ring_capacity(1 << 10).build().unwrap();
    record(&profiler, 0..2_000);
    let report = profiler.close().unwrap();
    assert!(report.dropped.ring_full > 0 && report.events.dropped.ring_full > 0, "{report}");
    let (_, told) = collect_once(rings.path(), scratch.db());
    let Some(Collecting::Ended { spans, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!((spans.recorded, spans.dropped), (report.recorded, report.dropped));
    assert_eq!(spans.stored, report.in_flight);
    let db = Database::open(scratch.db());
    let lost: i64 = db.value("SELECT sum(spans) FROM loss WHERE reason = 'ring_full'");
    assert_eq!(lost.cast_unsigned(), report.dropped.ring_full);
    let found = Reader::open(scratch.db()).unwrap().contradictions(1).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn two_collectors_share_no_ring_and_other_files_are_left_alone() {
    let (scratch, rings) = (scratch_for(60), rings());
    std::fs::write(rings.path().join("no.ring"), "something else").unwrap();
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..10);
    let first = Collector::start(rings.path(), scratch.db());
    profiler.flush(LONG).unwrap();
    let other = scratch.path("other.db");
    let (done, _) = collect_once(rings.path(), &other);
    assert_eq!((done.ended, done.going_on, done.records, done.refused), (0, 0, 0, 0));
    assert_eq!(done.elsewhere, 1);
    profiler.close().unwrap();
    let (done, _) = first.stop();
    assert_eq!(done.ended, 1);
    assert_has(scratch.db(), 1, 0..10);
    assert!(rings.path().join("no.ring").exists());
}

#[test]
fn a_file_that_somebody_else_has_put_there_is_refused_by_its_name_and_the_others_are_collected() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    record(&profiler, 0..10);
    let [own] = files(rings.path()).try_into().unwrap();
    let theirs = rings.path().join("theirs.ring");
    let link = rings.path().join("link.ring");
    std::fs::copy(&own, &theirs).unwrap();
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let is_given = std::os::unix::fs::chown(&theirs, Some(12_345), None);
    if let Err(error) = &is_given {
        std::fs::remove_file(&theirs).unwrap();
        eprintln!("SKIPPED: no file can be given away here ({error})");
    }
    profiler.close().unwrap();
    let (collected, told) = collect_once(rings.path(), scratch.db());
    assert_eq!(collected.ended, 1);
    let refused: std::collections::HashMap<_, _> = told
        .into_iter()
        .filter_map(|told| match told {
            Collecting::Refused { path, why } => Some((path, why)),
            _ => None,
        })
        .collect();
    assert!(refused[&link].contains("link.ring") && refused[&link].contains("is a link"));
    if is_given.is_ok() {
        assert!(refused[&theirs].contains("belongs to user 12345"), "{refused:?}");
        assert!(theirs.exists(), "it is not ours to remove");
    }
    assert!(!refused.contains_key(&own));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}
