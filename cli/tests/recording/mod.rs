//! Profiles as a recorder writes them, without one: for tests of the command, and those in it.

#![allow(dead_code)] // Each test file is a crate of its own and uses a part.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use spandrel_storage::{Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Store, StoreOptions};
use tempfile::TempDir;

/// A file for a profile, and the folder that it is in and goes away with.
pub fn new_path() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.db");
    (folder, path)
}

pub fn callsite(store: &mut Store, name: &str, kind: CallsiteKind) -> i64 {
    store.intern_callsite(&CallsiteInfo {
        kind,
        name: name.into(),
        target: "shop".into(),
        level: "INFO",
        module: Some("shop".into()),
        file: Some("src/main.rs".into()),
        line: Some(7),
    })
}

/// A closed root in which the thread was all the time.
pub fn span(id: u64, callsite_id: i64, thread_id: i64, start_ns: i64, duration_ns: i64) -> SpanRow {
    SpanRow {
        id,
        root_id: id,
        callsite_id,
        thread_id,
        start_ns,
        duration_ns: Some(duration_ns),
        busy_ns: Some(duration_ns),
        self_ns: Some(duration_ns),
        entries: 1,
        ..SpanRow::default()
    }
}

/// The document in a page of `spandrel report`.
pub fn document(page: &str) -> serde_json::Value {
    let from = page.find("<script type=\"application/json\"").unwrap();
    let text = &page[from..];
    let text = &text[text.find('>').unwrap() + 1..text.find("</script>").unwrap()];
    serde_json::from_str(text).unwrap()
}

/// A run that is being written, by what a recorder writes with.
pub struct Recording {
    pub store: Store,
    pub batch: Batch,
    pub thread_id: i64,
    started_unix_ns: i64,
}

impl Recording {
    /// On a thread named `main`.
    pub fn begin(path: &Path, info: &RunInfo) -> Self {
        let mut store = Store::open(path, &StoreOptions::default()).unwrap();
        store.begin_run(info).unwrap();
        let thread_id = store.intern_thread(1, 1, Some("main"));
        let started_unix_ns = info.started_unix_ns;
        Self { store, batch: Batch::default(), thread_id, started_unix_ns }
    }

    pub fn name(&mut self, name: &str) -> i64 {
        callsite(&mut self.store, name, CallsiteKind::Span)
    }

    /// A name of a target, whose place is not known.
    pub fn name_of(&mut self, name: &str, target: &str) -> i64 {
        self.store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: target.into(),
            level: "INFO",
            module: None,
            file: None,
            line: None,
        })
    }

    /// A closed root in which its thread was all the time.
    pub fn span(&self, id: u64, callsite_id: i64, start_ns: i64, duration_ns: i64) -> SpanRow {
        span(id, callsite_id, self.thread_id, start_ns, duration_ns)
    }

    pub fn text(&mut self, text: &str) -> std::ops::Range<usize> {
        push(&mut self.batch.text, text)
    }

    /// All in one commit, without an end.
    pub fn leave(mut self) {
        self.store.append(&mut self.batch).unwrap();
        self.store.close().unwrap();
    }

    /// The same; the run ends so long after its start.
    pub fn end(mut self, length_ns: i64) {
        self.store.append(&mut self.batch).unwrap();
        self.store.end_run(self.started_unix_ns + length_ns, "{}").unwrap();
        self.store.close().unwrap();
    }
}

/// Where the text stands in the batch.
pub fn push(all: &mut String, text: &str) -> std::ops::Range<usize> {
    let start = all.len();
    all.push_str(text);
    start..all.len()
}
