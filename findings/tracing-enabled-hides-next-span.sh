#!/usr/bin/env bash
# tracing 0.1.44, tracing-subscriber 0.3.23, log 0.4.29, seen on 2026-11-28.
#
# Two layers, each with a filter of its own: INFO and TRACE. A program asks whether DEBUG is enabled
# (`tracing::enabled!`, or `log::log_enabled!` through the bridge) and then opens an INFO span. The layer
# with the INFO filter does not see the span: its "no" to the question is left behind in the thread, and
# a span whose callsite is enabled for good is not asked about again, so that it takes that answer.
#
# Output seen:
#   nobody asks: 100 of 100 spans
#   tracing::enabled! before each: 0 of 100 spans
#   log::log_enabled! before each: 0 of 100 spans
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "hidden-span"
version = "0.0.0"
edition = "2021"

[dependencies]
log = "=0.4.29"
tracing = "=0.1.44"
tracing-subscriber = "=0.3.23"
TOML
cat >src/main.rs <<'RUST'
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::{Level, Subscriber, info_span, span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

static SEEN: AtomicUsize = AtomicUsize::new(0);

struct Count;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Count {
    fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
}

fn spans_seen(before_each: &str, ask: impl Fn()) {
    SEEN.store(0, Ordering::Relaxed);
    for _ in 0..100 {
        ask();
        let _span = info_span!("work").entered();
    }
    println!("{before_each}: {} of 100 spans", SEEN.load(Ordering::Relaxed));
}

fn main() {
    let everything = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    tracing_subscriber::registry()
        .with(Count.with_filter(LevelFilter::INFO))
        .with(everything.with_filter(LevelFilter::TRACE))
        .init();
    spans_seen("nobody asks", || {});
    spans_seen("tracing::enabled! before each", || drop(tracing::enabled!(Level::DEBUG)));
    spans_seen("log::log_enabled! before each", || drop(log::log_enabled!(log::Level::Debug)));
}
RUST
cargo run -q 2>/dev/null >seen.txt
cat seen.txt
diff seen.txt - <<'END'
nobody asks: 100 of 100 spans
tracing::enabled! before each: 0 of 100 spans
log::log_enabled! before each: 0 of 100 spans
END
