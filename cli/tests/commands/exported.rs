//! The profiles of `said/export.md`.

use std::path::Path;

use spandrel_storage::{RunInfo, SpanRow};

use super::fixture::Recording;
use super::said::at;

pub fn write(folder: &Path) {
    three(&at(folder, "three"));
    let odd = at(folder, "odd");
    three(&odd);
    // The file is as good as one from a recorder for whoever reads it.
    let conn = rusqlite::Connection::open(odd).unwrap();
    conn.execute_batch(
        "UPDATE span SET duration_ns = NULL, busy_ns = NULL, self_ns = NULL, status = 'unfinished'
           WHERE id = 3;
         INSERT INTO event (id, run_id, span_id, callsite_id, thread_id, at_ns)
           VALUES (4, 1, 1, 1, 1, 1500), (5, 1, NULL, 1, 1, 1600);
         INSERT INTO link (span_id, follows_id, run_id) VALUES (2, 1, 1);
         INSERT INTO mark (run_id, at_ns, label) VALUES (1, 0, 'deploy');
         UPDATE run SET events = 2, links = 1, last_id = 5;",
    )
    .unwrap();
}

/// Three spans, of a run that does not say its program.
fn three(path: &Path) {
    let mut run = Recording::begin(path, &RunInfo::default());
    let work = run.name_of("work", "test");
    for id in 1..=3 {
        let row = run.span(id, work, id as i64 * 1000, 900);
        run.batch.spans.push(SpanRow { busy_ns: Some(450), ..row });
    }
    run.end(2_000_000_000);
}
