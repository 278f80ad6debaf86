//! `spandrel tree` of a recording in which nothing has closed yet.

use std::path::Path;

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, OpenSpanRow, RunInfo, SpanRow, Status, Store, StoreOptions,
};

use super::fixture::{bare, run};

const MS: i64 = 1_000_000;

/// A connection, a request in it, and an older span of another trace.
fn recording(path: &Path) -> Store {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    store.intern_thread(1, 1, Some("main"));
    let thread_id = store.thread_id(1);
    let mut batch = Batch::default();
    for (id, name, parent_id, start_ms) in
        [(1, "idle", 0, 50), (2, "conn", 0, 10), (3, "request", 2, 30)]
    {
        let callsite_id = store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: "shop".into(),
            level: "INFO",
            module: None,
            file: None,
            line: None,
        });
        let span = SpanRow {
            id,
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            callsite_id,
            thread_id,
            start_ns: start_ms * MS,
            duration_ns: None,
            busy_ns: Some(30 * MS),
            entries: 3,
            first_entry_ns: Some(0),
            longest_entry_ns: Some(20 * MS),
            last_exit_ns: Some(31 * MS),
            status: Status::Unfinished,
            ..SpanRow::default()
        };
        batch.open_spans.get_or_insert_default().push(OpenSpanRow { span, seen_ns: 900 * MS });
    }
    store.append(&mut batch).unwrap();
    store
}

#[test]
fn the_trace_that_has_been_open_for_longest_is_shown_where_nothing_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let _goes_on = recording(&path);
    let tree = |words: &[&str]| {
        let (out, err, code) = run(bare(&["tree", "--db"]).arg(&path).args(words));
        assert_eq!(code, 0, "{words:?}: {err}");
        out
    };
    let page = tree(&[]);
    assert!(page.contains("conn") && page.contains("request"), "{page}");
    assert!(!page.contains("idle") && !page.contains("no span matches"), "{page}");
    // As `stalls` says.
    let (stalls, err, _) = run(bare(&["stalls", "--db"]).arg(&path));
    let id = stalls.split("`spandrel tree ").nth(1).expect(&err).split('`').next().unwrap();
    assert!(tree(&[id]).contains("unfinished"), "{stalls}");
    // Of a window and a filter.
    assert!(tree(&["--since", "+40ms"]).contains("idle"));
    assert!(tree(&["-w", "name=request"]).contains("conn"));
    assert!(tree(&["-w", "name=other"]).contains("no span matches"));
}
