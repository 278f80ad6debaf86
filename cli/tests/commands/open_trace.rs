//! `spandrel tree` of a recording in which nothing has closed yet.

use std::path::Path;

use spandrel_storage::{OpenSpanRow, RunInfo, SpanRow, Status, Store};

use super::fixture::{Recording, bare, new_path, run};

const MS: i64 = 1_000_000;

/// A connection, a request in it, and an older span of another trace.
fn recording(path: &Path) -> Store {
    let mut run = Recording::begin(path, &RunInfo { args: "[]".into(), ..RunInfo::default() });
    for (id, name, parent_id, start_ms) in
        [(1, "idle", 0, 50), (2, "conn", 0, 10), (3, "request", 2, 30)]
    {
        let callsite_id = run.name_of(name, "shop");
        let span = SpanRow {
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            duration_ns: None,
            busy_ns: Some(30 * MS),
            self_ns: None,
            entries: 3,
            first_entry_ns: Some(0),
            longest_entry_ns: Some(20 * MS),
            last_exit_ns: Some(31 * MS),
            status: Status::Unfinished,
            ..run.span(id, callsite_id, start_ms * MS, 0)
        };
        run.batch.open_spans.get_or_insert_default().push(OpenSpanRow { span, seen_ns: 900 * MS });
    }
    run.store.append(&mut run.batch).unwrap();
    run.store
}

#[test]
fn the_trace_that_has_been_open_for_longest_is_shown_where_nothing_has_closed() {
    let (_folder, path) = new_path();
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
