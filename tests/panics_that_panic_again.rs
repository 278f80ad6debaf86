//! A field's `Debug` panics with a value whose own `Drop` panics: neither comes out of a callback, and no
//! place of the table of open spans is lost.

use std::fmt;
use std::panic::panic_any;

use spandrel_tests::{dispatch, ledger, scratch, small, time_limit, within};
use tracing::field::Empty;
use tracing::{Dispatch, info, info_span};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload of the panic is dropped");
    }
}

/// Panics with that when it is formatted.
struct Hostile;

impl fmt::Debug for Hostile {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic_any(Bomb)
    }
}

impl fmt::Display for Hostile {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two parts, either of which would panic.
        panic_any((Bomb, Bomb))
    }
}

impl std::error::Error for Hostile {}

const ROUNDS: u64 = 200;

#[test]
fn a_payload_that_panics_when_it_is_dropped_stays_in_the_callback() {
    let _limit = time_limit(60);
    std::panic::set_hook(Box::new(|_| {}));
    for is_layer in [true, false] {
        let scratch = scratch();
        let profiler = small(scratch.db()).build().unwrap();
        let dispatch = match is_layer {
            true => dispatch(&profiler),
            false => Dispatch::new(profiler.subscriber()),
        };
        within(&dispatch, || {
            for n in 0..ROUNDS {
                let span =
                    info_span!("span", n, first = ?Hostile, second = %Hostile, later = Empty);
                let error: &(dyn std::error::Error + 'static) = &Hostile;
                span.record("later", error);
                span.in_scope(|| info!(n, value = ?Hostile, "event"));
                // More than the place itself has room for.
                let long = "x".repeat(300);
                drop(info_span!(parent: &span, "long", long, value = ?Hostile, text = "after it"));
            }
        });
        assert_eq!(profiler.stats().open, 0, "a place that is not given back");
        let report = profiler.close().unwrap();
        let db = ledger::check_complete(scratch.db(), &report);
        assert_eq!((report.stored, report.stats.events.stored), (2 * ROUNDS, ROUNDS));
        for span in db.spans() {
            if span.name == "span" {
                for field in ["first", "second", "later"] {
                    assert_eq!(span.fields.text(field), "<panicked>");
                }
            } else {
                assert_eq!(span.fields.text("value"), "<panicked>");
                assert_eq!(span.fields.text("text"), "after it");
            }
        }
    }
}
