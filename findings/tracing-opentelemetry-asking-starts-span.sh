#!/usr/bin/env bash
# tracing-opentelemetry 0.34.0, opentelemetry 0.33.0, opentelemetry_sdk 0.33.0, tracing 0.1.44, tracing-subscriber 0.3.23,
# seen on 2026-11-29.
#
# `get_otel_context` tells another layer the trace id of a span. It reads as a question and is an act: a span that was not
# started yet is started by it, with ids of its own. So a layer that asks where it hears of a new span takes every span's
# remote parent away: `set_parent`, which programs call right after they have made the span of a request, fails with
# `AlreadyStarted` from then on (its result is mostly ignored), and the request is in a trace of its own. Asked where the span is
# entered for the first time, when it is started anyway, it does no harm. A layer added after it gets no answer when the span closes.
#
# Output seen:
#   nobody asks: set_parent Ok(()), in the caller's trace: true
#   asked at the first entry: set_parent Ok(()), in the caller's trace: true
#   asked when it is new: set_parent Err(AlreadyStarted), in the caller's trace: false
#   asked when it closes: set_parent Ok(()), in the caller's trace: true
#     an answer at the close: false
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "asked-too-early"
version = "0.0.0"
edition = "2021"

[dependencies]
opentelemetry = { version = "=0.33.0", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.0", default-features = false, features = ["trace"] }
tracing = "=0.1.44"
tracing-opentelemetry = { version = "=0.34.0", default-features = false }
tracing-subscriber = "=0.3.23"
TOML
cat >src/main.rs <<'RUST'
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::Context as OtelContext;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::dispatcher::{Dispatch, WeakDispatch};
use tracing::span::{Attributes, Id};
use tracing::{info_span, Subscriber};
use tracing_opentelemetry::{get_otel_context, OpenTelemetrySpanExt};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

static ANSWERED: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Never,
    New,
    Entered,
    Closed,
}

/// Asks for a span's context at one moment of its life.
struct Asking(Asks, OnceLock<WeakDispatch>);

impl Asking {
    fn ask(&self, when: Asks, id: &Id) {
        let dispatch = self.1.get().and_then(WeakDispatch::upgrade);
        if let (true, Some(dispatch)) = (self.0 == when, dispatch) {
            ANSWERED.store(get_otel_context(id, &dispatch).is_some(), Ordering::Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Asking {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.1.set(dispatch.downgrade());
    }

    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        self.ask(Asks::New, id);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.ask(Asks::Entered, id);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.ask(Asks::Closed, &id);
    }
}

fn main() {
    let caller = SpanContext::new(
        TraceId::from_bytes(7_u128.to_be_bytes()),
        SpanId::from_bytes(9_u64.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let all = [
        ("nobody asks", Asks::Never),
        ("asked at the first entry", Asks::Entered),
        ("asked when it is new", Asks::New),
        ("asked when it closes", Asks::Closed),
    ];
    for (what, asks) in all {
        let provider = SdkTracerProvider::builder().build();
        let otel = tracing_opentelemetry::layer().with_tracer(provider.tracer("t"));
        let subscriber =
            tracing_subscriber::registry().with(otel).with(Asking(asks, OnceLock::new()));
        tracing::subscriber::with_default(subscriber, || {
            let span = info_span!("request");
            let parent = OtelContext::new().with_remote_span_context(caller.clone());
            let set = span.set_parent(parent);
            let is_in = span.in_scope(|| {
                span.context().span().span_context().trace_id() == caller.trace_id()
            });
            println!("{what}: set_parent {set:?}, in the caller's trace: {is_in}");
        });
        if asks == Asks::Closed {
            println!("  an answer at the close: {}", ANSWERED.load(Ordering::Relaxed));
        }
    }
}
RUST
cargo run --quiet 2>said >seen || { cat said >&2; exit 1; }
cat seen
diff - seen <<'SEEN'
nobody asks: set_parent Ok(()), in the caller's trace: true
asked at the first entry: set_parent Ok(()), in the caller's trace: true
asked when it is new: set_parent Err(AlreadyStarted), in the caller's trace: false
asked when it closes: set_parent Ok(()), in the caller's trace: true
  an answer at the close: false
SEEN
