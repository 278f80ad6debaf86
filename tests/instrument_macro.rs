//! `#[instrument]` on functions that return, fail, panic or await.

use spandrel_tests::prelude::*;

#[instrument]
fn plain(n: u32, text: &str) -> u32 {
    n + text.len() as u32
}

#[instrument(ret)]
fn returns(n: u32) -> u32 {
    n * 2
}

#[instrument(err)]
fn fails(n: u32) -> Result<u32, String> {
    if n == 0 { Err("it was zero".to_owned()) } else { Ok(n) }
}

#[instrument(skip_all, name = "another name", fields(double = n * 2, later))]
fn named(n: u32) {
    tracing::Span::current().record("later", "known now");
}

#[instrument]
fn panics() {
    std::panic::resume_unwind(Box::new(()));
}

#[instrument(ret, err)]
async fn awaits(n: u32) -> Result<u32, String> {
    tokio::task::yield_now().await;
    let inner = awaits_inner(n).await;
    tokio::task::yield_now().await;
    if n == 0 { Err("it was zero".to_owned()) } else { Ok(inner) }
}

#[instrument(level = "debug")]
async fn awaits_inner(n: u32) -> u32 {
    tokio::task::yield_now().await;
    n + 1
}

fn record(body: impl FnOnce()) -> Database {
    let scratch = scratch();
    let profiler = small(scratch.db()).events(LevelFilter::INFO).build().unwrap();
    within(&dispatch(&profiler), body);
    ledger::check_complete(scratch.db(), &profiler.close().unwrap())
}

#[test]
fn functions() {
    let _limit = time_limit(30);
    let db = record(|| {
        assert_eq!(plain(1, "ab"), 3);
        assert_eq!(returns(2), 4);
        fails(0).unwrap_err();
        named(3);
        std::panic::catch_unwind(panics).unwrap_err();
    });
    let plain = db.span("plain").fields;
    assert_eq!((plain.number("n"), plain.text("text").as_str()), (1, "ab"));
    let returns = db.span("returns");
    let returned = db.events().into_iter().find(|event| event.span_id == Some(returns.id)).unwrap();
    assert_eq!(returned.fields.text("return"), "4");
    let fails = db.span("fails");
    assert_eq!(fails.status, "error");
    let failed = db.events().into_iter().find(|event| event.span_id == Some(fails.id)).unwrap();
    assert_eq!(
        (failed.level.as_str(), failed.fields.text("error").as_str()),
        ("ERROR", "it was zero")
    );
    let named = db.span("another name").fields;
    assert_eq!((named.number("double"), named.text("later").as_str()), (6, "known now"));
    assert_eq!(db.span("panics").status, "panicked");
    assert_eq!(db.count("SELECT count(*) FROM span WHERE entries <> 1"), 0);
}

#[test]
fn async_functions() {
    let _limit = time_limit(30);
    let db = record(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(awaits(1)), Ok(2));
        runtime.block_on(awaits(0)).unwrap_err();
    });
    let spans = db.spans();
    assert_eq!(spans.len(), 4, "one row a span, however often it was polled");
    for span in &spans {
        let (status, entries) = match (span.name.as_str(), span.n()) {
            ("awaits", 0) => ("error", 4),
            ("awaits", _) => ("ok", 4),
            (_, _) => ("ok", 2),
        };
        assert_eq!(span.status, status, "{span:?}");
        // Instrumented futures are entered once more to be dropped.
        assert!((entries..=entries + 1).contains(&span.entries), "{span:?}");
        assert!(span.busy_ns <= span.duration_ns.unwrap(), "{span:?}");
    }
    for inner in spans.iter().filter(|span| span.name == "awaits_inner") {
        let outer = spans.iter().find(|span| Some(span.id) == inner.parent_id).unwrap();
        assert_eq!((outer.name.as_str(), outer.n()), ("awaits", inner.n()));
    }
    let ok = db.events().into_iter().find(|event| event.level == "INFO").unwrap();
    assert_eq!(ok.fields.text("return"), "2");
}
