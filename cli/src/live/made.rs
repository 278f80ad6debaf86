//! Made-up pages for tests.

use std::path::Path;
use std::sync::Arc;

use spandrel_storage::{
    Batch, Callsite, CallsiteInfo, CallsiteKind, Histogram, OpenSpan, OpenSpanRow, Reader, Run,
    RunInfo, SpanRow, Status, Store, StoreOptions,
};

use super::page::{Health, Looked, Page, Row, RowKey, State};
use super::sums::Sums;
use super::window::{SECOND_NS, Window};
use crate::commands::made;

/// A run, as it stands in a file.
pub(crate) fn run() -> Run {
    let (_folder, reader) = made::profile([made::Span::new("a", 1_000)]);
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
        key: RowKey { name: name.into(), target: "shop::db".into() },
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
pub(crate) fn page(rows: Vec<Row>, subject: Looked) -> Box<Page> {
    let mut run = run();
    run.ended_unix_ns = None;
    run.info.label = Some("checkout".into());
    Box::new(Page {
        health: Health {
            run,
            state: State::Recording,
            lag_ns: Some(41_000_000),
            ring_share: Some(0.03),
            dropped: Vec::new(),
            bytes: 118_000_000,
            spans_by_second: (0..60).map(|second| 9_000 + second * 20).collect(),
        },
        window: Window::Minute,
        from_ns: 60 * SECOND_NS,
        until_ns: 120 * SECOND_NS,
        end_ns: 120 * SECOND_NS,
        rows,
        subject,
    })
}

/// Three open spans as the writer saw them after 100 s: on one thread one inside of another, both older
/// than a minute, and a young one on another thread.
pub(crate) fn open_spans(path: &Path) -> Vec<OpenSpan> {
    let mut store = Store::open(path, &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { args: "[]".into(), ..RunInfo::default() }).unwrap();
    let mut batch = Batch::default();
    let spans = [("worker-1", "http.request", 1, 0, 0), ("worker-1", "db.query", 2, 1, 10)];
    let young = ("worker-2", "render", 3, 0, 99);
    let rows = spans.into_iter().chain([young]).map(|(thread, name, id, parent_id, start)| {
        let callsite_id = store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: "shop".into(),
            level: "INFO",
            module: None,
            file: None,
            line: None,
        });
        let number = if thread == "worker-1" { 1 } else { 2 };
        if parent_id == 0 {
            store.intern_thread(number, u64::from(number), Some(thread));
        }
        let thread_id = store.thread_id(number);
        let from = batch.text.len();
        batch.text.push_str(r#"{"shard":7}"#);
        let span = SpanRow {
            id,
            parent_id,
            root_id: if id == 3 { 3 } else { 1 },
            callsite_id,
            thread_id,
            start_ns: start * SECOND_NS,
            duration_ns: None,
            busy_ns: Some(0),
            self_ns: None,
            entries: 1,
            status: Status::Unfinished,
            fields: from..batch.text.len(),
            ..SpanRow::default()
        };
        OpenSpanRow { span, seen_ns: 100 * SECOND_NS }
    });
    let rows = rows.collect();
    batch.open_spans = Some(rows);
    store.append(&mut batch).unwrap();
    Reader::open(path).unwrap().open_spans(1).unwrap()
}
