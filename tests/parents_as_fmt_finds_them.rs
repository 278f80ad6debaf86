//! Parents under a filter are those that `Context::span(..).parent()` gives inside the same filter, and those that
//! `fmt` prints there.

use std::sync::{Arc, Mutex};

use spandrel_tests::layers::SeesAll;
use spandrel_tests::prelude::*;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// What `Context` says of each span, by name.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Seen>>>);

/// A span and its parent.
type Seen = (&'static str, Option<&'static str>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Witness {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.name());
        self.0.lock().unwrap().push((attributes.metadata().name(), parent));
    }
}

#[test]
fn parents_are_those_that_context_and_fmt_find_inside_the_same_filter() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).spans(LevelFilter::TRACE).build().unwrap();
    let (witness, text) = (Witness::default(), Arc::new(Mutex::new(Vec::new())));
    let writer = Arc::clone(&text);
    let fmt = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_span_events(FmtSpan::NEW)
        .with_writer(move || Lines(Arc::clone(&writer)));
    let all = profiler.layer().and_then(witness.clone()).and_then(fmt);
    let registry = tracing_subscriber::registry().with(all.with_filter(LevelFilter::INFO));
    let dispatch = Dispatch::new(registry.with(SeesAll));
    let (request, hidden) = within(&dispatch, || {
        let request = info_span!("request");
        let hidden = request.in_scope(|| debug_span!("hidden"));
        (request, hidden)
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            within(&dispatch, || {
                let _elsewhere = info_span!("elsewhere").entered();
                let _hidden = hidden.enter();
                let _child = info_span!("child").entered();
                let _again = trace_span!("hidden again").entered();
                drop(info_span!("grandchild"));
                drop(info_span!(parent: &hidden, "second child"));
                drop(info_span!(parent: None, "root"));
            });
        });
    });
    within(&dispatch, || drop((request, hidden)));
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let seen = witness.0.lock().unwrap().clone();
    assert_eq!(seen.len(), 6);
    assert_eq!(seen[2], ("child", Some("request")));
    for (name, expected) in &seen {
        assert_eq!(db.parent_of(name).as_deref(), *expected, "parent of {name}");
    }
    let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines.len(), seen.len(), "{text}");
    // A line says `request:child: new`.
    for (line, (name, _)) in lines.iter().zip(&seen) {
        let mut path = vec![(*name).to_owned()];
        path.extend(std::iter::successors(db.parent_of(name), |name| db.parent_of(name)));
        path.reverse();
        assert_eq!(*line, format!("{}: new", path.join(":")));
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
