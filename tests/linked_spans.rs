//! What is spawned has a span that follows from the one in which that was done, and is no child that keeps it open.

use std::sync::mpsc;

use spandrel::linked_span;
use spandrel_export::{Format, Settings, Source, export};
use spandrel_query::{Reader, Trace};
use spandrel_tests::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Whether a span of this name is stored: it has closed.
fn is_closed(profiler: &Profiler, path: &Path, name: &str) -> bool {
    profiler.flush(Duration::from_secs(60)).unwrap();
    let sql =
        "SELECT count(*) FROM span JOIN callsite ON callsite.id = callsite_id WHERE name = ?1";
    Database::open(path).rows(sql, [name], |row| row.get::<_, i64>(0)) == [1]
}

/// The task is a root, and follows from the request.
fn check(path: &Path, task: &str) {
    let db = Database::open(path);
    let (request, task) = (db.span("request"), db.span(task));
    assert_eq!((task.parent_id, task.root_id), (None, task.id));
    assert_eq!(db.links(), [(task.id, request.id)]);
    assert!(task.end_ns() > request.end_ns(), "it went on");
}

fn a_request_spawns_a_task_and_closes(runtime: &Runtime) {
    let (scratch, profiler) = recording_for(60);
    within(&dispatch(&profiler), || {
        runtime.block_on(async {
            let (go_on, wait) = oneshot::channel();
            let request = info_span!("request");
            let task = async move {
                info_span!("inside").in_scope(|| ());
                wait.await.unwrap();
            };
            let task = request.in_scope(|| task.instrument(linked_span!("audit", order = 17)));
            let subscriber = tracing::dispatcher::get_default(Clone::clone);
            let task = tokio::spawn(tracing::instrument::WithSubscriber::with_subscriber(
                task, subscriber,
            ));
            drop(request);
            assert!(is_closed(&profiler, scratch.db(), "request"), "while the task goes on");
            go_on.send(()).unwrap();
            task.await.unwrap();
        });
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    check(scratch.db(), "audit");
    assert_eq!(db.span("inside").parent_id, Some(db.span("audit").id));
    assert_eq!(db.span("audit").fields.number("order"), 17);
}

#[instrument(parent = None, follows_from = [cause], skip(cause, wait))]
async fn audit(cause: Option<tracing::Id>, wait: oneshot::Receiver<()>, order: u64) {
    wait.await.unwrap();
}

#[test]
fn a_function_that_is_instrumented_is_told_its_cause() {
    let _limit = time_limit(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (scratch, profiler) = recording();
    within(&dispatch(&profiler), || {
        runtime.block_on(async {
            let (go_on, wait) = oneshot::channel();
            let request = info_span!("request");
            let task = request.in_scope(|| tokio::spawn(audit(Span::current().id(), wait, 17)));
            // It is polled for the first time while the request is open.
            tokio::task::yield_now().await;
            drop(request);
            assert!(is_closed(&profiler, scratch.db(), "request"), "while the task goes on");
            go_on.send(()).unwrap();
            task.await.unwrap();
        });
    });
    ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    check(scratch.db(), "audit");
}

#[test]
fn on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    a_request_spawns_a_task_and_closes(&runtime);
}

#[test]
fn on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    a_request_spawns_a_task_and_closes(&runtime);
}

#[test]
fn on_a_thread_of_its_own_and_in_a_pool() {
    let _limit = time_limit(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for in_pool in [false, true] {
        let (scratch, profiler) = recording();
        within(&dispatch(&profiler), || {
            let (go_on, wait) = mpsc::channel::<()>();
            let request = info_span!("request");
            let span = request.in_scope(|| linked_span!(target: "pool", Level::DEBUG, "resize"));
            let work = move || span.in_scope(|| wait.recv().unwrap());
            if in_pool {
                let task = runtime.spawn_blocking(work);
                drop(request);
                assert!(is_closed(&profiler, scratch.db(), "request"));
                go_on.send(()).unwrap();
                runtime.block_on(task).unwrap();
            } else {
                let thread = std::thread::spawn(work);
                drop(request);
                assert!(is_closed(&profiler, scratch.db(), "request"));
                go_on.send(()).unwrap();
                thread.join().unwrap();
            }
        });
        ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        check(scratch.db(), "resize");
    }
}

#[test]
fn outside_of_all_spans_it_is_a_root_and_follows_from_none() {
    let _limit = time_limit(60);
    let db = recorded(dispatch, || {
        linked_span!(target: "jobs", "first").in_scope(|| ());
        linked_span!(Level::WARN, "second", reason = %"none", n = 3).in_scope(|| ());
    });
    assert_eq!(db.links(), []);
    assert_eq!(
        (db.span("first").level.as_str(), db.span("second").level.as_str()),
        ("INFO", "WARN")
    );
    assert_eq!(db.span("second").fields.text("reason"), "none");
    assert_eq!((db.span("first").parent_id, db.span("second").parent_id), (None, None));
}

#[test]
fn the_tree_and_exports_show_where_it_came_from() {
    let (scratch, profiler) = recording_for(60);
    within(&dispatch(&profiler), || {
        let span = info_span!("request").in_scope(|| linked_span!("audit"));
        span.in_scope(std::thread::yield_now);
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let (request, audit) = (db.span("request").id as u64, db.span("audit").id as u64);
    let reader = Reader::open(scratch.db()).unwrap();
    let run = reader.latest_run().unwrap().unwrap();
    let trace = Trace::read(&reader, audit, 100).unwrap().unwrap();
    let links: Vec<_> =
        trace.links(&reader).unwrap().iter().map(|l| (l.span_id, l.follows_id)).collect();
    assert_eq!(links, [(audit, request)]);
    let file = |format| {
        let mut file = Vec::new();
        export(&mut Source::new(&reader, &run), &Settings::new(format), &mut file).unwrap();
        String::from_utf8(file).unwrap()
    };
    let otlp: serde_json::Value = serde_json::from_str(file(Format::OtlpJson).trim()).unwrap();
    let spans = otlp["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let of = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(of("audit")["links"][0]["spanId"], of("request")["spanId"]);
    let chrome: serde_json::Value = serde_json::from_str(&file(Format::Chrome)).unwrap();
    let events = chrome["traceEvents"].as_array().unwrap();
    let flows = events.iter().filter(|event| event["cat"] == "link").count();
    assert_eq!(flows, 2, "an arrow has two ends");
}
