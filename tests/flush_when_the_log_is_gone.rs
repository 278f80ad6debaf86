//! Somebody removes the write-ahead log after everything was committed, and nothing is recorded since. A
//! flush, and a copy, do not say that all is well before the file is right again: right after the deed,
//! before the writer's next look at its files.

use std::fs;

use spandrel_tests::host::sidecar;
use spandrel_tests::prelude::*;
use spandrel_tests::sitter::{self, Sitter};

const LONG: Duration = Duration::from_secs(60);
const SPANS: u64 = 100;

#[test]
fn what_was_committed_is_in_the_file_after_a_flush_and_in_a_copy() {
    for copies in repeated(&[true, false], 5, 60) {
        let (scratch, profiler) = recording();
        within(&dispatch(&profiler), || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
        profiler.flush(LONG).unwrap();
        fs::remove_file(sidecar(scratch.db(), "-wal")).unwrap();
        let copy = scratch.path("copy.db");
        if copies {
            assert_eq!(profiler.snapshot_within(&copy, LONG).unwrap().spans, SPANS);
        } else {
            profiler.flush(LONG).unwrap();
            // As whoever comes after a kill finds it.
            assert!(sidecar(scratch.db(), "-wal").exists());
            for suffix in ["", "-wal"] {
                fs::copy(sidecar(scratch.db(), suffix), sidecar(&copy, suffix)).unwrap();
            }
        }
        assert_eq!(Database::open(&copy).count("SELECT count(*) FROM span"), SPANS);
        ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    }
}

#[test]
fn no_copy_without_what_was_committed_is_made_while_a_reader_keeps_the_log() {
    if child::role().is_some() {
        return sitter::sit();
    }
    let (scratch, profiler) = recording_for(120);
    let dispatch = dispatch(&profiler);
    let record = || {
        within(&dispatch, || (0..SPANS).for_each(|n| drop(info_span!("work", n))));
        profiler.flush(LONG).unwrap();
    };
    record();
    let reader = Sitter::start("reader", scratch.db());
    record();
    fs::remove_file(sidecar(scratch.db(), "-wal")).unwrap();
    let copy = scratch.path("copy.db");
    let short = Duration::from_millis(500);
    let error = profiler.snapshot_within(&copy, short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("a reader keeps a part of the write-ahead log"), "{error}");
    assert!(!copy.exists());
    assert_eq!(profiler.flush(short).unwrap_err().kind(), ErrorKind::Timeout);
    reader.leave();
    assert_eq!(profiler.snapshot_within(&copy, LONG).unwrap().spans, 2 * SPANS);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
}
