//! The marks of a run are read in the order of time, those of other runs are not.

use spandrel_query::{Mark, Reader};
use spandrel_storage::StoreOptions;

use crate::common;

#[test]
fn marks_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.db");
    drop(common::store(&path, &StoreOptions::default()));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(
        "INSERT INTO mark (run_id, at_ns, until_ns, label, fields) VALUES
           (1, 20, NULL, 'later', NULL),
           (1, 10, 15, 'section', '{\"n\":1}'),
           (2, 5, NULL, 'of another run', NULL),
           (1, 20, NULL, 'later', NULL);",
    )
    .unwrap();
    drop(conn);

    let reader = Reader::open(&path).unwrap();
    let mark = |id, at_ns, label: &str| {
        let mut mark = Mark::default();
        (mark.id, mark.run_id, mark.at_ns) = (id, 1, at_ns);
        mark.label = label.to_owned();
        mark
    };
    let mut section = mark(2, 10, "section");
    section.until_ns = Some(15);
    section.fields = Some("{\"n\":1}".to_owned());
    let expected = [section, mark(1, 20, "later"), mark(4, 20, "later")];
    assert_eq!(reader.marks(1).unwrap(), expected);
    assert_eq!(reader.marks(3).unwrap(), []);
}
