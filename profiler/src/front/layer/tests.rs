//! What a layer finds out about the layers and filters around it.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

use super::*;
use crate::Profiler;

struct Other;

impl<S: Subscriber> Layer<S> for Other {}

type Ours = ProfilerLayer<Registry>;

/// Whether the layer of a profiler finds out that it is told about all spans, when it is installed by
/// `put`.
fn hears_all(put: fn(Ours) -> Dispatch) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let builder = Profiler::builder().database(folder.path().join("profile.db"));
    let profiler = builder.max_open_spans(64).build().unwrap();
    let layer = profiler.layer();
    let filter = Arc::clone(&layer.front.filter);
    let _dispatch = put(layer);
    filter.hears_all()
}

fn on(layer: impl Layer<Registry> + Send + Sync) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(layer))
}

#[test]
fn a_layer_that_has_no_filter_around_it_comes_to_know() {
    assert!(hears_all(on));
    assert!(hears_all(|ours| on(ours.boxed())));
    assert!(hears_all(|ours| on(Some(ours))));
    assert!(hears_all(|ours| on(vec![ours.boxed(), Other.boxed()])));
    assert!(hears_all(|ours| on(ours.and_then(Other))));
    assert!(hears_all(|ours| on(Other.and_then(ours).and_then(Other))));
    assert!(hears_all(|ours| on(ours.and_then(Other.with_filter(LevelFilter::INFO)))));
    assert!(hears_all(|ours| {
        let registry = tracing_subscriber::registry().with(ours).with(Other);
        Dispatch::new(registry.with(Other.with_filter(LevelFilter::INFO)))
    }));
}

#[test]
fn a_layer_that_has_a_filter_around_it_or_cannot_know_does_not() {
    assert!(!hears_all(|_ours| Dispatch::none()));
    assert!(!hears_all(|ours| on(ours.with_filter(LevelFilter::INFO))));
    assert!(!hears_all(|ours| on(ours.boxed().with_filter(LevelFilter::INFO).boxed())));
    assert!(!hears_all(|ours| on(Some(ours).with_filter(LevelFilter::INFO).and_then(Other))));
    assert!(!hears_all(|ours| {
        on(Other.and_then(ours).and_then(Other).with_filter(LevelFilter::INFO))
    }));
    assert!(!hears_all(|ours| {
        on(vec![Other.boxed(), ours.and_then(Other).with_filter(LevelFilter::INFO).boxed()])
    }));
    assert!(!hears_all(|ours| {
        let filtered = ours.with_filter(LevelFilter::INFO);
        Dispatch::new(tracing_subscriber::registry().with(filtered).with(Other).with(Other))
    }));
    // Here the layer cannot find out.
    assert!(!hears_all(|ours| on(reload::Layer::new(ours).0)));
    assert!(!hears_all(|ours| on(vec![Other.boxed(), ours.boxed()])));
}
