#!/usr/bin/env bash
# tracing 0.1.44, tracing-subscriber 0.3.23 with env-filter, seen on 2026-11-30.
#
# A directive of EnvFilter may ask for the value of a span's field: `[request{user=7}]=debug`. What looks like a number
# (or true, or nan) is one, and finds values that were recorded as such numbers, and no others: an id that was
# recorded by its Display (`user = %id`), as text or as u128 is never found, in silence. In quotation marks, as in the
# source of the program, it finds nothing at all. A regular expression, `^7$`, finds those, and none of the numbers.
# So who does not know how a program records its ids needs both. `inf` finds neither the number nor the text.
#
# Output seen:
#   user=7      7_u64, 7_i64
#   user="7"    nothing
#   user=^7$    7_u128, text 7, %id
#   user=inf    nothing
#   user=nan    NaN
#   user        7_u64, 7_i64, 7_u128, text 7, %id, text inf, infinite, NaN
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "found-by-value"
version = "0.0.0"
edition = "2021"

[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["env-filter"] }
TOML
cat >src/main.rs <<'RUST'
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{debug, info_span, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::EnvFilter;

static SEEN: AtomicBool = AtomicBool::new(false);

struct Sees;

impl<S: Subscriber> Layer<S> for Sees {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        SEEN.store(true, Ordering::Relaxed);
    }
}

struct Id(u64);

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

// Whether an event in a request with this user is let through.
macro_rules! is_found {
    ($directive:expr, $($user:tt)+) => {{
        SEEN.store(false, Ordering::Relaxed);
        let subscriber =
            tracing_subscriber::registry().with(EnvFilter::new($directive)).with(Sees);
        tracing::subscriber::with_default(subscriber, || {
            info_span!("request", user = $($user)+).in_scope(|| debug!("work"));
        });
        SEEN.load(Ordering::Relaxed)
    }};
}

fn main() {
    for asked in ["user=7", "user=\"7\"", "user=^7$", "user=inf", "user=nan", "user"] {
        let directive = format!("[request{{{asked}}}]=debug");
        let found = [
            ("7_u64", is_found!(&directive, 7_u64)),
            ("7_i64", is_found!(&directive, 7_i64)),
            ("7_u128", is_found!(&directive, 7_u128)),
            ("text 7", is_found!(&directive, "7")),
            ("%id", is_found!(&directive, %Id(7))),
            ("text inf", is_found!(&directive, "inf")),
            ("infinite", is_found!(&directive, f64::INFINITY)),
            ("NaN", is_found!(&directive, f64::NAN)),
        ];
        let names: Vec<_> = found.iter().filter(|(_, found)| *found).map(|(name, _)| *name).collect();
        let names = if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
        println!("{asked:<12}{names}");
    }
}
RUST
cargo run --quiet 2>said >seen || { cat said >&2; exit 1; }
cat seen
diff - seen <<'SEEN'
user=7      7_u64, 7_i64
user="7"    nothing
user=^7$    7_u128, text 7, %id
user=inf    nothing
user=nan    NaN
user        7_u64, 7_i64, 7_u128, text 7, %id, text inf, infinite, NaN
SEEN
