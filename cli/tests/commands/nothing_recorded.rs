//! A run in which nothing was recorded: commands say so, rather than that a question was wrong.

use spandrel_storage::WriterStatRow;

use super::fixture::{Recording, bare, info, new_path, run};

#[test]
fn a_run_without_spans_is_told_from_a_question_that_matches_none() {
    let (_folder, path) = new_path();
    let mut recording = Recording::begin(&path, &info(1));
    let stat = WriterStatRow { at_ns: 1_000, batches: 1, wal_bytes: 8_192, ..Default::default() };
    recording.batch.writer_stat = Some(stat);
    recording.end(1_000_000);
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
