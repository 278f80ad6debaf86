//! A damaged file is refused or read, never with a panic, and never overwritten at `open`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use spandrel_query::Reader;
use spandrel_storage::{ErrorKind, Store, StoreOptions};

use crate::common;

fn read_all(path: &Path) -> Result<(), spandrel_storage::Error> {
    let reader = Reader::open(path)?;
    for run in reader.runs()? {
        reader.spans(run.id, drop)?;
        reader.events(run.id, drop)?;
        reader.links(run.id)?;
        reader.top(run.id, 10)?;
        reader.slow(run.id, Some("work"), 10)?;
        reader.losses(run.id)?;
        reader.writer_stats(run.id)?;
        reader.open_spans(run.id)?;
        reader.counts(run.id)?;
    }
    Ok(())
}

/// The ways in which damage may show.
fn is_honest(kind: ErrorKind) -> bool {
    use ErrorKind::{Corrupt, ForeignDatabase, Full, NewerSchema, NotADatabase, Sqlite};
    use ErrorKind::{ForeignSchema, InvalidBatch, Io, PermissionDenied, TooLong};
    matches!(
        kind,
        Corrupt
            | NotADatabase
            | ForeignDatabase
            | NewerSchema
            | Sqlite
            | Full
            | Io
            | PermissionDenied
            | InvalidBatch
            | ForeignSchema
            | TooLong
    )
}

fn survives(path: &Path, what: &str) -> bool {
    let reading = catch_unwind(|| read_all(path)).unwrap_or_else(|_| panic!("{what}: panicked"));
    if let Err(error) = &reading {
        assert!(is_honest(error.kind()), "{what}: {error:?}");
    }
    let before = fs::read(path).unwrap();
    let recording = catch_unwind(AssertUnwindSafe(|| {
        let mut store = match Store::open(path, &StoreOptions::default()) {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(fs::read(path).unwrap(), before, "{what}: overwritten, {error}");
                return Err(error);
            }
        };
        store.begin_run(&common::run_info())?;
        let mut batch = common::batch(&mut store, 100);
        store.append(&mut batch)?;
        store.close()
    }))
    .unwrap_or_else(|_| panic!("{what}: panicked"));
    if let Err(error) = &recording {
        assert!(is_honest(error.kind()), "{what}: {error:?}");
    }
    reading.is_err() || recording.is_err()
}

fn whole_file() -> Vec<u8> {
    let (_folder, path) = common::place();
    let options = StoreOptions { page_size: 1_024, ..StoreOptions::default() };
    let mut store = common::store(&path, &options);
    common::record(&mut store, 400);
    store.end_run(1, "{}").unwrap();
    store.close().unwrap();
    fs::read(&path).unwrap()
}

#[test]
fn flipped_bytes() {
    let (whole, folder) = (whole_file(), tempfile::tempdir().unwrap());
    let path = folder.path().join("p.db");
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut noticed = 0;
    for round in 0..200 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut bytes = whole.clone();
        // The first rounds go through the header, where each byte matters.
        let at = if round < 100 { round } else { seed as usize % bytes.len() };
        let flip = (seed >> 32) as u8 | 1;
        bytes[at] ^= flip;
        fs::write(&path, bytes).unwrap();
        noticed += usize::from(survives(&path, &format!("byte {at} ^ {flip:#x}")));
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(common::sidecar(&path, suffix));
        }
    }
    assert!(noticed > 30, "{noticed}");
}

#[test]
fn truncated_files() {
    let (whole, folder) = (whole_file(), tempfile::tempdir().unwrap());
    let path = folder.path().join("p.db");
    for step in 1..50 {
        let length = whole.len() * step / 50;
        fs::write(&path, &whole[..length]).unwrap();
        assert!(survives(&path, &format!("{length} bytes")), "{length} of {}", whole.len());
        let _ = fs::remove_file(common::sidecar(&path, "-wal"));
        let _ = fs::remove_file(common::sidecar(&path, "-shm"));
    }
}
