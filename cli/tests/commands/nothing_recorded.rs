//! A run in which nothing was recorded: commands say so, rather than that a question was wrong.

use spandrel_storage::{Batch, Store, StoreOptions, WriterStatRow};

use super::fixture::{bare, info, run};

#[test]
fn a_run_without_spans_is_told_from_a_question_that_matches_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.db");
    let mut store = Store::open(&path, &StoreOptions::default()).unwrap();
    store.begin_run(&info(1)).unwrap();
    let stat = WriterStatRow { at_ns: 1_000, batches: 1, wal_bytes: 8_192, ..Default::default() };
    store.append(&mut Batch { writer_stat: Some(stat), ..Batch::default() }).unwrap();
    let ended = info(1).started_unix_ns + 1_000_000;
    store.end_run(ended, "{}").unwrap();
    store.close().unwrap();
    let path = path.display().to_string();
    for command in ["top", "slow", "tree"] {
        let (page, _, exit) = run(&mut bare(&[command, "--db", &path]));
        assert!(page.contains("the run has no spans and no events"), "{command}: {page}");
        assert_eq!(exit, 0, "{command}");
    }
    // Nor does it speak of a log that was merged long ago, nor of commits that nobody timed.
    let (page, ..) = run(&mut bare(&["info", "--db", &path]));
    assert!(page.contains("writer: ") && page.contains("1 batch"), "{page}");
    assert!(!page.contains("log ") && !page.contains("longest commit"), "{page}");
    let (page, ..) = run(&mut super::fixture::spandrel(&["top", "-w", "name=nobody"]));
    assert!(page.contains("nothing matched") && !page.contains("the run has no"), "{page}");
}
