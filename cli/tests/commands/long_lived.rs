//! Spans that live long count by the times that they were entered: a game whose systems are spans that are
//! open for as long as it runs, beside requests that are slow in one piece.

use std::path::Path;

use serde_json::Value;
use spandrel_storage::{EntryRow, OpenSpanRow, SpanRow, Status};

use super::fixture::{Recording, info, json, new_path, report, span};

pub const FRAMES: u64 = 1_000;
const FRAME_NS: i64 = 2_300_000;
/// The entries of a system are 20 us long, but for a slow one in a hundred.
const QUICK_NS: i64 = 20_000;
const SLOW_NS: i64 = 500_000;
/// One that was not recorded by itself, as it came before the system was known to live long.
const LONGEST_NS: i64 = 700_000;
/// Entries before a span was known to live long, which have no rows that count.
const EARLIER: u64 = 100;
const SYSTEMS: u64 = 3;

/// How the systems end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// They closed; one of them failed.
    Closed,
    /// They are open, as the game still runs.
    Open,
    /// They were open when the recording ended.
    Left,
}

/// The profiles of `said/long_lived.md`.
pub fn write_all(folder: &Path) {
    for (name, end, quick_ns) in [
        ("closed", End::Closed, QUICK_NS),
        ("open", End::Open, QUICK_NS),
        ("left", End::Left, QUICK_NS),
        ("slower", End::Closed, 2 * QUICK_NS),
    ] {
        write(&super::said::at(folder, name), end, quick_ns);
    }
}

pub fn write(path: &Path, end: End, quick_ns: i64) {
    let mut run = Recording::begin(path, &info(1));
    let [frame, system, request] = ["frame", "system", "request"].map(|name| run.name(name));
    let main = run.thread_id;
    let other = run.store.intern_thread(2, 2, Some("io"));
    let first = run.store.next_id();
    let life_ns = FRAMES as i64 * FRAME_NS;
    let batch = &mut run.batch;
    let (mut open, mut next) = (Vec::new(), first + 10_000);
    for at in 0..SYSTEMS {
        let from = batch.text.len();
        batch.text.push_str(&format!(r#"{{"name":"system {at}"}}"#));
        let failed = at == 1 && end == End::Closed;
        let row = SpanRow {
            self_ns: None,
            busy_ns: Some(life_ns / 50),
            entries: FRAMES,
            longest_entry_ns: Some(if at == 0 { LONGEST_NS } else { SLOW_NS }),
            first_entry_ns: Some(0),
            last_exit_ns: Some(life_ns),
            status: if failed { Status::Error } else { Status::Ok },
            fields: from..batch.text.len(),
            ..span(first + at, system, main, 0, life_ns)
        };
        match end {
            End::Closed => batch.spans.push(row),
            End::Left => {
                batch.spans.push(SpanRow { duration_ns: None, status: Status::Unfinished, ..row })
            }
            End::Open => open.push(OpenSpanRow {
                span: SpanRow { duration_ns: None, status: Status::Unfinished, ..row },
                seen_ns: life_ns,
            }),
        }
    }
    // One that did not live long, and requests that wait.
    batch.spans.push(span(first + 5, system, main, 0, 1_000_000));
    for (at, duration_ns) in [1_500_000_000, 20_000_000].into_iter().enumerate() {
        batch.spans.push(SpanRow {
            busy_ns: Some(30_000_000),
            entries: 30,
            ..span(first + 6 + at as u64, request, other, 100_000_000, duration_ns)
        });
    }
    for frame_number in 0..FRAMES {
        let start_ns = frame_number as i64 * FRAME_NS;
        let frame_id = first + 100 + frame_number;
        let mut inside = 0;
        for at in 0..SYSTEMS {
            let is_slow = frame_number % 100 == 50;
            let duration_ns = if is_slow { SLOW_NS } else { quick_ns };
            next += 1;
            if frame_number >= EARLIER {
                batch.entries.push(EntryRow {
                    id: next,
                    span_id: first + at,
                    callsite_id: system,
                    thread_id: main,
                    start_ns: start_ns + inside,
                    duration_ns,
                    around_id: frame_id,
                    self_ns: Some(duration_ns),
                    earlier_entries: if frame_number == EARLIER { EARLIER } else { 0 },
                    earlier_ns: if frame_number == EARLIER { EARLIER as i64 * quick_ns } else { 0 },
                });
            }
            inside += duration_ns;
        }
        batch.spans.push(SpanRow {
            self_ns: Some(FRAME_NS - inside),
            ..span(frame_id, frame, main, start_ns, FRAME_NS)
        });
    }
    if end == End::Open {
        batch.open_spans = Some(open);
    }
    if end == End::Open { run.leave() } else { run.end(life_ns) }
}

/// The row of a name by what it counts by.
fn row<'a>(document: &'a Value, name: &str, by: &str) -> &'a Value {
    let mut rows = document["rows"].as_array().unwrap().iter();
    let found = rows.find(|row| row["name"] == name && row["by"] == by);
    found.unwrap_or_else(|| panic!("no {name} by {by}: {document}"))
}

fn number(row: &Value, key: &str) -> i64 {
    row[key].as_i64().unwrap_or_else(|| panic!("{key}: {row}"))
}

#[test]
fn a_page_has_what_top_has_and_entries_in_its_order_of_time() {
    let (_folder, db) = new_path();
    write(&db, End::Closed, QUICK_NS);
    let document = report(&db);
    let name = |number: &Value| document["names"][number.as_u64().unwrap() as usize].clone();
    let top = json(&db, &["top"]);
    let rows = document["top"].as_array().unwrap();
    assert_eq!(rows.len(), top["rows"].as_array().unwrap().len());
    for in_page in rows {
        let name = name(&in_page["name"]);
        let by = if name["long"] == true { "entries" } else { "lifetime" };
        let of_top = row(&top, name["name"].as_str().unwrap(), by);
        let keys =
            ["calls", "errors", "total_ns", "self_ns", "p50_ns", "p95_ns", "p99_ns", "max_ns"];
        for key in keys {
            assert_eq!(in_page[key], of_top[key], "{key} of {name}");
        }
    }
    assert_eq!((number(&document["run"], "spans"), number(&document["run"], "errors")), (1_006, 1));
    // A bar for an entry, and none as long as a system lived.
    let timeline = &document["timeline"];
    let lengths = timeline["duration_ns"].as_array().unwrap().iter().map(Value::as_i64);
    assert_eq!(lengths.max().unwrap(), Some(1_500_000_000));
    let mut shown = timeline["name"].as_array().unwrap().iter().map(name);
    assert!(shown.any(|name| name["long"] == true), "{timeline}");
    let traces = document["traces"].as_array().unwrap();
    assert!(
        traces.iter().all(|trace| trace["failed"] == true
            || name(&trace["name"])["name"] != "system"
            || number(trace, "duration_ns") < 2_000_000),
        "{traces:?}"
    );
}
