//! The profiles of the book: `shop.db`, which its pages make, and `live.db`, which is the same while a
//! program records into it.

use std::path::Path;
use std::process::Command;

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};

/// The example that makes profiles, named by this variable.
const GENERATE: &str = "SPANDREL_TEST_GENERATE";

/// As the pages write it.
const OPTIONS: &str = "--spans 20000 --rate 1000 --names 8 --database shop.db";

/// Makes `shop.db` in the folder; says aloud if it cannot.
pub fn make(folder: &Path) -> bool {
    let Some(generate) = std::env::var_os(GENERATE) else {
        eprintln!(
            "SKIPPED: no profile; scripts/exports.sh builds what makes it, and sets {GENERATE}"
        );
        return false;
    };
    let output =
        Command::new(generate).args(OPTIONS.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// A program that goes on to record into a copy of `shop.db`.
#[derive(Debug)]
pub struct Live {
    store: Store,
    next_id: u64,
}

/// Ids of `shop.db` are below.
const FIRST_ID: u64 = 1_000_000;

impl Live {
    /// Begins a run in `live.db`.
    pub fn begin(folder: &Path, options: &StoreOptions) -> Self {
        let path = folder.join("live.db");
        std::fs::copy(folder.join("shop.db"), &path).unwrap();
        let mut store = Store::open(&path, options).unwrap();
        store
            .begin_run(&RunInfo {
                uuid: "f".repeat(32),
                started_unix_ns: 1_760_100_000_123_456_789,
                pid: 4002,
                program: "/usr/local/bin/shop".into(),
                args: "[]".into(),
                host: "example".into(),
                os: "linux x86_64".into(),
                cpus: 2,
                clock: "tsc".into(),
                settings: "{}".into(),
                ..RunInfo::default()
            })
            .unwrap();
        Self { store, next_id: FIRST_ID }
    }

    /// Commits so many requests; an error is that of the store, and the batch is lost.
    pub fn commit(&mut self, spans: u64) -> Result<(), spandrel_storage::Error> {
        let callsite_id = self.store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: "http.request".into(),
            target: "shop::http".into(),
            level: "INFO",
            module: None,
            file: None,
            line: None,
        });
        let thread_id = self.store.intern_thread(1, 1, Some("worker-1"));
        let mut batch = Batch::default();
        for at in 0..spans {
            let id = self.next_id + at;
            batch.spans.push(SpanRow {
                id,
                parent_id: 0,
                root_id: id,
                callsite_id,
                thread_id,
                start_ns: (id - FIRST_ID) as i64 * 1_000_000,
                duration_ns: Some(3_000_000 + at as i64),
                busy_ns: Some(1_000_000),
                self_ns: Some(3_000_000 + at as i64),
                entries: 1,
                status: Status::Ok,
                fields: 0..0,
                ..SpanRow::default()
            });
        }
        self.store.append(&mut batch)?;
        self.next_id += spans;
        Ok(())
    }
}
