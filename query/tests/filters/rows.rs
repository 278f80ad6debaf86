//! Spans to look at.

use std::sync::Arc;

use proptest::prelude::*;
use spandrel_query::SpanContext;
use spandrel_query::SpanRef;
use spandrel_query::{Callsite, Thread};
use spandrel_storage::{Status, TraceContext};

/// What the rows of spans refer to.
#[derive(Debug, Clone)]
pub struct Names {
    pub callsites: Vec<Arc<Callsite>>,
    pub threads: Vec<Arc<Thread>>,
}

pub fn names() -> Names {
    let callsite = |(id, name, level, module): (i64, &str, &str, Option<&str>)| {
        let mut callsite = Callsite::default();
        callsite.id = id;
        callsite.name = name.to_owned();
        callsite.target = format!("shop::{name}").into();
        callsite.level = level.into();
        callsite.module = module.map(Into::into);
        callsite.file = module.map(|module| format!("src/{module}.rs").into());
        Arc::new(callsite)
    };
    let thread = |(id, name): (i64, Option<&str>)| {
        let mut thread = Thread::default();
        thread.id = id;
        thread.os_id = 1000;
        thread.name = name.map(str::to_owned);
        Arc::new(thread)
    };
    let callsites = [
        (1, "db.query", "INFO", Some("db")),
        (2, "db.begin", "DEBUG", Some("db")),
        (3, "http request", "ERROR", None),
        (-4, "größe (\"x\")", "TRACE", Some("x")),
        (70_000, "or", "WARN", None),
        (6, "", "odd", None),
    ];
    let threads = [(1, Some("worker-1")), (2, Some("worker-2")), (3, None)];
    Names {
        callsites: callsites.into_iter().map(callsite).collect(),
        threads: threads.into_iter().map(thread).collect(),
    }
}

#[derive(Debug, Clone)]
pub struct Row {
    pub callsite: usize,
    pub thread: usize,
    pub id: u64,
    pub parent_id: Option<u64>,
    pub root_id: u64,
    pub start_ns: i64,
    pub duration_ns: Option<i64>,
    pub busy_ns: Option<i64>,
    pub entries: u64,
    /// To the first entry, of the longest, to the last exit, and on which thread the longest was.
    pub times: (Option<i64>, Option<i64>, Option<i64>, usize),
    pub status: Status,
    pub fields: Option<String>,
    pub context: Option<SpanContext>,
}

impl Row {
    /// A root that has closed, of which hardly anything is known.
    pub fn plain() -> Self {
        Self {
            callsite: 0,
            thread: 0,
            id: 1,
            parent_id: None,
            root_id: 1,
            start_ns: 0,
            duration_ns: None,
            busy_ns: None,
            entries: 1,
            times: (None, Some(1), None, 0),
            status: Status::Ok,
            fields: None,
            context: None,
        }
    }

    pub fn span<'a>(&'a self, names: &'a Names) -> SpanRef<'a> {
        SpanRef {
            id: self.id,
            run_id: 1,
            parent_id: self.parent_id,
            root_id: self.root_id,
            callsite: &names.callsites[self.callsite],
            thread: &names.threads[self.thread],
            start_ns: self.start_ns,
            duration_ns: self.duration_ns,
            busy_ns: self.busy_ns,
            self_ns: self.duration_ns.map(|ns| ns / 2),
            self_busy_ns: None,
            entries: self.entries,
            first_entry_ns: self.times.0,
            longest_entry_ns: self.times.1,
            last_exit_ns: self.times.2,
            longest_thread: &names.threads[self.times.3],
            status: self.status,
            fields: self.fields.as_deref(),
            entry: None,
            context: self.context,
        }
    }
}

pub fn row() -> impl Strategy<Value = Row> {
    let fields = prop::sample::select(vec![
        None,
        Some("{}"),
        Some(r#"{"a":7}"#),
        Some(r#"{"a":7.0,"b":"seven"}"#),
        Some(r#"{"a":"7","user":{"name":"ann","tags":[1,"x"]}}"#),
        Some(r#"{"a":-1.5e3,"user.name":"bob"}"#),
        Some(r#"{"a":null,"b":true}"#),
        Some(r#"{"\u0061":10,"b":false}"#),
        Some(r#"{"a":"a \"quoted\" text","b":"a"}"#),
        Some(r#"{"a":18446744073709551615}"#),
        Some("no json"),
    ]);
    let status = prop::sample::select(vec![
        Status::Ok,
        Status::Error,
        Status::Panicked,
        Status::Unfinished,
        Status::Crashed,
    ]);
    let ns = || prop::option::weighted(0.8, 0..4_i64);
    (
        (0..6_usize, 0..3_usize, 0..5_u64, prop::option::of(0..5_u64), 0..5_u64),
        (0..4_i64, ns(), ns(), 0..4_u64, status, fields, (ns(), ns(), ns(), 0..3_usize)),
    )
        .prop_map(|((callsite, thread, id, parent_id, root_id), rest)| {
            let (start_ns, duration_ns, busy_ns, entries, status, fields, times) = rest;
            let fields = fields.map(str::to_owned);
            let trace_ids =
                ["0af7651916cd43dd8448eb211c80319c", "0af8651916cd43dd8448eb211c80319c"];
            let trace_id = trace_ids.get(root_id as usize).and_then(|id| id.parse().ok());
            Row {
                context: trace_id.map(|trace_id| {
                    let context = TraceContext { trace_id, span_id: None, parent_id: None };
                    SpanContext::beginning(context)
                }),
                callsite,
                thread,
                id,
                parent_id,
                root_id,
                start_ns,
                duration_ns,
                busy_ns,
                entries,
                times,
                status,
                fields,
            }
        })
}
