//! The profiles of `said/check.md`.

use std::path::Path;

use spandrel_storage::{SpanRow, Status};

use super::fixture::{Recording, info};
use super::said::at;

pub fn write(folder: &Path) {
    super::fixture::write(&at(folder, "shop"));
    write_runs(&at(folder, "empty"), &[0, 300]);
    write_runs(&at(folder, "few"), &[50, 50]);
    write_runs(&at(folder, "counts"), &[71, 70, 72]);
    write_runs(&at(folder, "same"), &[300, 300]);
    let names = at(folder, "names");
    write_runs(&names, &[3]);
    add_names(&names, 2_500);
}

/// Writes a profile each run of which has so many calls of `work`.
pub fn write_runs(path: &Path, calls: &[u64]) {
    for (number, calls) in (1..).zip(calls) {
        let mut run = Recording::begin(path, &info(number));
        let work = run.name("work");
        let first = run.store.next_id();
        for n in 0..*calls {
            let status = if n == 0 { Status::Error } else { Status::Ok };
            let row = run.span(first + n, work, n as i64 * 1_000_000, 1_000);
            run.batch.spans.push(SpanRow { status, ..row });
        }
        run.end(10_000_000_000);
    }
}

/// Adds names with one span each to the only run of a profile.
fn add_names(db: &Path, names: i64) {
    let file = rusqlite::Connection::open(db).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO callsite (id, kind, name, target, level)
        SELECT 1000 + i, 'span', printf('name_%06d', i), 'made', 'INFO' FROM n";
    file.execute(sql, [names]).unwrap();
    let sql =
        "INSERT INTO span (id, run_id, root_id, callsite_id, thread_id, start_ns, duration_ns,
        busy_ns, self_ns, entries, status, batch_id)
        SELECT 1000 + c.id, s.run_id, 1000 + c.id, c.id, s.thread_id, s.start_ns, s.duration_ns,
        s.busy_ns, s.self_ns, s.entries, 'ok', s.batch_id
        FROM callsite AS c, (SELECT * FROM span LIMIT 1) AS s WHERE c.target = 'made'";
    file.execute(sql, []).unwrap();
    file.execute("UPDATE run SET spans = spans + ?1, last_id = 1000000", [names]).unwrap();
}
