//! A file of an older version is read as it is, and brought up when it is recorded into.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{SCHEMA_VERSION, StoreOptions};

use crate::common;

const VERSION_2: &str = include_str!("schemas/version_2.sql");
const VERSION_3: &str = include_str!("schemas/version_3.sql");

/// What was recorded with it.
const RUN: &str =
    "INSERT INTO run (id, uuid, started_unix_ns, pid, program, args, host, os, cpus, clock, settings,
       first_id, last_id, last_ns, spans, unfinished, events, links, dropped_spans, dropped_events,
       pruned_spans, pruned_events)
     VALUES (1, 'u', 5, 1, 'p', '[]', 'h', 'o', 2, 'tsc', '{}', 10, 510, 9, 2, 0, 1, 0, 0, 0, 0, 0);
     INSERT INTO callsite (id, kind, name, target, level) VALUES (1, 'span', 'a', 't', 'INFO');
     INSERT INTO thread (id, run_id, os_id) VALUES (1, 1, 7);";

/// A file without rows, as an older version made it.
fn made_by(version: i32, definitions: &str, path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(definitions).unwrap();
    conn.pragma_update(None, "user_version", version).unwrap();
    conn.pragma_update(None, "application_id", spandrel_storage::APPLICATION_ID).unwrap();
    conn
}

/// What a file defines, without comments and by name; they must not differ in anything else.
fn definitions(path: &Path) -> BTreeMap<String, String> {
    let conn = Connection::open(path).unwrap();
    let mut query = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE sql > ''").unwrap();
    let found = query.query_map([], |row| {
        let sql: String = row.get(1)?;
        let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
        Ok((row.get(0)?, words.concat()))
    });
    found.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The tables whose busy time must not be NULL, as version 1 had it.
fn busy_time_required(conn: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
               WHERE t.type = 'table' AND c.name = 'busy_ns' AND c.\"notnull\"";
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_version_1_loses_its_index_when_it_is_recorded_into() {
    let (_folder, path) = common::place();
    let version_1 = VERSION_2.replace("busy_ns INTEGER, ", "busy_ns INTEGER NOT NULL, ");
    let conn = made_by(1, &version_1, &path);
    conn.execute_batch(&format!(
        "CREATE INDEX span_root ON span (run_id, start_ns) WHERE parent_id IS NULL;
         {RUN}
         WITH RECURSIVE n (id) AS (VALUES (10) UNION ALL SELECT id + 1 FROM n WHERE id < 509)
         INSERT INTO span SELECT id, 1, NULL, id, 1, 1, 0, 9, 9, 9, 1, 'ok', NULL FROM n",
    ))
    .unwrap();
    assert_eq!(busy_time_required(&conn), 3);
    drop(conn);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 500, "read as it is");
    let mut again = common::store(&path, &StoreOptions::default());
    let mut batch = common::batch(&mut again, 500);
    batch.spans.iter_mut().for_each(|span| span.busy_ns = None);
    again.append(&mut batch).unwrap();
    again.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'span_root'";
    assert_eq!(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(busy_time_required(&conn), 0);
    common::assert_sound(&conn);
    let roots = "SELECT count(*) FROM roots";
    assert_eq!(conn.query_row(roots, [], |row| row.get::<_, i64>(0)).unwrap(), 1_000);
}

#[test]
fn tables_of_version_1_are_ours_before_and_after_they_are_brought_up() {
    let (_folder, path) = common::place();
    let version_1 = VERSION_2.replace("busy_ns INTEGER, ", "busy_ns INTEGER NOT NULL, ");
    let conn = made_by(1, &version_1, &path);
    conn.execute_batch("CREATE INDEX span_root ON span (run_id, start_ns) WHERE parent_id IS NULL")
        .unwrap();
    let required =
        "SELECT count(*) FROM pragma_table_info('span') WHERE name = 'busy_ns' AND [notnull]";
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(required), 1);
    Reader::open(&path).unwrap();
    for _ in 0..2 {
        let mut store = common::store(&path, &StoreOptions::default());
        common::record(&mut store, 500);
        store.close().unwrap();
        Reader::open(&path).unwrap();
    }
    assert_eq!(count(required), 0);
}

#[test]
fn a_file_of_version_2_is_read_as_it_is_and_becomes_what_a_new_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("p.db"), folder.path().join("new.db"));
    let conn = made_by(2, VERSION_2, &path);
    conn.execute_batch(&format!(
        "{RUN}
         INSERT INTO span VALUES (10, 1, NULL, 10, 1, 1, 0, 9, 9, 9, 1, 'ok', '{{}}');
         INSERT INTO span VALUES (11, 1, 10, 10, 1, 1, 2, 3, NULL, 3, 1, 'ok', NULL);
         INSERT INTO event (id, run_id, callsite_id, thread_id, at_ns) VALUES (10, 1, 1, 1, 4)",
    ))
    .unwrap();
    drop(conn);
    let counts = Reader::open(&path).unwrap().counts(1).unwrap();
    assert_eq!((counts.spans, counts.events), (2, 1), "read as it is");
    for file in [&path, &new] {
        let mut store = common::store(file, &StoreOptions::default());
        common::record(&mut store, 500);
        store.close().unwrap();
    }
    assert_eq!(definitions(&path), definitions(&new));
    let conn = Connection::open(&path).unwrap();
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("PRAGMA user_version"), i64::from(SCHEMA_VERSION));
    assert_eq!(count("SELECT count(*) FROM spans"), 502);
    assert_eq!(count("SELECT count(*) FROM spans WHERE typeof(duration_ms) = 'real'"), 502);
    assert_eq!(count("SELECT count(*) FROM span WHERE batch_id IS NULL"), 2);
    assert_eq!(count("SELECT count(*) FROM span WHERE batch_id = 1"), 500);
    assert_eq!(count("SELECT last_batch_id FROM run ORDER BY id LIMIT 1"), 0);
    common::assert_sound(&conn);
}

#[test]
fn a_file_of_version_3_is_read_as_it_is_and_becomes_what_a_new_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("p.db"), folder.path().join("new.db"));
    let conn = made_by(3, VERSION_3, &path);
    conn.execute_batch(&format!(
        "{RUN} INSERT INTO span (id, run_id, root_id, callsite_id, thread_id, start_ns, duration_ns,
           self_ns, entries, status) VALUES (10, 1, 10, 1, 1, 0, 9, 9, 1, 'ok')",
    ))
    .unwrap();
    drop(conn);
    assert_eq!(Reader::open(&path).unwrap().counts(1).unwrap().spans, 1, "read as it is");
    for file in [&path, &new] {
        let mut store = common::store(file, &StoreOptions::default());
        common::record(&mut store, 500);
        store.close().unwrap();
    }
    assert_eq!(definitions(&path), definitions(&new));
    let conn = Connection::open(&path).unwrap();
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("PRAGMA user_version"), i64::from(SCHEMA_VERSION));
    assert_eq!(count("SELECT count(*) FROM span"), 501);
    common::assert_sound(&conn);
}

/// Whoever follows sees what a recorder of version 2 stores, who says nothing of his commits.
#[test]
fn a_recording_of_version_2_is_followed_by_ids() {
    use spandrel_query::follow::Follow;

    let (_folder, path) = common::place();
    let conn = made_by(2, VERSION_2, &path);
    conn.execute_batch(RUN).unwrap();
    let insert = |ids: &[i64]| {
        for id in ids {
            let sql = "INSERT INTO span VALUES (?1, 1, NULL, ?1, 1, 1, 0, 9, 9, 9, 1, 'ok', NULL)";
            conn.execute(sql, [id]).unwrap();
        }
        let counted = "UPDATE run SET spans = (SELECT count(*) FROM span), last_id = 900";
        conn.execute(counted, []).unwrap();
    };
    insert(&[20, 30]);
    let reader = Reader::open(&path).unwrap();
    let mut new = Follow::new(&reader, 1, false).unwrap();
    let mut from_start = Follow::from_start(&reader, 1, true).unwrap();
    let ids = |follow: &mut Follow| -> Vec<u64> {
        follow.poll(&reader).unwrap().spans.iter().map(|span| span.id).collect()
    };
    assert_eq!((ids(&mut new), ids(&mut from_start)), (vec![], vec![20, 30]));
    insert(&[25, 40]);
    assert_eq!((ids(&mut new), ids(&mut from_start)), (vec![25, 40], vec![25, 40]));
    drop(reader);
    // The next recording into the file says its commits; this one is still followed by ids.
    common::store(&path, &StoreOptions::default()).close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let polled = Follow::from_start(&reader, 1, false).unwrap().poll(&reader).unwrap();
    assert_eq!(polled.spans.len(), 4);
}

#[test]
fn a_table_that_somebody_made_in_place_of_a_view_stays_and_other_views_become_ours() {
    let (_folder, path) = common::place();
    let conn = made_by(2, VERSION_2, &path);
    let theirs = "DROP VIEW top; CREATE TABLE top (a INTEGER); INSERT INTO top VALUES (7);
                  DROP VIEW losses; CREATE VIEW theirs AS SELECT id FROM spans";
    conn.execute_batch(theirs).unwrap();
    drop(conn);
    common::store(&path, &StoreOptions::default()).close().unwrap();
    let conn = Connection::open(&path).unwrap();
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT a FROM top"), 7);
    assert_eq!(count("SELECT count(*) FROM losses"), 0);
    assert_eq!(count("SELECT count(*) FROM theirs"), 0);
}
