//! Of a part of a run the spans that are meant are exported, whoever decides that: SQLite, or the filter.

use std::ops::ControlFlow;
use std::path::Path;

use spandrel_export::{ExportError, Format, Settings, Source, export};
use spandrel_query::Reader;
use spandrel_query::{Filter, Scan};
use spandrel_storage::{Batch, Store, StoreOptions};

use crate::common;

/// Spans of two names in turns, some of them long.
fn profile(path: &Path, spans: u64) {
    let mut store: Store = common::store(path, &StoreOptions::default());
    let thread_id = store.intern_thread(1, 1, Some("main"));
    let callsites = ["even", "odd"].map(|name| store.intern_callsite(&common::callsite(name)));
    let row = |id: u64| {
        let mut row = common::span(id, callsites[id as usize % 2], thread_id);
        row.duration_ns = Some(id as i64 % 100);
        row
    };
    store.append(&mut Batch { spans: (1..=spans).map(row).collect(), ..Batch::default() }).unwrap();
    store.close().unwrap();
}

#[test]
fn what_a_filter_means_is_exported() {
    let (_folder, path) = common::place();
    profile(&path, 1_500);
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    for text in [
        "",
        "name=odd",
        "name=odd dur>90ns",
        "name=even or dur>=95ns",
        "name=none",
        "thread=main dur<3ns",
        "thread=other",
    ] {
        let filter = Filter::parse(text).unwrap();
        let mut expected = Vec::new();
        let keep = |span: &spandrel_query::SpanRef<'_>| {
            if filter.matches(span) {
                expected.push(span.id);
            }
            ControlFlow::Continue(())
        };
        reader.scan(&Scan::new(1), keep).unwrap();
        let mut out = Vec::new();
        let mut source = Source::new(&reader, &run).filter(filter.clone());
        let written = export(&mut source, &Settings::new(Format::Ndjson), &mut out).unwrap();
        let id = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["id"].as_u64().unwrap()
        };
        let ids: Vec<u64> = String::from_utf8(out).unwrap().lines().map(id).collect();
        assert_eq!(ids, expected, "{text}");
        assert_eq!(written.spans, expected.len() as u64, "{text}");
    }
}

#[test]
fn whoever_watches_hears_of_rows_that_are_passed_over() {
    let (_folder, path) = common::place();
    profile(&path, 170_000);
    let reader = Reader::open(&path).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    let nothing = || Source::new(&reader, &run).filter(Filter::parse("name=none").unwrap());
    let mut heard = Vec::new();
    let watch = |rows: u64| {
        heard.push(rows);
        ControlFlow::Continue(())
    };
    let written =
        export(&mut nothing().watched_by(watch), &Settings::new(Format::Csv), &mut Vec::new())
            .unwrap();
    assert_eq!(written.spans, 0);
    // Each so many rows, or more often.
    let steps = heard.iter().zip([0].iter().chain(&heard)).map(|(now, before)| now - before);
    assert!(steps.into_iter().all(|step| (1..=50_000).contains(&step)), "{heard:?}");
    assert!((120_000..=170_000).contains(heard.last().unwrap()), "{heard:?}");

    let mut calls = 0;
    let stop = |_| {
        calls += 1;
        ControlFlow::Break(())
    };
    let stopped =
        export(&mut nothing().watched_by(stop), &Settings::new(Format::Csv), &mut Vec::new());
    assert!(matches!(stopped, Err(ExportError::Stopped)), "{stopped:?}");
    assert_eq!(calls, 1, "at once");
}
