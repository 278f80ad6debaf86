//! Batches of span rows and the store that takes them.

use std::path::Path;

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};

const CALLSITES: u64 = 8;
const SPANS_PER_TREE: u64 = 10;
const NANOSECONDS_APART: u64 = 1_000;

/// How the spans come about.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// With three fields, as [`Case::ThreeFields`](crate::Case::ThreeFields) makes them: 37 bytes
    /// of JSON and the digits of the first one.
    pub fields: bool,
    /// Threads that make spans in turns, each with a block of ids of its own.
    pub streams: u64,
    /// Ids in a block.
    pub block: u64,
    /// Traces that are open at once, and close in turns, each after 100 spans within it.
    pub long_traces: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { fields: false, streams: 1, block: 64, long_traces: 0 }
    }
}

/// A run in a file of its own, and a batch to fill for it.
///
/// Every tenth span is a root, the next nine are its children, unless traces are long.
#[derive(Debug)]
pub struct Recording {
    /// The store, with a run.
    pub store: Store,
    /// The batch that [`fill`](Self::fill) fills.
    pub batch: Batch,
    shape: Shape,
    callsites: Vec<i64>,
    thread: i64,
    next_block: u64,
    /// What each stream has left of its block.
    blocks: Vec<std::ops::Range<u64>>,
    roots: Vec<u64>,
    made: u64,
}

impl Recording {
    /// Begins a recording at `path`.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened.
    pub fn start(
        path: &Path,
        options: &StoreOptions,
        shape: Shape,
    ) -> Result<Self, spandrel_storage::Error> {
        let mut store = Store::open(path, options)?;
        store.begin_run(&run())?;
        let callsites = (0..CALLSITES).map(|n| store.intern_callsite(&callsite(n))).collect();
        let thread = store.intern_thread(1, 1, Some("main"));
        let next_block = store.next_id();
        let mut recording = Self {
            store,
            batch: Batch::default(),
            shape,
            callsites,
            thread,
            next_block,
            blocks: vec![0..0; shape.streams.max(1) as usize],
            roots: Vec::new(),
            made: 0,
        };
        recording.roots = (0..shape.long_traces).map(|_| recording.take_id()).collect();
        Ok(recording)
    }

    /// Replaces the batch by one of so many new rows.
    pub fn fill(&mut self, rows: u64) {
        self.batch.clear();
        for _ in 0..rows {
            self.made += 1;
            if self.shape.long_traces == 0 {
                let id = self.take_id();
                let root = id - id % SPANS_PER_TREE;
                self.add(id, root, id);
                continue;
            }
            // Each trace in turn gets a child; one of them is at its hundredth.
            let trace = (self.made % self.shape.long_traces) as usize;
            let root = self.roots[trace];
            let turn = self.made / self.shape.long_traces + trace as u64;
            if turn.is_multiple_of(100) {
                self.add(root, root, root);
                self.roots[trace] = self.take_id();
            } else {
                let id = self.take_id();
                self.add(id, root, id);
            }
        }
    }

    fn take_id(&mut self) -> u64 {
        let stream = (self.made % self.shape.streams.max(1)) as usize;
        if let Some(id) = self.blocks[stream].next() {
            return id;
        }
        let first = self.next_block;
        self.next_block += self.shape.block;
        self.blocks[stream] = first + 1..self.next_block;
        first
    }

    fn add(&mut self, id: u64, root: u64, at: u64) {
        let text = self.batch.text.len();
        if self.shape.fields {
            let json = format!(r#"{{"id":{id},"ratio":0.5,"kind":"checkout"}}"#);
            self.batch.text.push_str(&json);
        }
        let duration = 500 + (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as i64;
        self.batch.spans.push(SpanRow {
            id,
            parent_id: if root == id { 0 } else { root },
            root_id: root,
            callsite_id: self.callsites[(id % CALLSITES) as usize],
            thread_id: self.thread,
            start_ns: (at * NANOSECONDS_APART) as i64,
            duration_ns: Some(duration),
            busy_ns: Some(duration),
            self_ns: Some(duration),
            entries: 1,
            status: Status::Ok,
            fields: text..self.batch.text.len(),
            ..SpanRow::default()
        });
    }
}

fn run() -> RunInfo {
    RunInfo {
        uuid: "0".repeat(32),
        args: "[]".into(),
        settings: "{}".into(),
        clock: "monotonic".into(),
        cpus: 1,
        ..RunInfo::default()
    }
}

fn callsite(n: u64) -> CallsiteInfo {
    CallsiteInfo {
        kind: CallsiteKind::Span,
        name: format!("work {n}"),
        target: "store".into(),
        level: "INFO",
        module: None,
        file: None,
        line: None,
    }
}
