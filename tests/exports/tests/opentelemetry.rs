//! Beside a layer of `tracing-opentelemetry`: the profile has the ids under which OpenTelemetry exports its spans, in
//! whichever order the layers are; and what programs do with that layer goes on as without ours.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, ready};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext as Remote, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, trace};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use spandrel::Profiler;
use spandrel_export::Format;
use spandrel_export::{OtlpEncoding, Settings, Source, otlp_requests};
use spandrel_query::Reader;
use spandrel_query::SpanContext;
use spandrel_query::{Columns, Filter, Scan};
use tracing::field::Empty;
use tracing::{Dispatch, debug_span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// What OpenTelemetry exports.
#[derive(Debug, Clone, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().unwrap().extend(batch);
        ready(Ok(()))
    }
}

/// A span, by both of them: name, trace, span.
type Ids = BTreeMap<String, (String, Option<String>)>;

/// A program's run.
struct Both {
    exported: Vec<SpanData>,
    profile: HashMap<String, Option<SpanContext>>,
    /// The rows of the table, as they stand there, by name of the span.
    rows: Ids,
    sent: HashMap<String, Sent>,
    folder: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    OursFirst,
    TheirsFirst,
}

fn both(order: Order, sampler: Sampler, their_level: LevelFilter, program: impl Fn()) -> Both {
    both_with(order, sampler, (LevelFilter::TRACE, their_level), program)
}

/// With filters of both layers.
fn both_with(
    order: Order,
    sampler: Sampler,
    (our_level, their_level): (LevelFilter, LevelFilter),
    program: impl Fn(),
) -> Both {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.db");
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let exported = Exported::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exported.clone())
        .with_sampler(sampler)
        .build();
    let tracer = provider.tracer("test");
    let dispatch = match order {
        Order::OursFirst => {
            let theirs = tracing_opentelemetry::layer().with_tracer(tracer);
            let ours = profiler.layer().with_filter(our_level);
            let ours = tracing_subscriber::registry().with(ours);
            Dispatch::new(ours.with(theirs.with_filter(their_level)))
        }
        Order::TheirsFirst => {
            let theirs = tracing_opentelemetry::layer().with_tracer(tracer);
            let theirs = tracing_subscriber::registry().with(theirs.with_filter(their_level));
            Dispatch::new(theirs.with(profiler.layer().with_filter(our_level)))
        }
    };
    tracing::dispatcher::with_default(&dispatch, program);
    profiler.flush(Duration::from_secs(60)).unwrap();
    let report = profiler.close().unwrap();
    assert!(report.balances() && report.dropped.total() == 0, "{report:?}");
    provider.force_flush().unwrap();
    let exported = exported.0.lock().unwrap().clone();
    let (profile, rows, sent) = read(&path);
    Both { exported, profile, rows, sent, folder }
}

fn read(path: &Path) -> (HashMap<String, Option<SpanContext>>, Ids, HashMap<String, Sent>) {
    let reader = Reader::open(path).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    let mut profile = HashMap::new();
    let scan = Scan::new(run.id).columns(Columns::All);
    reader
        .scan(&scan, |span| {
            let before = profile.insert(span.callsite.name.clone(), span.context);
            assert!(before.is_none(), "each name is of one span");
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT name, trace_id, otel_span_id FROM trace_context JOIN spans ON id = span_id";
    let mut query = conn.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    let rows = rows.collect::<Result<_, _>>().unwrap();
    let mut sent = HashMap::new();
    let mut source = Source::new(&reader, &run);
    let settings = Settings::new(Format::OtlpJson);
    otlp_requests(&mut source, &settings, OtlpEncoding::Protobuf, &mut |request| {
        let request = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        let spans = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans = spans.flat_map(|scope| scope.spans);
        sent.extend(spans.map(|span| (span.name.clone(), span)));
        Ok(())
    })
    .unwrap();
    (profile, rows, sent)
}

impl Both {
    fn exported(&self, name: &str) -> &SpanData {
        self.exported.iter().find(|span| span.name == name).unwrap()
    }

    fn context(&self, name: &str) -> SpanContext {
        self.profile[name].unwrap_or_else(|| panic!("nothing is known of {name}"))
    }

    /// The span is known by the same ids here and there, also in what we export.
    fn is_the_same(&self, name: &str) {
        let theirs = self.exported(name);
        let ours = self.context(name);
        let ids = &theirs.span_context;
        assert_eq!(ours.trace_id.to_string(), ids.trace_id().to_string(), "{name}");
        assert_eq!(ours.span_id.unwrap().to_string(), ids.span_id().to_string(), "{name}");
        assert!(ours.begins, "{name}");
        let sent = &self.sent[name];
        assert_eq!(sent.trace_id, ids.trace_id().to_bytes(), "{name}");
        assert_eq!(sent.span_id, ids.span_id().to_bytes(), "{name}");
    }

    /// The names of spans that have a row.
    fn rows(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }

    fn found(&self, filter: &str) -> Vec<String> {
        let reader = Reader::open(self.folder.path().join("profile.db")).unwrap();
        let mut names = Vec::new();
        let filter = Filter::parse(filter).unwrap();
        reader
            .scan_filtered(&Scan::new(1), &filter, |span| {
                names.push(span.callsite.name.clone());
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        names.sort();
        names
    }
}

fn remote(trace: u128, span: u64) -> Context {
    let (trace, span) =
        (TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(span.to_be_bytes()));
    let remote = Remote::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
    Context::new().with_remote_span_context(remote)
}

const ORDERS: [Order; 2] = [Order::OursFirst, Order::TheirsFirst];

#[test]
fn a_root_has_the_ids_that_opentelemetry_exports() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            let request = info_span!("request", route = "/cart").entered();
            info_span!("query").in_scope(|| info_span!("parse").in_scope(|| ()));
            drop(request);
            info_span!("other").in_scope(|| ());
        });
        both.is_the_same("request");
        both.is_the_same("other");
        assert_eq!(both.rows(), ["other", "request"], "those inside are known by it");
        let trace = both.exported("request").span_context.trace_id().to_string();
        assert_eq!(both.found(&format!("trace_id={trace}")), ["parse", "query", "request"]);
        let [query, request] = ["query", "request"].map(|name| &both.sent[name]);
        assert_eq!((&query.trace_id, &query.parent_span_id), (&request.trace_id, &request.span_id));
    }
}

#[test]
fn a_remote_parent_that_is_set_after_the_span_was_made_is_not_too_late() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            let request = info_span!("request");
            request.set_parent(remote(0xabcdef, 0x77)).unwrap();
            request.in_scope(|| {
                // A consumer that handles the messages of others in a span of its own.
                for (name, trace) in [("message 1", 1), ("message 2", 2)] {
                    let message = match trace {
                        1 => info_span!("message 1", name),
                        _ => info_span!("message 2", name),
                    };
                    message.set_parent(remote(trace, 0x88)).unwrap();
                    message.in_scope(|| match trace {
                        1 => info_span!("handle 1").in_scope(|| ()),
                        _ => info_span!("handle 2").in_scope(|| ()),
                    });
                }
            });
        });
        for name in ["request", "message 1", "message 2"] {
            both.is_the_same(name);
        }
        assert_eq!(both.context("request").trace_id.get(), 0xabcdef);
        let id = |n: u128| format!("trace_id={n:032x}");
        assert_eq!(both.found(&id(1)), ["handle 1", "message 1"]);
        assert_eq!(both.found(&id(2)), ["handle 2", "message 2"]);
        assert_eq!(both.found(&id(0xabcdef)), ["request"]);
        assert!(
            both.sent["message 1"].parent_span_id.is_empty(),
            "no span of its trace is around it"
        );
    }
}

#[test]
fn requests_of_a_connection_that_opentelemetry_does_not_see_begin_their_traces() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::INFO, || {
            let _connection = debug_span!("connection").entered();
            info_span!("first").in_scope(|| debug_span!("parse").in_scope(|| ()));
            info_span!("second").in_scope(|| info_span!("query").in_scope(|| ()));
        });
        both.is_the_same("first");
        both.is_the_same("second");
        assert_eq!(both.rows(), ["first", "second"]);
        assert_eq!(both.profile["connection"], None);
        assert_eq!(both.context("parse").trace_id, both.context("first").trace_id);
        assert_eq!(both.context("query").trace_id, both.context("second").trace_id);
    }
}

/// Of the spans that we record, the nearest one around is asked for its trace; what we do not record may have begun another.
#[test]
fn a_child_of_a_span_that_we_do_not_record_has_the_trace_that_opentelemetry_gives_it() {
    for order in ORDERS {
        let levels = (LevelFilter::INFO, LevelFilter::TRACE);
        let both = both_with(order, Sampler::AlwaysOn, levels, || {
            // Nothing of ours is around it.
            let handled = debug_span!("handled");
            handled.set_parent(remote(0x11, 0x77)).unwrap();
            handled
                .in_scope(|| info_span!("first").in_scope(|| info_span!("parse").in_scope(|| ())));
            let outer = info_span!("outer").entered();
            // One of another trace in between, and one of the same.
            let message = debug_span!("message");
            message.set_parent(remote(0x22, 0x88)).unwrap();
            message.in_scope(|| info_span!("second").in_scope(|| ()));
            debug_span!("step").in_scope(|| info_span!("third").in_scope(|| ()));
            // By handle, of one that nobody enters.
            let unentered = debug_span!("unentered");
            unentered.set_parent(remote(0x33, 0x99)).unwrap();
            info_span!(parent: &unentered, "fourth").in_scope(|| ());
            drop(outer);
        });
        assert!(!both.profile.contains_key("message") && !both.profile.contains_key("handled"));
        for name in ["first", "outer", "second", "fourth"] {
            both.is_the_same(name);
        }
        assert_eq!(both.rows(), ["first", "fourth", "outer", "second"]);
        let traces = ["first", "second", "fourth"].map(|name| both.context(name).trace_id.get());
        assert_eq!(traces, [0x11, 0x22, 0x33]);
        let outer = both.context("outer").trace_id;
        assert_eq!(both.found(&format!("trace_id={outer}")), ["outer", "third"]);
        assert_eq!(both.found(&format!("trace_id={:032x}", 0x11)), ["first", "parse"]);
        for (name, parent) in [("first", "handled"), ("second", "message"), ("third", "step")] {
            let parent = both.exported(parent).span_context.span_id();
            assert_eq!(both.exported(name).parent_span_id, parent, "{name}");
        }
    }
}

/// The header that a program has put into a field, and handed to that layer as well: of the same trace its span is the
/// parent; what another one says is of no trace that OpenTelemetry knows.
#[test]
fn a_header_in_a_field_says_who_called_if_it_is_of_the_same_trace() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            for name in ["same", "other"] {
                let trace = if name == "same" { 0x44_u128 } else { 0x55 };
                let traceparent = format!("00-{trace:032x}-00000000000000aa-01");
                let request = match name {
                    "same" => info_span!("same", traceparent),
                    _ => info_span!("other", traceparent),
                };
                request.set_parent(remote(0x44, 0xaa)).unwrap();
                request.in_scope(|| ());
            }
        });
        for name in ["same", "other"] {
            both.is_the_same(name);
            assert_eq!(both.context(name).trace_id.get(), 0x44, "{name}");
        }
        let parents = ["same", "other"].map(|name| both.sent[name].parent_span_id.clone());
        assert_eq!(parents, [0xaa_u64.to_be_bytes().to_vec(), Vec::new()]);
    }
}

#[test]
fn a_root_that_nobody_enters_is_known_when_it_gets_a_child() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            let request = info_span!("request");
            let query = info_span!(parent: &request, "query");
            let _other = info_span!(parent: &request, "fetch");
            query.in_scope(|| info_span!("parse").in_scope(|| ()));
            let _leaf = info_span!(parent: None, "leaf");
        });
        both.is_the_same("request");
        assert_eq!(both.rows(), ["request"]);
        assert_eq!(both.context("parse").trace_id, both.context("request").trace_id);
        assert_eq!(both.profile["leaf"], None, "it was never started");
    }
}

#[test]
fn a_trace_that_is_not_sampled_is_found_by_the_id_that_logs_have() {
    for order in ORDERS {
        let seen = Mutex::new(String::new());
        let both = both(order, Sampler::AlwaysOff, LevelFilter::TRACE, || {
            let request = info_span!("request").entered();
            let context = request.context();
            let id = trace::TraceContextExt::span(&context).span_context().trace_id();
            *seen.lock().unwrap() = id.to_string();
        });
        assert_eq!(both.exported.len(), 0);
        assert_eq!(both.found(&format!("trace_id={}", seen.lock().unwrap())), ["request"]);
    }
}

#[test]
fn fields_that_are_recorded_later_leave_the_ids_as_they_are() {
    let long = "x".repeat(300);
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            let request = info_span!("request", route = "/", user = Empty, note = Empty);
            for value in ["a", "a longer one", &long] {
                request.in_scope(|| request.record("user", value));
                // The last one before the ids, which may grow into what is behind it.
                request.record("note", value);
                request.record("route", value);
            }
        });
        both.is_the_same("request");
        let reader = Reader::open(both.folder.path().join("profile.db")).unwrap();
        let mut fields = None;
        reader.spans(1, |span| fields = span.fields).unwrap();
        let fields: serde_json::Value = serde_json::from_str(&fields.unwrap()).unwrap();
        for name in ["user", "note", "route"] {
            assert_eq!(fields[name], long, "{name}");
        }
    }
}

#[test]
fn a_span_that_another_thread_enters_first_is_known() {
    for order in ORDERS {
        let both = both(order, Sampler::AlwaysOn, LevelFilter::TRACE, || {
            let request = info_span!("request");
            let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        tracing::dispatcher::with_default(&dispatch, || {
                            (0..50).for_each(|_| request.in_scope(|| ()));
                        });
                    });
                }
            });
        });
        both.is_the_same("request");
    }
}

#[test]
fn without_a_tracer_nothing_is_known_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.db");
    let profiler = Profiler::builder().database(&path).build().unwrap();
    let subscriber =
        tracing_subscriber::registry().with(tracing_opentelemetry::layer()).with(profiler.layer());
    tracing::subscriber::with_default(subscriber, || {
        (0..100)
            .for_each(|_| info_span!("request").in_scope(|| info_span!("query").in_scope(|| ())));
    });
    let report = profiler.close().unwrap();
    assert_eq!((report.stored, report.dropped.total()), (200, 0));
    let conn = rusqlite::Connection::open(&path).unwrap();
    let rows: i64 =
        conn.query_row("SELECT count(*) FROM trace_context", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}
