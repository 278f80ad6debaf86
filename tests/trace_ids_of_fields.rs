//! Fields `trace_id`, `span_id` and `traceparent` are taken for the ids by which other systems know a span: it, and
//! what is inside, is found by them, also while it is open, and exports have them.

use spandrel_export::{Format, Settings, Source, export};
use spandrel_query::{Filter, Reader, Run, Scan, SpanContext};
use spandrel_tests::prelude::*;
use tracing::field::Empty;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";
const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn latest(path: &Path) -> (Reader, Run) {
    let reader = Reader::open(path).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    (reader, run)
}

/// The names of the spans that a filter means.
fn found(path: &Path, filter: &str) -> Vec<String> {
    let (reader, run) = latest(path);
    let filter = Filter::parse(filter).unwrap();
    let mut names = Vec::new();
    let scan = Scan::new(run.id);
    reader
        .scan_filtered(&scan, &filter, |span| {
            names.push(span.callsite.name.clone());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    names.sort();
    names
}

fn contexts(path: &Path) -> Vec<(String, Option<SpanContext>)> {
    let (reader, run) = latest(path);
    let mut all = Vec::new();
    let scan = Scan::new(run.id).columns(spandrel_query::Columns::All);
    reader
        .scan(&scan, |span| {
            all.push((span.callsite.name.clone(), span.context));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    all
}

/// Records, closes and checks the ledger.
fn record(builder: ProfilerBuilder, path: &Path, program: impl FnOnce()) {
    let profiler = builder.build().unwrap();
    within(&dispatch(&profiler), program);
    let report = profiler.close().unwrap();
    ledger::check_complete(path, &report);
}

#[test]
fn a_header_names_the_trace_and_the_caller() {
    let scratch = scratch_for(60);
    record(small(scratch.db()), scratch.db(), || {
        let request = info_span!("request", traceparent = HEADER, route = "/cart").entered();
        info_span!("query").in_scope(|| info_span!("parse").in_scope(|| ()));
        drop(request);
        // With Debug, as a header map shows it; and one that is none.
        info_span!("quoted", traceparent = ?HEADER).in_scope(|| ());
        info_span!("odd", traceparent = "nonsense", trace_id = 17).in_scope(|| ());
    });
    let path = scratch.db();
    assert_eq!(found(path, "trace_id=4bf9"), ["parse", "query", "quoted", "request"]);
    assert_eq!(found(path, &format!("trace_id={TRACE}")).len(), 4);
    assert_eq!(found(path, "trace_id=4bf8"), Vec::<String>::new());
    assert_eq!(found(path, "not has:trace_id"), ["odd"]);
    let (name, request) = contexts(path).into_iter().next().unwrap();
    let request = request.unwrap();
    assert_eq!(name, "request");
    assert_eq!(request.parent_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!((request.span_id, request.begins), (None, true));
}

#[test]
fn a_connection_with_several_traces_keeps_them_apart() {
    let scratch = scratch_for(60);
    record(small(scratch.db()), scratch.db(), || {
        let connection = info_span!("connection").entered();
        let request = info_span!("request", trace_id = TRACE, span_id = "00f067aa0ba902b7");
        request.in_scope(|| info_span!("query").in_scope(|| ()));
        // Said later, and once more: the last value counts.
        let second = info_span!("second", trace_id = Empty, span_id = Empty);
        second.in_scope(|| info_span!("fetch").in_scope(|| ()));
        second.record("trace_id", TRACE);
        second.record("trace_id", "0af76519-16cd-43dd-8448-eb211c80319c");
        drop((request, second));
        drop(connection);
    });
    let path = scratch.db();
    assert_eq!(found(path, "trace_id=4bf9"), ["query", "request"]);
    assert_eq!(found(path, "trace_id=0AF7.."), ["fetch", "second"]);
    assert_eq!(found(path, &format!("trace_id!={OTHER}")), ["query", "request"]);
    assert_eq!(found(path, "not has:trace_id"), ["connection"]);
    assert_eq!(found(path, "trace_id=0af7 or trace_id=4bf9").len(), 4);
}

#[test]
fn a_request_that_is_open_is_known_by_its_trace() {
    let (scratch, profiler) = recording_for(60);
    within(&dispatch(&profiler), || {
        let request = info_span!("request", trace_id = TRACE).entered();
        info_span!("query").in_scope(|| ());
        profiler.flush(Duration::from_secs(60)).unwrap();
        assert_eq!(found(scratch.db(), "trace_id=4bf9"), ["query"]);
        let (reader, run) = latest(scratch.db());
        let open = reader.open_spans(run.id).unwrap();
        assert_eq!(open[0].span.context.unwrap().trace_id.to_string(), TRACE);
        // It is not stored again and again.
        profiler.flush(Duration::from_secs(60)).unwrap();
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        drop(request);
        let batches: Vec<i64> = db.rows("SELECT batch_id FROM trace_context", (), |row| row.get(0));
        assert_eq!(batches, [1]);
    });
    assert_eq!(found(scratch.db(), "trace_id=4bf9"), ["query", "request"]);
}

#[test]
fn a_secret_is_no_id() {
    let scratch = scratch_for(60);
    let builder = small(scratch.db()).redact_fields(["traceparent"]);
    record(builder, scratch.db(), || {
        info_span!("request", traceparent = HEADER).in_scope(|| ());
    });
    assert_eq!(found(scratch.db(), "has:trace_id"), Vec::<String>::new());
    let bytes = std::fs::read(scratch.db()).unwrap();
    assert!(!bytes.windows(16).any(|window| window == b"00f067aa0ba902b7"));
}

fn exported(path: &Path, format: Format, filter: Filter) -> String {
    let (reader, run) = latest(path);
    let mut file = Vec::new();
    let mut source = Source::new(&reader, &run).filter(filter);
    export(&mut source, &Settings::new(format), &mut file).unwrap();
    String::from_utf8(file).unwrap()
}

#[test]
fn exports_have_the_ids() {
    let scratch = scratch_for(60);
    record(small(scratch.db()), scratch.db(), || {
        let request = info_span!(
            "request",
            traceparent = HEADER,
            trace_id = TRACE,
            span_id = "00000000000000aa"
        );
        let _request = request.entered();
        let query = info_span!("query");
        let later = info_span!(parent: None, "later");
        later.follows_from(&query);
        later.follows_from(&_request);
    });
    let lines = exported(scratch.db(), Format::OtlpJson, Filter::all());
    let sent: serde_json::Value = serde_json::from_str(lines.trim()).unwrap();
    let spans = &sent["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let of =
        |name: &str| spans.as_array().unwrap().iter().find(|span| span["name"] == name).unwrap();
    let (request, query, later) = (of("request"), of("query"), of("later"));
    assert_eq!(request["traceId"], TRACE);
    assert_eq!(request["spanId"], "00000000000000aa");
    assert_eq!(request["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!((&query["traceId"], &query["parentSpanId"]), (&TRACE.into(), &request["spanId"]));
    assert_ne!(later["traceId"], TRACE, "it is in no trace of others, and has a made-up id");
    assert_eq!(later["links"][0]["traceId"], TRACE);
    assert_eq!(later["links"][0]["spanId"], query["spanId"]);
    assert_eq!(later["links"][1]["spanId"], "00000000000000aa");

    let rows = exported(scratch.db(), Format::Ndjson, Filter::parse("name=request").unwrap());
    let row: serde_json::Value = serde_json::from_str(rows.trim()).unwrap();
    assert_eq!(
        (&row["trace_id"], &row["otel_span_id"]),
        (&TRACE.into(), &"00000000000000aa".into())
    );
    assert_eq!(row["otel_parent_id"], "00f067aa0ba902b7");
    let csv = exported(scratch.db(), Format::Csv, Filter::parse("name=query").unwrap());
    assert!(csv.trim_end().ends_with(&format!("{TRACE},,00000000000000aa,")), "{csv}");
}

#[test]
fn a_copy_of_a_part_knows_the_trace() {
    let scratch = scratch_for(60);
    record(small(scratch.db()), scratch.db(), || {
        let _request = info_span!("request", traceparent = HEADER).entered();
        info_span!("query").in_scope(|| info_span!("parse").in_scope(|| ()));
    });
    for (name, filter, expected) in [
        ("all.db", "", vec!["parse", "query", "request"]),
        ("part.db", "name=parse", vec!["parse"]),
    ] {
        let (reader, run) = latest(scratch.db());
        let copy = scratch.path(name);
        let mut source = Source::new(&reader, &run);
        if !filter.is_empty() {
            source = source.filter(Filter::parse(filter).unwrap());
        }
        spandrel_export::copy(&mut source, &copy).unwrap();
        assert_eq!(found(&copy, "trace_id=4bf9"), expected, "{name}");
    }
    let snapshot = scratch.path("snapshot.db");
    spandrel_storage::snapshot(scratch.db(), &snapshot, Duration::from_secs(60), u64::MAX).unwrap();
    assert_eq!(found(&snapshot, "trace_id=4bf9"), ["parse", "query", "request"]);
    let sql = "SELECT otel_parent_id FROM trace_context";
    let parents: Vec<String> = Database::open(&snapshot).rows(sql, (), |row| row.get(0));
    assert_eq!(parents, ["00f067aa0ba902b7"]);
}
