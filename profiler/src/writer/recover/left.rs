//! Rings as the recorder leaves them, for tests and for fuzzing.

#![allow(clippy::unwrap_used)] // a test fails by panicking, also in its helpers

use std::path::Path;
use std::sync::Arc;

use spandrel_ring::Consumer;
use spandrel_ring::file::Reader;
use spandrel_storage::{RunInfo, Store, StoreOptions};
use tempfile::TempDir;
use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_core::LevelFilter;

use super::scan::{self, Scan};
use super::*;
use crate::ProfilerSubscriber;
use crate::recorder::entry_rules::EntryRules;
use crate::recorder::record::Slot;
use crate::recorder::ring_file::own::{Drainer, FilePlan, run_bytes};
use crate::recorder::rule::Rule;
use crate::recorder::{Recorder, RecorderOptions};

pub(super) const UUID: &str = "00112233445566778899aabbccddeeff";
pub(super) const LONG: usize = 500;

/// A ring in whose process nobody drains, as bytes.
pub(in crate::writer) struct Left {
    pub(in crate::writer) bytes: Vec<u8>,
}

impl Left {
    /// Records so many requests, and leaves some open.
    pub(in crate::writer) fn by(requests: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&folder.path().join("p.db"), 1, requests)
    }

    /// The same for this profile, with ids from there on.
    pub(in crate::writer) fn of(database: &Path, first_id: u64, requests: u64) -> Self {
        Self::recorded(database, first_id, |_, _, read| {
            for n in 0..requests {
                let request = info_span!("request", n, user = "ann");
                request.in_scope(|| {
                    info_span!("query", n, pin = 1_234).in_scope(|| info!(n, "row"));
                    drop(info_span!("never entered"));
                });
                // Again: a wide record.
                request.in_scope(|| ());
                let later = info_span!("later");
                later.follows_from(&request);
            }
            let _open = info_span!("open", n = requests, text = "x".repeat(LONG)).entered();
            let _inner = info_span!("inner").entered();
            read()
        })
    }

    /// What `record` records, and reads.
    pub(super) fn recorded(
        database: &Path,
        first_id: u64,
        record: impl FnOnce(&Arc<Recorder>, &mut Consumer<Slot>, &dyn Fn() -> Vec<u8>) -> Vec<u8>,
    ) -> Self {
        let options = RecorderOptions {
            ring_capacity: 4_096,
            partitions: 2,
            open_spans_max: 128,
            field_bytes_max: 4_096,
            rule: Rule::new(LevelFilter::TRACE, LevelFilter::TRACE),
            busy_time: true,
            status_rules: true,
            entries: EntryRules::default(),
            first_id,
        };
        let plan = FilePlan {
            drainer: Drainer::Profile(database.to_owned()),
            run: UUID.into(),
            redacted: vec!["pin".into()],
            has_signal_handler: true,
        };
        let (recorder, mut consumer) = Recorder::try_new_in_file(&options, &plan).unwrap();
        let own = recorder.file.as_ref().unwrap();
        own.begin(0);
        let dispatch = Dispatch::new(ProfilerSubscriber::new(Some(&recorder)));
        let bytes = dispatcher::with_default(&dispatch, || {
            record(&recorder, &mut consumer, &|| std::fs::read(own.path()).unwrap())
        });
        own.remove().unwrap();
        Self { bytes }
    }

    pub(super) fn scan(&self) -> Result<Scan, String> {
        let mut reader = Reader::new(self.bytes.as_slice()).map_err(|error| error.to_string())?;
        let said = |refused: Refused| refused.about(Path::new("ring")).to_string();
        let names = scan::names(&mut reader, true).map_err(said)?;
        Scan::of(&mut reader, names, |_| 0, None).map_err(said)
    }
}

/// A profile with the run.
pub(super) fn profile() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path().join("p.db"), &StoreOptions::default()).unwrap();
    let run = RunInfo {
        uuid: UUID.into(),
        args: "[]".into(),
        settings: "{}".into(),
        ..RunInfo::default()
    };
    store.begin_run(&run).unwrap();
    store.leave_run().unwrap();
    (folder, store)
}

pub(super) fn recovered(scan: Scan) -> (TempDir, Result<Recovery, Error>) {
    let (folder, mut store) = profile();
    let path = Path::new("ring");
    let done =
        Recover::begin(&mut store, path, (run_bytes(UUID), UUID), scan, Some(0), End::Crashed);
    let done = done.and_then(Recover::run);
    store.close().unwrap();
    (folder, done)
}

/// Words that a file of ours has, each of some kind.
pub(in crate::writer) fn places(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let words = |from: usize, len: usize| from / 8..(from + len) / 8;
    // Each section is as likely as the others: that of the names is large, and mostly empty.
    let word = |at: usize| {
        let at = at * 8;
        u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    let (first, names, counters) = (word(36), word(37), word(39));
    let tables = (0..word(42)).map(|table| {
        let (from, cell, cells) =
            (word(43 + 3 * table), word(44 + 3 * table), word(45 + 3 * table));
        words(from, cell * cells.min(256))
    });
    let mut all =
        vec![words(first, names - first), words(names, 4_096), words(counters, 8 * word(40))];
    all.extend(tables.filter(|range| !range.is_empty()));
    all
}
