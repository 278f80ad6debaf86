//! Small profiles for the tests of the analyses.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::ProptestConfig;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::reader::Reader;
use crate::workers::ReadAhead;
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EntryRow, OpenSpanRow, RunInfo, SpanRow, Status,
};
use spandrel_storage::{Store, StoreOptions};

/// A profile that is being made; its run has the number 1.
pub(crate) struct TestProfile {
    folder: TempDir,
    store: Store,
    batch: Batch,
}

impl TestProfile {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path().join("p.db"), &StoreOptions::default()).unwrap();
        store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
        Self { folder, store, batch: Batch::default() }
    }

    /// A callsite of this name, target and line.
    pub(crate) fn callsite(&mut self, name: &str, target: &str, line: u32) -> i64 {
        self.store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: target.into(),
            level: "INFO",
            module: None,
            file: Some("made.rs".into()),
            line: Some(line),
        })
    }

    pub(crate) fn thread(&mut self, number: u32, name: Option<&str>) -> i64 {
        self.store.intern_thread(number, number.into(), name)
    }

    /// A closed root on thread 1, to be changed with `..`.
    pub(crate) fn span(id: u64, callsite_id: i64, start_ns: i64, duration_ns: i64) -> SpanRow {
        SpanRow {
            id,
            parent_id: 0,
            root_id: id,
            callsite_id,
            thread_id: 1,
            start_ns,
            duration_ns: Some(duration_ns),
            busy_ns: Some(duration_ns),
            self_ns: Some(duration_ns),
            entries: 1,
            status: Status::Ok,
            fields: 0..0,
            ..SpanRow::default()
        }
    }

    pub(crate) fn add(&mut self, span: SpanRow, fields: &str) {
        let from = self.batch.text.len();
        self.batch.text.push_str(fields);
        self.batch.spans.push(SpanRow { fields: from..self.batch.text.len(), ..span });
    }

    /// A span that is still open when the writer looks.
    pub(crate) fn open(&mut self, span: SpanRow, seen_ns: i64) {
        let status = Status::Unfinished;
        let span = SpanRow { duration_ns: None, self_ns: None, status, ..span };
        self.batch.open_spans.get_or_insert_default().push(OpenSpanRow { span, seen_ns });
    }

    /// An entry of a span.
    pub(crate) fn entry(&mut self, entry: EntryRow) {
        self.batch.entries.push(entry);
    }

    /// Stores what was added, in a commit of its own.
    pub(crate) fn commit(&mut self) {
        self.store.append(&mut std::mem::take(&mut self.batch)).unwrap();
    }

    /// Ends the run, so that the file is one that nobody records into.
    pub(crate) fn ended(&mut self) -> PathBuf {
        self.store.end_run(1_800_000_000_000_000_000, "{}").unwrap();
        let again = Store::open(self.folder.path().join("other.db"), &StoreOptions::default());
        std::mem::replace(&mut self.store, again.unwrap()).close().unwrap();
        self.path()
    }

    /// Ends the run and makes the indexes.
    pub(crate) fn optimized(&mut self) -> Reader {
        let path = self.ended();
        crate::optimize(&path, |_| ()).unwrap();
        Reader::open(path).unwrap()
    }

    /// Stores what was added.
    pub(crate) fn reader(&mut self) -> Reader {
        self.commit();
        Reader::open(self.path()).unwrap()
    }

    /// Stores these spans, which have no fields.
    pub(crate) fn reader_of(&mut self, spans: Vec<SpanRow>) -> Reader {
        self.batch.spans = spans;
        self.reader()
    }

    /// Ends the run, and reads a copy of it with small pages by several threads, so that few rows fill many pages.
    pub(crate) fn in_small_pages(&mut self, threads: usize) -> Reader {
        let (path, copy) = (self.ended(), self.folder.path().join("small.db"));
        let conn = Connection::open(path).unwrap();
        conn.pragma_update(None, "page_size", 512).unwrap();
        conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        let mut reader = Reader::open(copy).unwrap();
        reader.read_ahead_by(Self::by_threads(threads));
        reader
    }

    /// This many threads beside the calling one, which take turns as often as possible.
    pub(crate) fn by_threads(threads: usize) -> ReadAhead {
        ReadAhead { threads, folding: threads, leaves: 1, leaves_of_stacks: 2, rows: 3 }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("p.db")
    }
}

/// Counts the steps that SQLite takes for a reader.
pub(crate) fn count_steps(reader: &mut Reader) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    let count = move || {
        counter.fetch_add(100, Ordering::Relaxed);
        false
    };
    let _ = reader.connection_mut().progress_handler(100, Some(count));
    steps
}

/// So many cases of a test with random values, or fewer where `PROPTEST_CASES` asks for fewer.
pub(crate) fn cases(most: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.min(most), ..usual }
}
