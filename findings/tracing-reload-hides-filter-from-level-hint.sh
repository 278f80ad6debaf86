#!/usr/bin/env bash
# tracing 0.1.44, tracing-subscriber 0.3.23, seen on 2026-11-29.
#
# A layer with a filter of its own beside a layer that wants everything: the level hint of the filter is not
# taken for that of both, since the filter is a filter of one layer. In a `reload::Layer` the same pair of
# layer and filter counts as a filter of all: `reload` does not pass on the question by which it would be
# found out. A hint of INFO is taken for the whole program then, and spans at DEBUG are not even made for the
# layer that wants them. Whoever reloads the filter alone (`layer.with_filter(reloadable)`) is not hit.
#
# Output seen:
#   filter, not reloadable: 100 of 100 spans, max level TRACE
#   layer and filter in reload: 0 of 100 spans, max level INFO
#   filter alone in reload: 100 of 100 spans, max level TRACE
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "hidden-filter"
version = "0.0.0"
edition = "2021"

[dependencies]
tracing = "=0.1.44"
tracing-subscriber = "=0.3.23"
TOML
cat >src/main.rs <<'RUST'
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::{debug_span, span, Dispatch, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Wants everything.
struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
}

fn spans_seen(what: &str, dispatch: impl Into<Dispatch>) {
    SEEN.store(0, Ordering::Relaxed);
    tracing::dispatcher::with_default(&dispatch.into(), || {
        for _ in 0..100 {
            let _span = debug_span!("work").entered();
        }
        let level = LevelFilter::current().to_string().to_uppercase();
        println!("{what}: {} of 100 spans, max level {level}", SEEN.load(Ordering::Relaxed));
    });
}

fn main() {
    let registry = tracing_subscriber::registry;
    let quiet = || tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    spans_seen(
        "filter, not reloadable",
        registry().with(Count).with(quiet().with_filter(LevelFilter::INFO)),
    );
    let (both, _handle) = reload::Layer::new(quiet().with_filter(LevelFilter::INFO));
    spans_seen("layer and filter in reload", registry().with(Count).with(both));
    let (filter, _handle) = reload::Layer::new(LevelFilter::INFO);
    spans_seen("filter alone in reload", registry().with(Count).with(quiet().with_filter(filter)));
}
RUST
cargo run --quiet 2>said >seen || { cat said >&2; exit 1; }
cat seen
diff - seen <<'SEEN'
filter, not reloadable: 100 of 100 spans, max level TRACE
layer and filter in reload: 0 of 100 spans, max level INFO
filter alone in reload: 100 of 100 spans, max level TRACE
SEEN
