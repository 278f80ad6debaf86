//! The profiles of `said/headers.md` and `said/large.md`: the shop, after a statement.

use std::path::Path;

use super::fixture;
use super::said::at;

pub fn changed(path: &Path, sql: &str) {
    fixture::write(path);
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

pub fn headers(folder: &Path) {
    changed(
        &at(folder, "lossy"),
        "DELETE FROM loss;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
         INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events)
         SELECT 2, 'ring_full', i * 160000, i * 160000 + 80000, iif(i % 1250 = 1, i, 1), 0 FROM n;
         UPDATE run SET dropped_spans = (SELECT sum(spans) FROM loss) WHERE id = 2",
    );
    let clock = "UPDATE run SET ended_unix_ns = ended_unix_ns";
    changed(&at(folder, "forwards"), &format!("{clock} + 3600000000000"));
    changed(&at(folder, "backwards"), &format!("{clock} - 3600000000000"));
}

pub fn large(folder: &Path) {
    fixture::write(&at(folder, "small"));
    changed(&at(folder, "large"), "UPDATE run SET spans = 2000000");
}
