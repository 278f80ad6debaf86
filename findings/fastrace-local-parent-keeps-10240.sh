#!/usr/bin/env bash
# fastrace 0.7.17, seen on 2026-11-30.
#
# What a thread records under one local parent (`set_local_parent`) is kept in a queue of 10,240: local spans, events
# and properties that are added there share it. What comes behind them is dropped: no error, no log, no count, and
# the span that was refused can be asked nothing. So a request with a loop has the first 10,240 of its rounds, the events that
# fill the queue hide the spans behind them, and a property that is added to the local parent at the end, such as the outcome, is
# missing. A local parent that is set anew now and then has room again.
#
# Output seen:
#   10,000 local spans: 10000, the property at the end is there
#   20,000 local spans: 10240, the property at the end is missing
#   20,000 events with a local span after each 1,000 of them: 10 of 20
#   20,000 local spans, the local parent set anew after each 5,000: 20000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "kept-spans"
version = "0.0.0"
edition = "2021"

[dependencies]
fastrace = { version = "=0.7.17", features = ["enable"] }
TOML
cat >src/main.rs <<'RUST'
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fastrace::collector::{Config, Reporter};
use fastrace::prelude::*;

static STEPS: AtomicUsize = AtomicUsize::new(0);
static HAS_OUTCOME: AtomicBool = AtomicBool::new(false);

struct Count;

impl Reporter for Count {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        STEPS.fetch_add(spans.iter().filter(|span| span.name == "step").count(), Ordering::SeqCst);
        let mut properties = spans.iter().flat_map(|span| &span.properties);
        HAS_OUTCOME.fetch_or(properties.any(|(key, _)| key == "outcome"), Ordering::SeqCst);
    }
}

fn step() {
    let _step = LocalSpan::enter_with_local_parent("step");
}

// How many steps of a request are reported, and whether its outcome is.
fn reported(work: impl FnOnce(&Span)) -> (usize, &'static str) {
    STEPS.store(0, Ordering::SeqCst);
    HAS_OUTCOME.store(false, Ordering::SeqCst);
    let request = Span::root("request", SpanContext::random());
    work(&request);
    drop(request);
    fastrace::flush();
    let outcome = if HAS_OUTCOME.load(Ordering::SeqCst) { "there" } else { "missing" };
    (STEPS.load(Ordering::SeqCst), outcome)
}

fn main() {
    fastrace::set_reporter(Count, Config::default());
    for steps in [10_000, 20_000] {
        let (kept, outcome) = reported(|request| {
            let _guard = request.set_local_parent();
            (0..steps).for_each(|_| step());
            LocalSpan::add_property(|| ("outcome", "paid"));
        });
        println!(
            "{},000 local spans: {kept}, the property at the end is {outcome}",
            steps / 1_000
        );
    }
    let (kept, _) = reported(|request| {
        let _guard = request.set_local_parent();
        for number in 1..=20_000 {
            LocalSpan::add_event(Event::new("row"));
            if number % 1_000 == 0 {
                step();
            }
        }
    });
    println!("20,000 events with a local span after each 1,000 of them: {kept} of 20");
    let (kept, _) = reported(|request| {
        for _ in 0..4 {
            let _guard = request.set_local_parent();
            (0..5_000).for_each(|_| step());
        }
    });
    println!("20,000 local spans, the local parent set anew after each 5,000: {kept}");
}
RUST
cargo run --quiet 2>said >seen || { cat said >&2; exit 1; }
cat seen
diff - seen <<'SEEN'
10,000 local spans: 10000, the property at the end is there
20,000 local spans: 10240, the property at the end is missing
20,000 events with a local span after each 1,000 of them: 10 of 20
20,000 local spans, the local parent set anew after each 5,000: 20000
SEEN
