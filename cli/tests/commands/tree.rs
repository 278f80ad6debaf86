//! The profiles of `said/tree.md`.

use std::path::Path;

use spandrel_storage::{SpanRow, Status};

use super::fixture::{Recording, info};
use super::said::at;

const US: i64 = 1_000;
const MS: i64 = 1_000_000;

pub fn write_all(folder: &Path) {
    let write = |name: &str, spans: &[_]| write(&at(folder, name), spans);
    write(
        "roots",
        &[(0, Some(MS)), (1, Some(900 * MS)), (0, Some(50 * MS)), (0, Some(5 * MS)), (0, None)],
    );
    let long = (0, Some(60_000 * MS));
    let children = (0..4_000).map(|at| (1, Some((5_000 - at) * MS / 100)));
    write("many", &std::iter::once(long).chain(children).collect::<Vec<_>>());
    write("equal", &[&[long][..], &[(1, Some(2 * MS)); 4_000]].concat());
    write("outlives", &[(0, Some(100 * MS)), (1, Some(190 * MS))]);
    write("far", &[(0, Some(100 * MS)), (1, Some(90_000 * MS))]);
    kept_open(&at(folder, "kept"));
    path_of_work(&at(folder, "path"));
}

/// Parent and duration of each span; they begin 10 ms after each other.
fn write(path: &Path, spans: &[(u64, Option<i64>)]) {
    let mut run = Recording::begin(path, &info(1));
    let work = run.name("work");
    for (id, (parent_id, duration_ns)) in (1..).zip(spans) {
        run.batch.spans.push(SpanRow {
            parent_id: *parent_id,
            root_id: if *parent_id == 0 { id } else { *parent_id },
            duration_ns: *duration_ns,
            busy_ns: None,
            self_ns: *duration_ns,
            status: if duration_ns.is_some() { Status::Ok } else { Status::Unfinished },
            ..run.span(id, work, (id - 1) as i64 * 10 * MS, 0)
        });
    }
    run.leave();
}

fn kept_open(path: &Path) {
    let mut recording = Recording::begin(path, &info(1));
    let [request, audit] = ["request", "audit"].map(|name| recording.name(name));
    let row = |id, parent_id, callsite_id, duration_ns, last_exit_ns| SpanRow {
        parent_id,
        root_id: if parent_id == 0 { id } else { parent_id },
        busy_ns: Some(5 * MS),
        self_ns: Some(MS),
        entries: 40,
        first_entry_ns: Some(0),
        longest_entry_ns: Some(MS),
        last_exit_ns,
        ..recording.span(id, callsite_id, 0, duration_ns)
    };
    let once = SpanRow { entries: 1, last_exit_ns: None, ..row(4, 0, request, 99 * MS, None) };
    let spans = vec![
        row(1, 0, request, 402 * MS, Some(21 * MS)),
        row(2, 1, audit, 402 * MS, Some(402 * MS)),
        // Hardly longer than its work; and one that was entered once, of which columns are spared.
        row(3, 0, request, 100 * MS, Some(98 * MS)),
        SpanRow { first_entry_ns: Some(2 * MS), busy_ns: Some(97 * MS), ..once },
        // It has not been measured.
        row(5, 0, request, 900 * MS, None),
    ];
    recording.batch.spans = spans;
    recording.end(1_000 * MS);
}

fn path_of_work(path: &Path) {
    let mut recording = Recording::begin(path, &info(1));
    let [request, audit] = ["request", "audit"].map(|name| recording.name(name));
    let row = |id, root_id, callsite_id, worked_ns, self_ns| SpanRow {
        parent_id: if id == root_id { 0 } else { root_id },
        root_id,
        busy_ns: Some(worked_ns),
        self_ns: Some(self_ns),
        entries: if worked_ns > 0 { 1 } else { 0 },
        first_entry_ns: Some(0).filter(|_| worked_ns > 0),
        ..recording.span(id, callsite_id, 0, 52 * US)
    };
    let spans = vec![
        // Kept open by a handle; and by a child that works on, and by one that nobody enters.
        row(1, 1, request, 39 * US, 39 * US),
        row(3, 3, request, 13 * US, 13 * US),
        SpanRow {
            start_ns: 26 * US,
            duration_ns: Some(26 * US),
            ..row(4, 3, audit, 13 * US, 13 * US)
        },
        row(5, 3, audit, 0, 0),
    ];
    recording.batch.spans = spans;
    recording.leave();
}
