//! A verifier that never finds anything proves nothing: here it meets files that were spoiled.

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use spandrel::Profiler;
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::prelude::*;

use crate::progress::{Progress, Rows};
use crate::run::Made;
use crate::settings::{Load, Rate};
use crate::{generator, verify, workload};

/// Records a small load, spoils a copy of the file with each statement, and returns what the
/// verifier says.
fn verdicts<const N: usize>(fields: usize, statements: [&str; N]) -> [String; N] {
    verdicts_of(Load { fields, ..Load::default() }, statements)
}

fn verdicts_of<const N: usize>(load: Load, statements: [&str; N]) -> [String; N] {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("good.db");
    let load = Load { length: Duration::from_millis(50), threads: 2, database, ..load };
    let profiler = Profiler::builder().database(&load.database).build().unwrap();
    let dispatch = Dispatch::new(Registry::default().with(profiler.layer()));
    let Made { sent, .. } = generator::run(&load, load.length, &dispatch, &mut |_| ()).unwrap();
    let report = profiler.close().unwrap();
    assert_eq!(report.stored, sent.spans, "{report}");
    statements.map(|statement| {
        let spoiled = folder.path().join("spoiled.db");
        fs::copy(&load.database, &spoiled).unwrap();
        Connection::open(&spoiled).unwrap().execute_batch(statement).unwrap();
        let mut watch = |_: &Progress| ();
        let mut looked = Rows::new(&mut watch, 0);
        let verification = verify::verify(&spoiled, &load, &sent, &report, &mut looked).unwrap();
        verification.checks.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn an_untouched_file_passes_with_and_without_fields() {
    for fields in 0..=workload::FIELDS_MAX {
        assert_eq!(verdicts(fields, [""]), [""], "{fields} fields");
    }
}

#[test]
fn each_way_to_spoil_the_spans_is_found() {
    let [gone, changed, twice, parent, root] = verdicts(
        3,
        [
            "DELETE FROM span WHERE id = (SELECT max(id) FROM span)",
            "UPDATE span SET fields = json_set(fields, '$.item', 'stone') WHERE id % 7 = 0",
            "UPDATE span SET fields = (SELECT fields FROM span ORDER BY id DESC LIMIT 1)
             WHERE id = (SELECT min(id) FROM span)",
            "UPDATE span SET parent_id = (SELECT max(id) FROM span)
             WHERE id = (SELECT max(id) FROM span)",
            "UPDATE span SET root_id = id WHERE parent_id IS NOT NULL",
        ],
    );
    assert!(gone.contains("rows in span"), "{gone}");
    assert!(changed.contains("are not as sent"), "{changed}");
    assert!(twice.contains("is stored twice"), "{twice}");
    assert!(parent.contains("parent Some"), "{parent}");
    assert!(root.contains("root Some"), "{root}");
    // With one field only the number itself can be wrong.
    let foreign = "UPDATE span SET fields = json_set(fields, '$.unit', 999999999999) WHERE id = 1";
    let [foreign] = verdicts(1, [foreign]);
    assert!(foreign.contains("was never sent"), "{foreign}");
}

#[test]
fn a_wrong_parent_is_found_without_fields_too() {
    let [parent] = verdicts(
        0,
        ["UPDATE span SET parent_id = (SELECT parent_id FROM span WHERE parent_id IS NOT NULL
                                       ORDER BY id DESC LIMIT 1)
          WHERE id = (SELECT min(id) FROM span WHERE parent_id IS NOT NULL)"],
    );
    assert_ne!(parent, "");
}

#[test]
fn a_tree_of_another_shape_is_found_though_its_spans_have_no_names() {
    let load = Load { fields: 0, events: false, ..Load::default() };
    let [untouched, gone, fields, parent, root, orphan] = verdicts_of(
        load,
        [
            "",
            "DELETE FROM span WHERE id = (SELECT max(id) FROM span)",
            "UPDATE span SET fields = '{}' WHERE id = (SELECT max(id) FROM span)",
            "UPDATE span SET parent_id = root_id WHERE parent_id <> root_id",
            "UPDATE span SET root_id = id WHERE parent_id IS NOT NULL",
            "UPDATE span SET parent_id = NULL WHERE id = (SELECT max(id) FROM span)",
        ],
    );
    assert_eq!(untouched, "");
    assert!(gone.contains("rows in span"), "{gone}");
    assert!(fields.contains("has fields"), "{fields}");
    assert!(parent.contains("by depth"), "{parent}");
    assert!(root.contains("another root"), "{root}");
    assert!(orphan.contains("is a root"), "{orphan}");
}

#[test]
fn each_way_to_spoil_the_entries_is_found() {
    let load = Load { long_lived: 30, rate: Rate::PerSecond(40_000), ..Load::default() };
    let [untouched, gone, span, around, alone, thread, order, length, count, lost] = verdicts_of(
        load,
        [
            "",
            "DELETE FROM entry WHERE id = (SELECT max(id) FROM entry)",
            "UPDATE entry SET span_id = (SELECT min(id) FROM span)
             WHERE id = (SELECT max(id) FROM entry WHERE span_id > (SELECT min(id) FROM span))",
            "UPDATE entry SET around_id = span_id
             WHERE id = (SELECT max(id) FROM entry WHERE around_id IS NOT NULL)",
            "UPDATE entry SET around_id = NULL WHERE around_id IS NOT NULL",
            "UPDATE entry SET thread_id = (SELECT max(id) FROM thread WHERE name GLOB 'load-*')
             WHERE thread_id = (SELECT min(id) FROM thread WHERE name GLOB 'load-*')",
            "UPDATE entry SET start_ns = start_ns + 1000000000
             WHERE id = (SELECT min(id) FROM entry)",
            "UPDATE entry SET duration_ns = duration_ns + 1000000000
             WHERE id = (SELECT max(id) FROM entry WHERE around_id IS NOT NULL)",
            "UPDATE span SET entries = entries - 1 WHERE id = (SELECT min(id) FROM span)",
            "INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events, entries)
             VALUES (1, 'ring_full', 0, 1, 0, 0, 1)",
        ],
    );
    assert_eq!(untouched, "");
    assert!(gone.contains("rows in entry"), "{gone}");
    assert!(span.contains("entry"), "{span}");
    assert!(around.contains("is inside unit"), "{around}");
    // Whichever comes first: the threads' entries lie across each other, or are more than one has made.
    for verdict in [&alone, &thread] {
        let is_found = ["more than thread", "overlaps"].map(|it| verdict.contains(it));
        assert!(is_found.contains(&true), "{verdict}");
    }
    assert!(order.contains("entry"), "{order}");
    assert!(length.contains("not within the one around it"), "{length}");
    assert!(count.contains("was entered"), "{count}");
    assert!(lost.contains("entries in loss"), "{lost}");
}

#[test]
fn what_a_small_ring_keeps_of_long_lived_spans_and_their_entries_is_as_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load {
        long_lived: 1_000,
        rate: Rate::Max,
        ring: Some(64),
        length: Duration::from_millis(100),
        baseline: None,
        database: folder.path().join("small.db"),
        ..Load::default()
    };
    let outcome = load.prepare().unwrap().run(&mut |_| ()).unwrap();
    assert!(outcome.verified(), "{:?}", outcome.faults());
    assert!(outcome.made.entries() > 0);
}

#[test]
fn each_way_to_spoil_the_events_is_found() {
    let [gone, changed, twice, astray] = verdicts(
        3,
        [
            "DELETE FROM event WHERE id = (SELECT max(id) FROM event)",
            "UPDATE event SET message = 'undone'",
            "UPDATE event SET fields = (SELECT fields FROM event ORDER BY id DESC LIMIT 1)
             WHERE id = (SELECT min(id) FROM event)",
            "UPDATE event SET span_id = NULL",
        ],
    );
    assert!(gone.contains("rows in event"), "{gone}");
    assert!(changed.contains("is not as it was sent"), "{changed}");
    assert!(twice.contains("is stored twice"), "{twice}");
    assert!(astray.contains("is not in its span"), "{astray}");
}
