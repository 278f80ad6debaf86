//! A profile that somebody has changed, or that a disk has spoiled.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Input, folder};
use crate::{Format, Settings, Source, export};
use spandrel_query::explain::Explain;
use spandrel_query::{
    By, Columns, CriticalPath, Filter, Groups, Scan, SlowBy, Slowest, SpanRef, Stacks, Trace,
    Weight,
};
use spandrel_query::{Callsite, Reader, Run, Span, Thread};
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EventRow, LinkRow, LossRow, MarkRow, RunInfo, SpanRow,
    Status,
};
use spandrel_storage::{Store, StoreOptions};

/// Spans of the sample.
const SPANS: u64 = 48;

/// A small profile with something of everything.
pub(super) struct Sample {
    pub(super) reader: Reader,
    _folder: TempDir,
}

pub(super) fn sample() -> Sample {
    let folder = folder();
    let path = folder.path().join("p.db");
    make(&path);
    Sample { reader: Reader::open(&path).unwrap(), _folder: folder }
}

fn make(path: &Path) {
    let options =
        StoreOptions { page_size: 512, transfer_rows_min: usize::MAX, ..Default::default() };
    let mut store = Store::open(path, &options).unwrap();
    let run = RunInfo {
        uuid: "c0ffee00c0ffee00c0ffee00c0ffee00".into(),
        args: "[]".into(),
        settings: "{}".into(),
        started_unix_ns: 1_800_000_000_000_000_000,
        ..RunInfo::default()
    };
    store.begin_run(&run).unwrap();
    let mut batch = Batch::default();
    let levels = ["INFO", "DEBUG", "TRACE", "WARN"];
    let names = ["db.query", "GET /cart (v2)", "http.request", "a"];
    let sites = names.into_iter().zip(levels).map(|(name, level)| {
        store.intern_callsite(&CallsiteInfo {
            kind: CallsiteKind::Span,
            name: name.into(),
            target: format!("app::{}", name.len()),
            level,
            module: Some("app".into()),
            file: (name != "a").then(|| "src/a.rs".into()),
            line: Some(7),
        })
    });
    let sites: Vec<_> = sites.collect();
    let said = store.intern_callsite(&CallsiteInfo {
        kind: CallsiteKind::Event,
        name: "event src/a.rs:9".into(),
        target: "app".into(),
        level: "ERROR",
        module: None,
        file: None,
        line: None,
    });
    for (number, name) in [(1, Some("main")), (2, None)] {
        store.intern_thread(number, 1000 + u64::from(number), name);
    }
    let fields = [
        "",
        "{}",
        r#"{"a":7,"b.c":"x y","error":"gone"}"#,
        r#"{"b":{"c":[1,{"d":null}]},"a":"7.0","$cut":{"a":5000,"*":null}}"#,
        "[1]",
    ];
    for id in 1..=SPANS {
        let n = id as i64;
        let at = batch.text.len();
        batch.text.push_str(fields[id as usize % fields.len()]);
        let parent_id = if id % 6 == 1 { 0 } else { id - 1 };
        let duration = 1_000 << (id % 24);
        let open = id % 13 == 0;
        let statuses = [Status::Ok, Status::Error, Status::Ok, Status::Panicked];
        batch.spans.push(SpanRow {
            id,
            parent_id,
            root_id: id - (id - 1) % 6,
            callsite_id: sites[id as usize % sites.len()],
            thread_id: store.thread_id(1 + id as u32 % 2),
            start_ns: n * 50_000_000,
            duration_ns: (!open).then_some(duration),
            busy_ns: Some(duration / 2),
            self_ns: (!open).then_some(duration / 3),
            self_busy_ns: (duration % 3 == 0).then_some(duration / 5),
            entries: id % 5,
            first_entry_ns: (id % 5 > 0).then_some(7),
            longest_entry_ns: (id % 5 > 1).then_some(duration / 5),
            last_exit_ns: (id % 5 > 1).then_some(duration / 2),
            longest_thread_id: 0,
            status: if open { Status::Unfinished } else { statuses[id as usize % 4] },
            fields: at..batch.text.len(),
        });
        if id % 4 == 0 {
            let at = batch.text.len();
            batch.text.push_str("gone");
            let message = at..batch.text.len();
            batch.events.push(EventRow {
                id,
                span_id: id,
                callsite_id: said,
                thread_id: store.thread_id(1),
                at_ns: n * 50_000_000,
                fields: message.end..message.end,
                message,
            });
            batch.links.push(LinkRow { span_id: id, follows_id: id / 2 });
        }
    }
    let row = |id, until_ns| MarkRow { id, at_ns: 5, until_ns, label: "load".into(), fields: None };
    batch.marks = vec![row(1, None), row(2, Some(900_000_000))];
    let loss = LossRow {
        reason: "ring_full",
        from_ns: 1,
        to_ns: 9,
        spans: 3,
        events: 1,
        entries: 2,
        thread_id: None,
    };
    batch.losses = vec![loss];
    store.append(&mut batch).unwrap();
    store.end_run(1_800_000_003_000_000_000, r#"{"stored":48}"#).unwrap();
    store.close().unwrap();
}

/// A root in no file.
pub(super) fn made_up_span() -> Span {
    let (mut callsite, mut thread) = (Callsite::default(), Thread::default());
    (callsite.id, callsite.name) = (1, "a".into());
    thread.id = 1;
    let mut span = Span::default();
    (span.id, span.run_id, span.root_id, span.start_ns) = (1, 1, 1, 1);
    (span.duration_ns, span.self_ns, span.entries) = (Some(1), Some(1), 1);
    (span.callsite, span.thread) = (Arc::new(callsite), Arc::new(thread));
    span
}

thread_local! {
    static BYTES: Vec<u8> = {
        let folder = folder();
        let path = folder.path().join("p.db");
        make(&path);
        fs::read(path).unwrap()
    };
    static FOLDER: TempDir = folder();
}

/// Pieces of the sample are overwritten: where (two bytes of a page, one in it, in steps of 2), how much, and
/// with what. Whatever is there then, each analysis ends, with an answer or an error, and changes nothing.
pub fn profile(data: &[u8]) {
    let mut bytes = BYTES.with(Vec::clone);
    let mut input = Input(data);
    while !input.is_empty() {
        let page = usize::from(input.byte()) | usize::from(input.byte()) << 8;
        let at = (page * 512 + usize::from(input.byte()) * 2) % bytes.len();
        let len = usize::from(input.byte() % 32) + 1;
        let patch = input.bytes(len);
        let room = patch.len().min(bytes.len() - at);
        bytes[at..at + room].copy_from_slice(&patch[..room]);
    }
    // In rollback mode, so that the reader needs no further files.
    FOLDER.with(|folder| {
        let path = folder.path().join("p.db");
        fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = Reader::open(&path) {
            ask(&reader);
        }
        assert!(fs::read(&path).unwrap() == bytes, "a reader has written");
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(folder.path().join(format!("p.db{suffix}")));
        }
    });
}

/// Rows that a damaged file can hand out; more are as good as endless.
const ROWS_MAX: usize = 100_000;

fn ask(reader: &Reader) {
    let Ok(runs) = reader.runs() else { return };
    for run in runs.iter().take(3) {
        ask_run(reader, run);
    }
}

fn ask_run(reader: &Reader, run: &Run) {
    let id = run.id;
    let _ = (reader.counts(id), reader.marks(id), reader.losses(id), reader.writer_stats(id));
    let _ = (reader.top(id, 10), reader.open_spans(id), reader.links(id), reader.id_near(id, 7));
    let mut rows = 0;
    let filter = Filter::parse("dur>1us name=db.* or field.a=7 or has:error").unwrap();
    let mut groups = [By::Callsite, By::Field("a".into())].map(Groups::new);
    let mut slowest = Slowest::new(SlowBy::Duration, 5);
    let mut explain = Explain::new(1_000_000_000);
    let mut stacks = Stacks::new(reader, id).ok();
    let mut roots = Vec::new();
    let each = |span: &SpanRef<'_>| {
        rows += 1;
        assert!(rows <= ROWS_MAX, "rows without end");
        groups.iter_mut().for_each(|groups| groups.add(span));
        slowest.add(span);
        explain.add(span, filter.matches(span));
        if roots.len() < 4 && span.parent_id.is_none() {
            roots.push(span.root_id);
        }
        if let Some(stacks) = &mut stacks {
            let _ = stacks.add(span);
        }
        ControlFlow::Continue(())
    };
    let _ = reader.scan(&Scan::new(id).columns(Columns::All), each);
    let _ = reader.scan_filtered(&Scan::new(id), &filter, |_| ControlFlow::Continue(()));
    for group in groups.iter().flat_map(Groups::groups) {
        let _ = (group.percentile_ns(0.5), group.percentile_ns(0.99));
    }
    let _ = reader.read_fields(&mut slowest.into_spans());
    if let Some(Ok(tree)) = stacks.map(Stacks::finish) {
        let _ = (tree.widths(Weight::Busy), tree.own(Weight::SelfTime), tree.without_recursion());
    }
    for root in roots {
        if let Ok(Some(trace)) = Trace::read(reader, root, 1_000) {
            let path = CriticalPath::of(&trace);
            path.by_callsite(&trace);
            let _ = (trace.events(reader, 100), trace.links(reader), trace.interval_ns());
        }
    }
    for format in Format::ALL {
        if format != Format::Sqlite {
            let mut source = Source::new(reader, run);
            let _ = export(&mut source, &Settings::new(format), &mut std::io::sink());
        }
    }
}
