//! Small profiles for the tests of commands.

use std::collections::HashMap;

use spandrel_query::Reader;
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};
use tempfile::TempDir;

/// A span of a profile to make.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    /// The index of its parent; the children begin when it does ...
    pub(crate) parent: Option<usize>,
    /// ... or so much later.
    pub(crate) after_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) busy_ns: Option<i64>,
    pub(crate) self_ns: i64,
    pub(crate) is_error: bool,
    pub(crate) fields: String,
}

impl Span {
    /// A root that was busy all the time.
    pub(crate) fn new(name: &'static str, duration_ns: i64) -> Self {
        Self {
            name,
            target: "shop",
            parent: None,
            after_ns: 0,
            duration_ns,
            busy_ns: Some(duration_ns),
            self_ns: duration_ns,
            is_error: false,
            fields: String::new(),
        }
    }
}

/// A profile with one run; roots begin a millisecond after each other.
pub(crate) fn profile(spans: impl IntoIterator<Item = Span>) -> (TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    let thread_id = store.intern_thread(1, 1, Some("main"));
    let mut sites = HashMap::new();
    let mut batch = Batch::default();
    for (at, span) in spans.into_iter().enumerate() {
        let callsite_id = *sites.entry((span.target, span.name)).or_insert_with(|| {
            store.intern_callsite(&CallsiteInfo {
                kind: CallsiteKind::Span,
                name: span.name.into(),
                target: span.target.into(),
                level: "INFO",
                module: None,
                file: None,
                line: None,
            })
        });
        let from = batch.text.len();
        batch.text.push_str(&span.fields);
        let id = at as u64 + 1;
        let parent = span.parent.map(|parent| batch.spans[parent].clone());
        batch.spans.push(SpanRow {
            id,
            parent_id: parent.as_ref().map_or(0, |parent| parent.id),
            root_id: parent.as_ref().map_or(id, |parent| parent.root_id),
            callsite_id,
            thread_id,
            start_ns: parent.map_or(at as i64 * 1_000_000, |parent| parent.start_ns)
                + span.after_ns,
            duration_ns: Some(span.duration_ns),
            busy_ns: span.busy_ns,
            self_ns: Some(span.self_ns),
            entries: 1,
            status: if span.is_error { Status::Error } else { Status::Ok },
            fields: from..batch.text.len(),
            ..SpanRow::default()
        });
    }
    store.append(&mut batch).unwrap();
    store.close().unwrap();
    let reader = Reader::open(path).unwrap();
    (folder, reader)
}
