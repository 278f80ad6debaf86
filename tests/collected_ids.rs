//! Ids of runs that are collected beside each other: however many there are, whoever comes in between, and however much one
//! of them records, each has ids of its own; and where there are none left, it is told, and nothing is lost.

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_query::{Reader, Trace};
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, collect_once, record, request, rings, small_in,
};
use spandrel_tests::prelude::*;

/// No run has a first id from here on.
const FIRST_ID_END: i64 = 1 << 47;

/// A profile that has had so many runs, whose ids are below this one.
fn profile_after(db: &Path, runs: i64, next_id: i64) {
    Profiler::builder().database(db).build().unwrap().close().unwrap();
    let changed = rusqlite::Connection::open(db)
        .unwrap()
        .execute("UPDATE run SET id = ?1, first_id = ?2, last_id = ?2 - 1", [runs, next_id])
        .unwrap();
    assert_eq!(changed, 1);
}

/// That of no run anything is missing, that ids tell of which run a row is, and that a run says which it has.
fn assert_apart(db: &Path) {
    let db = Database::open(db);
    assert_eq!(db.count("SELECT count(*) FROM run WHERE dropped_spans + dropped_events > 0"), 0);
    let parents =
        "SELECT count(*) FROM span AS s JOIN span AS p ON p.id IN (s.parent_id, s.root_id)
                   WHERE p.run_id <> s.run_id";
    assert_eq!(db.count(parents), 0);
    let largest = "SELECT count(*) FROM run AS r WHERE spans > 0 AND last_id NOT BETWEEN
                     (SELECT max(id) FROM span WHERE run_id = r.id)
                     AND (SELECT max(id) + 64 * 2 FROM span WHERE run_id = r.id)";
    assert_eq!(db.count(largest), 0, "last_id is the largest id of the run's own rows, or so");
    assert_eq!(db.count("SELECT count(*) FROM drained"), 0);
    assert_eq!(db.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_run_goes_on_above_what_was_recorded_while_nobody_collected_it() {
    let (scratch, rings) = (scratch_for(60), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let around = within(&dispatch(&profiler), || info_span!("around"));
    for round in 0..3 {
        record(&profiler, round * 200..(round + 1) * 200);
        let collector = Collector::start(rings.path(), scratch.db());
        profiler.flush(LONG).unwrap();
        collector.stop();
        // Another program, which writes the profile itself.
        let other = Profiler::builder().database(scratch.db()).build().unwrap();
        record(&other, 10_000..10_100);
        other.close().unwrap();
    }
    record(&profiler, 600..700);
    within(&dispatch(&profiler), || drop(around));
    profiler.close().unwrap();
    let (_, told) = collect_once(rings.path(), scratch.db());
    let Some(Collecting::Ended { spans, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!((spans.recorded, spans.stored, spans.dropped.total()), (2_801, 2_801, 0));
    assert_has(scratch.db(), 1, 0..700);
    (2..=4).for_each(|run| assert_has(scratch.db(), run, 10_000..10_100));
    assert_apart(scratch.db());
    assert_no_files(rings.path());
}

#[test]
fn runs_that_outgrow_their_ids_get_further_ones() {
    let (scratch, rings) = (scratch_for(240), rings());
    // So many that there are a few for each only.
    profile_after(scratch.db(), 1 << 40, 1);
    let begin =
        |label: &str| small_in(rings.path()).ring_capacity(1 << 15).label(label).build().unwrap();
    let programs = ["a", "b"].map(begin);
    let open = |profiler: &Profiler| {
        let dispatch = dispatch(profiler);
        let around = within(&dispatch, || info_span!("around everything"));
        (dispatch, around)
    };
    let around: Vec<_> = programs.iter().map(open).collect();
    let mut collector = Collector::start(rings.path(), scratch.db());
    for round in 0..40 {
        for profiler in &programs {
            record(profiler, round * 800..(round + 1) * 800);
            profiler.flush(LONG).unwrap();
        }
        // Another collector knows what the profile knows.
        if round % 13 == 12 {
            collector.stop();
            collector = Collector::start(rings.path(), scratch.db());
        }
    }
    for (profiler, (dispatch, around)) in programs.iter().zip(&around) {
        within(dispatch, || {
            around.in_scope(|| info_span!(parent: around, "the last").in_scope(|| ()));
        });
        profiler.flush(LONG).unwrap();
    }
    collector.stop();
    let db = Database::open(scratch.db());
    let pieces = "SELECT count(*) FROM drained WHERE partition >= 65536 GROUP BY ring";
    let pieces: Vec<i64> = db.rows(pieces, [], |row| row.get(0));
    assert!(pieces.len() == 2 && pieces.iter().all(|rows| *rows >= 4), "{pieces:?}");
    drop(db);
    for (profiler, (dispatch, around)) in programs.into_iter().zip(around) {
        within(&dispatch, || drop(around));
        profiler.close().unwrap();
    }
    let (_, told) = collect_once(rings.path(), scratch.db());
    let ended = told.iter().filter_map(|told| match told {
        Collecting::Ended { spans, .. } => {
            Some((spans.recorded, spans.stored, spans.dropped.total()))
        }
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [(128_002, 128_002, 0); 2], "{told:?}");
    assert_apart(scratch.db());
    let db = Database::open(scratch.db());
    let reader = Reader::open(scratch.db()).unwrap();
    for label in ["a", "b"] {
        let run: i64 = db.value(&format!("SELECT id FROM run WHERE label = '{label}'"));
        assert_has(scratch.db(), run, 0..32_000);
        let mut ids = Vec::new();
        reader.spans(run, |span| ids.push(span.id)).unwrap();
        assert!(ids.len() == 128_002 && ids.is_sorted());
        // Each trace is found, in whichever piece it is.
        let of_run = format!("run_id = {run} AND name");
        let last: i64 = db.value(&format!("SELECT id FROM spans WHERE {of_run} = 'the last'"));
        let first: i64 =
            db.value(&format!("SELECT id FROM spans WHERE {of_run} = 'around everything'"));
        for n in [0, 9_000, 20_000, 31_999] {
            let root =
                format!("SELECT id FROM spans WHERE {of_run} = 'request' AND fields ->> 'n' = {n}");
            let root = db.value::<i64>(&root) as u64;
            assert_eq!(reader.tree(root).unwrap().len(), 4);
            let trace = Trace::read(&reader, root, 100).unwrap().unwrap();
            assert_eq!((trace.run_id, trace.total), (run, 4));
        }
        let trace = Trace::read(&reader, first as u64, 100).unwrap().unwrap();
        let found: Vec<_> = trace.spans.iter().map(|span| span.id as i64).collect();
        assert_eq!((trace.run_id, found), (run, vec![first, last]));
        // Half of the recording is behind the middle of its time.
        let middle: i64 = db.value(&format!(
            "SELECT start_ns FROM spans WHERE {of_run} = 'request' AND fields ->> 'n' = 16000"
        ));
        let near = reader.id_near(run, middle).unwrap();
        let at = ids.partition_point(|id| *id < near);
        assert!(at.abs_diff(64_000) < 200, "{at}");
    }
}

#[test]
fn where_ids_come_to_an_end_it_is_told_and_all_is_in_the_ring_files() {
    let (scratch, rings) = (scratch_for(120), rings());
    // Enough for some runs, with 32,768 records each.
    profile_after(scratch.db(), 7, FIRST_ID_END - (1 << 20));
    let mut programs = Vec::new();
    let collector = Collector::start(rings.path(), scratch.db());
    // They begin one after the other, and none ends before the others.
    while !collector.has_ended() && programs.len() < 40 {
        let begun = programs.len() as u64;
        let profiler = small_in(rings.path()).label(begun.to_string()).build().unwrap();
        record(&profiler, begun * 1_000..begun * 1_000 + 50);
        programs.push(profiler);
        let run = 7 + programs.len() as i64;
        collector.until(|told| matches!(told, Collecting::Begun { run_id, .. } if *run_id == run));
    }
    let error = collector.end().unwrap_err().to_string();
    assert!(error.contains("no ids left for another run: collect into another file"), "{error}");
    let begun = programs.len() as u64;
    assert!((8..20).contains(&begun), "{begun} runs");
    programs.iter().for_each(request_by);
    let next = scratch.path("next.db");
    let collector = Collector::start(rings.path(), &next);
    for profiler in programs {
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.dropped.total()), (204, 0), "{report}");
    }
    collector.stop();
    collect(rings.path(), &next, &CollectOptions::default(), || true, |_| ()).unwrap();
    // What the first profile has not, the second one has.
    let (first, second) = (Database::open(scratch.db()), Database::open(&next));
    let stored = |db: &Database| db.count("SELECT count(*) FROM spans WHERE name = 'request'");
    assert_eq!(stored(&first) + stored(&second), 51 * begun);
    let of_last = format!("SELECT count(*) FROM run WHERE label = '{}'", begun - 1);
    assert_eq!((first.count(&of_last), second.count(&of_last)), (0, 1));
    for db in [&first, &second] {
        assert_eq!(db.count("SELECT coalesce(sum(dropped_spans), 0) FROM run"), 0);
    }
    assert_no_files(rings.path());
}

fn request_by(profiler: &Profiler) {
    within(&dispatch(profiler), || request(999_999));
}

#[test]
fn marks_of_programs_that_two_collectors_saw_are_all_there() {
    let (scratch, rings) = (scratch_for(60), rings());
    let begin = |label: &str| small_in(rings.path()).label(label).build().unwrap();
    let set = |profiler: &Profiler, numbers: std::ops::Range<u64>| {
        numbers.clone().for_each(|n| profiler.mark(format!("mark {n}")).unwrap());
        record(profiler, numbers.start..numbers.start + 5);
        profiler.flush(LONG).unwrap();
    };
    // It has more marks than rows with ids of their own.
    let first = begin("first");
    let collector = Collector::start(rings.path(), scratch.db());
    set(&first, 0..300);
    collector.stop();
    let second = begin("second");
    let mut collector = Collector::start(rings.path(), scratch.db());
    for round in 1..4 {
        set(&second, (round - 1) * 300..round * 300);
        set(&first, round * 300..(round + 1) * 300);
        if round == 2 {
            collector.stop();
            // Another program, which writes the profile itself.
            let other = Profiler::builder().database(scratch.db()).build().unwrap();
            set(&other, 0..50);
            other.close().unwrap();
            collector = Collector::start(rings.path(), scratch.db());
        }
    }
    for profiler in [first, second] {
        let report = profiler.close().unwrap();
        assert_eq!(report.dropped.total(), 0);
    }
    collector.stop();
    let db = Database::open(scratch.db());
    for (run, marks) in [(1, 1_200), (2, 900), (3, 50)] {
        let sql = format!("SELECT count(*) FROM mark WHERE run_id = {run}");
        assert_eq!(db.count(&sql), marks, "run {run}");
        let sql = format!("SELECT count(DISTINCT label) FROM mark WHERE run_id = {run}");
        assert_eq!(db.count(&sql), marks, "run {run}");
        let sql = format!("SELECT sum(dropped_spans + dropped_events) FROM run WHERE id = {run}");
        assert_eq!(db.count(&sql), 0, "run {run}");
    }
    assert_apart(scratch.db());
    assert_no_files(rings.path());
}
