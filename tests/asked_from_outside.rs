//! Another process asks a live recording for marks and flushes: it gets what it asked for, the
//! profile has one writer all the time, and nothing is left behind.

use serde_json::json;
use spandrel_query::Reader;
use spandrel_storage::{ControlClient, Store, StoreOptions};
use spandrel_tests::asking::{ask, mark, refused, sidecar};
use spandrel_tests::prelude::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn another_process_marks_a_recording_at_load() {
    if child::role().is_some() {
        let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
        let moments = (0..20).map(|n| mark(path.as_ref(), &format!("mark {n}")));
        moments.for_each(child::say);
        return;
    }
    let scratch = scratch_for(120);
    let profiler = small(scratch.db()).batch_size(500).build().unwrap();
    let mut asking = child::plan("ask").env("SPANDREL_TEST_PATH", scratch.db()).start();
    let dispatch = dispatch(&profiler);
    let mut answers = Vec::<i64>::new();
    std::thread::scope(|scope| {
        let (halt, halted) = std::sync::mpsc::channel::<()>();
        scope.spawn(|| {
            let halted = halted;
            within(&dispatch, || {
                let mut n = 0_u64;
                while halted.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    while profiler.stats().in_flight > 10_000 {
                        std::thread::yield_now();
                    }
                    drop(info_span!("work", n));
                    n += 1;
                }
            });
        });
        while let Some(answer) = asking.hear() {
            answers.push(answer.parse().unwrap());
            // It was committed before it was answered.
            let db = Database::open(scratch.db());
            assert_eq!(db.count("SELECT count(*) FROM mark"), db.count("SELECT max(id) FROM mark"));
            assert!(db.count("SELECT count(*) FROM mark") >= answers.len() as u64);
            assert!(Store::open(scratch.db(), &StoreOptions::default()).is_err(), "one writer");
        }
        drop(halt);
    });
    asking.succeed();
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped, &report.control_error), (20, 0, &None));
    let db = ledger::check_complete(scratch.db(), &report);
    let marks = db.rows("SELECT at_ns, label FROM mark ORDER BY id", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    let expected: Vec<_> =
        answers.iter().enumerate().map(|(n, at)| (*at, format!("mark {n}"))).collect();
    assert_eq!(marks, expected);
    assert!(answers.is_sorted() && answers.len() == 20, "{answers:?}");
    assert_eq!(std::fs::read_dir(scratch.folder()).unwrap().count(), 1, "one file is left");
}

#[test]
fn a_mark_from_outside_lies_between_spans_and_has_fields() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(HOUR).build().unwrap();
    let dispatch = dispatch(&profiler);
    within(&dispatch, || drop(info_span!("before")));
    let fields = json!({ "version": 42, "by": "someone \u{1b}[2J" });
    let label = "deploy \u{1F980}\u{1b}";
    let answer = ask(scratch.db(), "mark", &json!({ "label": label, "fields": fields }));
    within(&dispatch, || drop(info_span!("after")));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let rows = db.rows("SELECT id, at_ns, label, fields FROM mark", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let [(id, at_ns, stored_label, stored_fields)]: &[(i64, i64, String, String)] = &rows[..]
    else {
        panic!("{rows:?}")
    };
    assert_eq!((&answer["id"], &answer["at_ns"]), (&json!(id), &json!(at_ns)));
    assert_eq!(stored_label, label);
    assert_eq!(serde_json::from_str::<serde_json::Value>(stored_fields).unwrap(), fields);
    let (before, after) = (db.span("before"), db.span("after"));
    assert!(before.end_ns() <= *at_ns && *at_ns <= after.start_ns, "{before:?} {at_ns} {after:?}");
}

#[test]
fn sections_begin_and_end_by_name() {
    let (scratch, profiler) = recording_for(60);
    let until = |label: &str, until: &str| json!({ "label": label, "until": until });
    let db = Database::open(scratch.db());
    let path = scratch.db();
    assert!(refused(path, "mark", &until("a", "end")).contains("no section"));
    let begun = ask(path, "mark", &until("a", "begin"));
    assert_eq!(db.count("SELECT count(*) FROM mark WHERE until_ns IS NULL"), 1);
    assert!(refused(path, "mark", &until("a", "begin")).contains("begun already"));
    ask(path, "mark", &until("b", "begin"));
    mark(path, "a");
    let ended = ask(path, "mark", &until("a", "end"));
    assert_eq!((&ended["id"], &ended["at_ns"]), (&begun["id"], &begun["at_ns"]));
    assert!(ended["until_ns"].as_i64() >= ended["at_ns"].as_i64());
    assert!(refused(path, "mark", &until("a", "end")).contains("no section"));
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (3, 0));
    let rows = db.rows("SELECT label, until_ns FROM mark ORDER BY id", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    let expected =
        [("a".to_owned(), ended["until_ns"].as_i64()), ("b".into(), None), ("a".into(), None)];
    assert_eq!(rows, expected);
}

#[test]
fn a_flush_from_outside_commits_what_was_recorded() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(HOUR).build().unwrap();
    let reader = Reader::open(scratch.db()).unwrap();
    for n in 1..=5_u64 {
        within(&dispatch(&profiler), || drop(info_span!("work", n)));
        profiler.mark("inside").unwrap();
        assert_eq!(ask(scratch.db(), "flush", &json!({})), json!({}));
        assert_eq!(reader.counts(1).unwrap().spans, n);
        assert_eq!(profiler.stats().marks, n);
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let (scratch, profiler) = recording_for(60);
    let path = scratch.db();
    assert!(refused(path, "format the disk", &json!({})).contains("not known"));
    for (arguments, why) in [
        (json!({}), "label"),
        (json!({ "label": "" }), "label"),
        (json!({ "label": null }), "label"),
        (json!({ "label": 7 }), "label"),
        (json!({ "label": { "label": "x" } }), "label"),
        (json!({ "label": "x", "fields": [1] }), "fields"),
        (json!({ "label": "x", "fields": "x" }), "fields"),
        (json!({ "label": "x", "until": "tomorrow" }), "until"),
        (json!({ "label": "x", "until": 1 }), "until"),
    ] {
        let message = refused(path, "mark", &arguments);
        assert!(message.contains(why), "{arguments}: {message}");
    }
    let report = profiler.close().unwrap();
    assert_eq!((report.marks, report.marks_dropped), (0, 0));
    assert!(!sidecar(path).exists());
    ledger::check_complete(path, &report);
}

#[test]
fn a_section_ends_in_the_file_that_follows_a_deleted_one() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).flush_interval(Duration::from_millis(20)).build().unwrap();
    mark(scratch.db(), "lost");
    let section = profiler.section("kept");
    profiler.flush(Duration::from_secs(20)).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mut name = scratch.db().as_os_str().to_owned();
        name.push(suffix);
        std::fs::remove_file(name).unwrap();
    }
    // A flush looks whether the file is there.
    while profiler.stats().marks_dropped == 0 {
        let _ = profiler.flush(Duration::from_secs(1));
    }
    assert_eq!((profiler.stats().marks, profiler.stats().marks_dropped), (0, 2));
    drop(section);
    // The file through which it is asked follows that of the profile.
    while ControlClient::open(scratch.db()).is_err() {
        let _ = profiler.flush(Duration::from_secs(1));
    }
    mark(scratch.db(), "in the new file");
    profiler.close().unwrap();
    let db = Database::open(scratch.db());
    let labels = db.rows("SELECT label, until_ns IS NOT NULL FROM mark ORDER BY id", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
    });
    assert_eq!(labels, [("kept".to_owned(), true), ("in the new file".to_owned(), false)]);
    assert_eq!(std::fs::read_dir(scratch.folder()).unwrap().count(), 1);
}
