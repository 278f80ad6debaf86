//! The layer beside others: above and below a formatting layer, boxed, optional, reloaded; none of
//! them sees anything different for it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use spandrel_tests::prelude::*;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

/// Where the formatting layer writes.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Sink {
    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        tracing_subscriber::fmt::layer()
            .with_writer(self.clone())
            .with_ansi(false)
            .without_time()
            .with_span_events(FmtSpan::NEW)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[instrument(fields(late))]
fn work(n: u32) -> u32 {
    tracing::Span::current().record("late", n);
    info!(n, "working");
    info_span!("inner", text = "some text").in_scope(|| n + 1)
}

fn program() {
    let outer = info_span!("outer", late = field::Empty).entered();
    outer.record("late", "text");
    (0..10).for_each(|n| assert_eq!(work(n), n + 1));
}

fn check(build: impl FnOnce(&Profiler, &Sink) -> Dispatch) {
    let (scratch, profiler) = recording();
    let (alone, beside) = (Sink::default(), Sink::default());
    within(&Dispatch::new(tracing_subscriber::registry().with(alone.layer())), program);
    within(&build(&profiler, &beside), program);
    let (report, db) = ledger::closed(&scratch, &profiler);
    assert_eq!((report.recorded, report.events.recorded), (21, 10));
    assert_eq!(db.span("outer").fields.text("late"), "text");
    for span in db.spans().iter().filter(|span| span.name == "work") {
        assert_eq!(span.fields.raw("n"), span.fields.raw("late"));
    }
    // Both programs printed the same: 21 new spans and 10 events.
    assert_eq!(beside.text(), alone.text());
    assert_eq!(alone.text().lines().count(), 31);
}

#[test]
fn above_a_formatting_layer() {
    let _limit = time_limit(30);
    check(|profiler, sink| {
        let registry = tracing_subscriber::registry();
        Dispatch::new(registry.with(sink.layer()).with(profiler.layer()))
    });
}

#[test]
fn below_a_formatting_layer() {
    let _limit = time_limit(30);
    check(|profiler, sink| {
        let registry = tracing_subscriber::registry();
        Dispatch::new(registry.with(profiler.layer()).with(sink.layer()))
    });
}

#[test]
fn boxed_optional_and_in_a_vector() {
    let _limit = time_limit(30);
    check(|profiler, sink| {
        let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
            vec![profiler.layer().boxed(), sink.layer().boxed()];
        Dispatch::new(tracing_subscriber::registry().with(layers))
    });
    check(|profiler, sink| {
        let registry = tracing_subscriber::registry();
        Dispatch::new(registry.with(Some(profiler.layer())).with(sink.layer()))
    });
}

#[test]
fn inside_a_reloadable_layer() {
    let (scratch, profiler) = recording_for(30);
    let (layer, handle) = reload::Layer::new(None::<spandrel::ProfilerLayer<Registry>>);
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    within(&dispatch, || {
        let before = info_span!("before");
        handle.reload(Some(profiler.layer())).unwrap();
        // It was not there when this one opened: a span it does not know, everywhere.
        before.record("late", 1);
        before.in_scope(|| {
            drop(info_span!("during"));
            info!("during");
        });
        drop(before);
        let open = info_span!("open when it goes");
        handle.reload(None).unwrap();
        drop(open);
        drop(info_span!("after"));
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let names: Vec<_> = db.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["during", "open when it goes"]);
    assert_eq!(db.span("during").parent_id, None);
    assert_eq!(db.event("during").span_id, None);
    assert_eq!(db.span("open when it goes").status, "unfinished");
}
