//! Small profiles for the tests of commands.

use spandrel_query::Reader;
use spandrel_storage::{RunInfo, SpanRow, Status};
use tempfile::TempDir;

use crate::recording::{Recording, new_path};

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
    let (folder, path) = new_path();
    let mut run = Recording::begin(&path, &RunInfo { args: "[]".into(), ..RunInfo::default() });
    for (at, span) in spans.into_iter().enumerate() {
        let callsite_id = run.name_of(span.name, span.target);
        let fields = run.text(&span.fields);
        let parent = span.parent.map(|parent| run.batch.spans[parent].clone());
        let from_ns = parent.as_ref().map_or(at as i64 * 1_000_000, |parent| parent.start_ns);
        let row = run.span(at as u64 + 1, callsite_id, from_ns + span.after_ns, span.duration_ns);
        run.batch.spans.push(SpanRow {
            parent_id: parent.as_ref().map_or(0, |parent| parent.id),
            root_id: parent.as_ref().map_or(row.id, |parent| parent.root_id),
            busy_ns: span.busy_ns,
            self_ns: Some(span.self_ns),
            status: if span.is_error { Status::Error } else { Status::Ok },
            fields,
            ..row
        });
    }
    run.leave();
    let reader = Reader::open(path).unwrap();
    (folder, reader)
}
