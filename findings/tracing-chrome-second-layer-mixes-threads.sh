#!/usr/bin/env bash
# tracing-chrome 0.7.2, tracing 0.1.44, tracing-subscriber 0.3.23, seen on 2026-11-30.
#
# A thread's number is given by the first layer that hears of it, and stays with the thread for the whole process. A
# second layer, as of a program that records twice or of a test binary, counts from 0 again. A thread that is new then
# gets the number that an older one has kept: the spans of both are on one line of the second file, begins and ends mixed up, so
# that by the rules of the format the wrong span ends. The older thread's name is missing, and the line has the name
# of the new one. The file is valid, and no message says it.
#
# Output seen:
#   first file: thread 0 is main
#   first file: B load on 0
#   first file: E load on 0
#   second file: B load on 0
#   second file: thread 0 is worker
#   second file: B parse on 0
#   second file: E load on 0
#   second file: E parse on 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "mixed-threads"
version = "0.0.0"
edition = "2021"

[dependencies]
serde_json = "1"
tracing = "=0.1.44"
tracing-chrome = "=0.7.2"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["registry", "std"] }
TOML
cat >src/main.rs <<'RUST'
use std::sync::mpsc::channel;
use std::thread;

use serde_json::Value;
use tracing::{dispatcher, info_span, Dispatch};
use tracing_chrome::ChromeLayerBuilder;
use tracing_subscriber::prelude::*;

fn record(file: &str, work: impl FnOnce(Dispatch)) {
    let (layer, guard) = ChromeLayerBuilder::new().file(file).build();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    dispatcher::with_default(&dispatch, || work(dispatch.clone()));
    drop(guard);
}

fn print(what: &str, file: &str) {
    let entries: Vec<Value> = serde_json::from_reader(std::fs::File::open(file).unwrap()).unwrap();
    for entry in entries {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        match text(&entry["ph"]).as_str() {
            "M" => println!("{what}: thread {} is {}", entry["tid"], text(&entry["args"]["name"])),
            kind => println!("{what}: {kind} {} on {}", text(&entry["name"]), entry["tid"]),
        }
    }
}

fn main() {
    record("first.json", |_| info_span!("load").in_scope(|| ()));
    record("second.json", |dispatch| {
        let load = info_span!("load").entered();
        let (has_begun, wait_for_begin) = channel();
        let (may_end, wait_for_end) = channel();
        let worker = thread::Builder::new().name("worker".into()).spawn(move || {
            dispatcher::with_default(&dispatch, || {
                let _parse = info_span!("parse").entered();
                has_begun.send(()).unwrap();
                wait_for_end.recv().unwrap();
            });
        });
        wait_for_begin.recv().unwrap();
        drop(load);
        may_end.send(()).unwrap();
        worker.unwrap().join().unwrap();
    });
    print("first file", "first.json");
    print("second file", "second.json");
}
RUST
cargo run --quiet 2>said >seen || { cat said >&2; exit 1; }
cat seen
diff - seen <<'SEEN'
first file: thread 0 is main
first file: B load on 0
first file: E load on 0
second file: B load on 0
second file: thread 0 is worker
second file: B parse on 0
second file: E load on 0
second file: E parse on 0
SEEN
