//! Whoever finds what a dead process has left goes on with its run.

use rusqlite::Connection;
use spandrel_query::Reader;
use spandrel_storage::{Batch, RunInfo, SpanRow, Status, Store, StoreOptions};

use crate::common;

/// The `uuid` of [`common::run_info`].
const UUID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_run_goes_on_where_its_process_has_died() {
    let (_folder, path) = common::place();
    let mut dead = common::store(&path, &StoreOptions::default());
    common::record(&mut dead, 10);
    let threads = dead.thread_id(0);
    let thread = dead.thread_id(1);
    drop(dead); // without an end

    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert_eq!(store.resume_run("no such run", 0).unwrap(), None);
    assert_eq!(store.run_id(), None);
    let resumed = store.resume_run(UUID, threads).unwrap().unwrap();
    assert_eq!((resumed.run_id, resumed.spans, resumed.unfinished), (1, 10, 0));
    assert_eq!((resumed.first_id, &resumed.info), (1, &common::run_info()));
    assert_eq!(store.thread_id(1), thread, "a thread has the id that it had");
    assert_eq!(store.intern_thread(1, 1, Some("main")), thread, "its row may be there already");

    let site = store.intern_callsite(&common::callsite("work"));
    let closed = common::span(11, site, thread);
    let open = SpanRow {
        duration_ns: None,
        self_ns: None,
        status: Status::Crashed,
        ..common::span(12, site, thread)
    };
    store.append(&mut Batch { spans: vec![closed, open], ..Batch::default() }).unwrap();
    store.leave_run().unwrap();
    let next = store.begin_run(&common::run_info()).unwrap();
    assert_eq!((next, store.next_id()), (2, 13));
    assert!(store.thread_id(1) > thread, "threads of the next run are others");
    common::record(&mut store, 5);
    store.close().unwrap();

    let conn = Connection::open(&path).unwrap();
    assert_eq!(common::stored(&conn, 1), common::recomputed(&conn, 1), "rollups go on, too");
    let reader = Reader::open(&path).unwrap();
    let counts = reader.counts(1).unwrap();
    assert_eq!((counts.spans, counts.unfinished), (12, 1));
    let run = reader.runs().unwrap().into_iter().find(|run| run.id == 1).unwrap();
    assert_eq!((run.spans, run.unfinished, run.ended_unix_ns), (12, 1, None));
    for run in [1, 2] {
        assert!(reader.contradictions(run).unwrap().is_empty(), "run {run}");
    }
    common::assert_sound(&conn);
}

#[test]
fn a_run_that_has_ended_is_not_gone_on_with() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    store.end_run(1_700_000_001_000_000_000, "{}").unwrap();
    store.close().unwrap();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    assert_eq!(store.resume_run(UUID, 0).unwrap(), None);
}

#[test]
fn children_are_looked_for_among_so_many_spans_and_no_more() {
    let (_folder, path) = common::place();
    let mut dead = common::store(&path, &StoreOptions::default());
    let site = dead.intern_callsite(&common::callsite("work"));
    let thread = dead.intern_thread(1, 1, Some("main"));
    let child = |id| SpanRow { parent_id: 1, root_id: 1, ..common::span(id, site, thread) };
    let spans = (2..=10).map(child).collect();
    dead.append(&mut Batch { spans, ..Batch::default() }).unwrap();
    let threads = dead.thread_id(0);
    drop(dead); // without an end

    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.resume_run(UUID, threads).unwrap().unwrap();
    let parents = [1].into();
    let all = store.stored_children(&parents, &[1..=u64::MAX], 9).unwrap();
    assert_eq!((all.children.len(), all.complete_from), (9, 0));
    let some = store.stored_children(&parents, &[1..=u64::MAX], 3).unwrap();
    assert_eq!(some.children.len(), 3);
    assert!(some.complete_from > 10, "nobody knows whether they are all");
    assert!(store.stored_children(&[11].into(), &[1..=u64::MAX], 3).unwrap().children.is_empty());
}

#[test]
fn children_in_earlier_pieces_of_ids_are_found_past_any_number_of_spans_of_others() {
    let (_folder, path) = common::place();
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    // A run with two pieces of ids, and those of another one between them.
    let between = 3 << 20;
    let own = [1..=100, between + 1..=u64::MAX];
    store.begin_run_at(&common::run_info(), 1, 0).unwrap();
    let site = store.intern_callsite(&common::callsite("work"));
    let thread = store.intern_thread(1, 1, Some("main"));
    let parent_id = between + 2;
    let child = |id| SpanRow { parent_id, root_id: parent_id, ..common::span(id, site, thread) };
    // A thread has taken ids for the children before the parent had its own.
    let spans = vec![child(98), child(99), child(between + 3)];
    store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
    let first = store.set_run_aside().unwrap();
    let info = RunInfo { uuid: "f".repeat(32), ..common::run_info() };
    store.begin_run_at(&info, 101, 1_000).unwrap();
    let thread = store.intern_thread(1, 1, Some("main"));
    let others = (101..=between).step_by(100_000).chain(between - 50..=between);
    let spans = others.map(|id| common::span(id, site, thread)).collect();
    store.append(&mut Batch { spans, ..Batch::default() }).unwrap();
    store.set_run_aside().unwrap();
    store.take_run_up(first);
    let found = store.stored_children(&[parent_id].into(), &own, 3).unwrap();
    assert_eq!((found.children.len(), found.complete_from), (3, 0));
    let found = store.stored_children(&[parent_id].into(), &own, 2).unwrap();
    assert_eq!(found.children.len(), 2);
    // Children of parents that begin at most so many ids later may be missing.
    assert_eq!(found.complete_from, between + (1 << 20) - 1);
}

#[test]
fn ids_of_threads_and_spans_begin_where_no_row_of_the_run_is_against_it() {
    let (_folder, path) = common::place();
    let mut dead = common::store(&path, &StoreOptions::default());
    common::record(&mut dead, 10);
    let above = dead.thread_id(0);
    drop(dead);
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    let can =
        |store: &Store, uuid: &str, above| store.threads_can_begin_above(uuid, above).unwrap();
    assert!(can(&store, UUID, above) && can(&store, UUID, 0));
    assert!(!can(&store, UUID, above + 1) && !can(&store, UUID, i64::MAX));
    assert!(!can(&store, UUID, -1) && !can(&store, UUID, i64::MIN));
    assert!(can(&store, "no such run", 7) && !can(&store, "no such run", -7));

    store.leave_ids_below(1_000);
    store.leave_ids_below(500);
    store.begin_run(&common::run_info()).unwrap();
    assert_eq!(store.next_id(), 1_000);
    store.close().unwrap();
    let first: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT first_id FROM run WHERE id = 2", [], |row| row.get(0))
        .unwrap();
    assert_eq!(first, 1_000);
}

#[test]
fn where_the_last_id_of_all_is_taken_a_batch_is_refused() {
    let (_folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    common::record(&mut store, 1);
    store.close().unwrap();
    let sql = "INSERT INTO thread (id, run_id, os_id) VALUES (9223372036854775807, 1, 1)";
    Connection::open(&path).unwrap().execute(sql, []).unwrap();
    let mut store = common::store(&path, &StoreOptions::default());
    let site = store.intern_callsite(&common::callsite("work"));
    let thread = store.intern_thread(1, 1, Some("main"));
    let mut batch =
        Batch { spans: vec![common::span(store.next_id(), site, thread)], ..Batch::default() };
    store.append(&mut batch).unwrap_err();
    store.mend(&mut batch, &mut |above| Some(above + 1)).unwrap_err();
}
