//! Made-up pages for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spandrel_query::{Callsite, CountedBy, OpenSpan, Reader, Run};
use spandrel_storage::{EntryRow, Histogram, OpenSpanRow, RunInfo, SpanRow, Status};
use tempfile::TempDir;

use super::page::{Health, Page, Row, RowKey, State, SubjectData};
use super::sums::Sums;
use super::window::{SECOND_NS, Window};
use crate::commands::test_profile;
use crate::recording::{Recording, new_path};

/// A run, as it stands in a file.
pub(crate) fn run() -> Run {
    let (_folder, reader) = test_profile::profile([test_profile::Span::new("a", 1_000)]);
    reader.latest_run().unwrap().unwrap()
}

/// A row with 100 spans of `us` microseconds each.
pub(crate) fn row(name: &str, us: i64) -> Row {
    let ns = us * 1_000;
    let mut histogram = Histogram::new();
    (0..100).for_each(|_| histogram.record(ns as u64));
    let mut callsite = Callsite::default();
    callsite.name = name.into();
    callsite.target = "shop::db".into();
    callsite.level = "INFO".into();
    Row {
        key: RowKey { name: name.into(), target: "shop::db".into(), counted: CountedBy::Lifetime },
        callsites: vec![Arc::new(callsite)],
        sums: Sums {
            calls: 100,
            errors: 0,
            sum_ns: ns * 100,
            busy_ns: Some(ns * 25),
            self_ns: ns * 100,
            max_ns: ns,
            histogram,
        },
        p50_ns: ns,
        p95_ns: ns,
        p99_ns: ns,
        rate: 100.0 / 60.0,
        trend: (0..60).collect(),
    }
}

/// A page of a live run that lost nothing.
pub(crate) fn page(rows: Vec<Row>, subject: SubjectData) -> Box<Page> {
    let mut run = run();
    run.ended_unix_ns = None;
    run.info.label = Some("checkout".into());
    Box::new(Page {
        health: Health {
            run,
            state: State::Recording,
            left: None,
            lag_ns: Some(41_000_000),
            ring_share: Some(0.03),
            dropped: Vec::new(),
            bytes: 118_000_000,
            spans_by_second: (0..60).map(|second| 9_000 + second * 20).collect(),
            entries_rate: None,
            programs: None,
        },
        window: Window::Minute,
        from_ns: 60 * SECOND_NS,
        until_ns: 120 * SECOND_NS,
        end_ns: 120 * SECOND_NS,
        rows,
        subject,
        open_from: None,
    })
}

fn begin(path: &Path) -> Recording {
    Recording::begin(path, &RunInfo { args: "[]".into(), ..RunInfo::default() })
}

/// Three open spans as the writer saw them after 100 s: on one thread one inside of another, both older
/// than a minute, and a young one on another thread.
pub(crate) fn open_spans() -> Vec<OpenSpan> {
    let (_folder, path) = new_path();
    let mut recording = begin(&path);
    let threads = [(2, "worker-1"), (3, "worker-2")]
        .map(|(number, name)| recording.store.intern_thread(number, number.into(), Some(name)));
    let spans = [(0, "http.request", 1, 0, 0), (0, "db.query", 2, 1, 10), (1, "render", 3, 0, 99)];
    let rows = spans.map(|(thread, name, id, parent_id, start)| {
        let callsite_id = recording.name_of(name, "shop");
        let span = SpanRow {
            parent_id,
            root_id: if id == 3 { 3 } else { 1 },
            thread_id: threads[thread],
            duration_ns: None,
            busy_ns: Some(0),
            self_ns: None,
            status: Status::Unfinished,
            fields: recording.text(r#"{"shard":7}"#),
            ..recording.span(id, callsite_id, start * SECOND_NS, 0)
        };
        OpenSpanRow { span, seen_ns: 100 * SECOND_NS }
    });
    recording.batch.open_spans = Some(rows.to_vec());
    recording.store.append(&mut recording.batch).unwrap();
    Reader::open(path).unwrap().open_spans(1).unwrap()
}

/// A game after a hundred seconds: a system that is open all the time and was entered five hundred times, of
/// which a hundred entries are known by their number only; frames around the others; a short span of the same
/// name, and one that hangs.
pub(crate) fn long_lived() -> (TempDir, PathBuf) {
    long_lived_since(0)
}

/// The same with a system that was made at that moment.
pub(crate) fn long_lived_since(made_ns: i64) -> (TempDir, PathBuf) {
    let (folder, path) = new_path();
    let mut run = begin(&path);
    let [system, frame, stuck] = ["system", "frame", "stuck"].map(|name| run.name_of(name, "game"));
    let fields = run.text("{}");
    let open = |span: SpanRow| OpenSpanRow {
        span: SpanRow { duration_ns: None, self_ns: None, status: Status::Unfinished, ..span },
        seen_ns: 100 * SECOND_NS,
    };
    run.batch.open_spans = Some(vec![
        open(SpanRow {
            entries: 500,
            longest_entry_ns: Some(700_000),
            fields,
            first_entry_ns: Some(1_000_000),
            last_exit_ns: Some(64 * SECOND_NS - made_ns),
            ..run.span(1, system, made_ns, 0)
        }),
        open(run.span(2, stuck, 10 * SECOND_NS, 0)),
    ]);
    let short = run.span(3, system, 99 * SECOND_NS, 1_000_000);
    run.batch.spans.push(short);
    for at in 0..400 {
        let start_ns = 60 * SECOND_NS + at as i64 * 10_000_000;
        let around = run.span(10 + at, frame, start_ns, 9_000_000);
        run.batch.spans.push(around);
        run.batch.entries.push(EntryRow {
            id: 1_000 + at,
            span_id: 1,
            callsite_id: system,
            thread_id: run.thread_id,
            start_ns,
            duration_ns: 20_000,
            around_id: 10 + at,
            self_ns: Some(15_000),
            earlier_entries: if at == 0 { 100 } else { 0 },
            earlier_ns: if at == 0 { 900_000 } else { 0 },
        });
    }
    run.leave();
    (folder, path)
}

/// A run with a future that blocked its executor once, for 100 ms, 90 of them in `parse`; one that was polled a hundred
/// times for a millisecond each; and what lasted longer on a thread that runs no futures.
pub(crate) fn stalls() -> (TempDir, Reader) {
    const MS: i64 = 1_000_000;
    let (folder, path) = new_path();
    let mut run = begin(&path);
    let threads = [(2, "worker-1"), (3, "pool-1")]
        .map(|(number, name)| run.store.intern_thread(number, number.into(), Some(name)));
    // Name, parent, thread, start, entries, busy, longest.
    let spans = [
        ("handle", 0, threads[0], 0, 2, 101, 100),
        ("parse", 1, threads[0], 5, 1, 90, 90),
        ("harmless", 0, threads[0], 200, 100, 100, 1),
        ("hash", 0, threads[1], 0, 1, 500, 500),
    ];
    for (id, (name, parent_id, thread_id, start, entries, busy, longest)) in (1..).zip(spans) {
        let callsite_id = run.name_of(name, "shop");
        let several = entries > 1;
        let row = run.span(id, callsite_id, start * MS, busy * MS);
        run.batch.spans.push(SpanRow {
            parent_id,
            root_id: if parent_id == 0 { id } else { parent_id },
            thread_id,
            entries,
            first_entry_ns: Some(0),
            longest_entry_ns: several.then_some(longest * MS),
            last_exit_ns: several.then_some(busy * MS),
            ..row
        });
    }
    run.leave();
    let reader = Reader::open(path).unwrap();
    (folder, reader)
}
