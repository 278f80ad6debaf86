//! A field's `Debug` panics with a value whose own `Drop` panics: neither comes out of a callback, and no
//! place of the table of open spans is lost.

use std::fmt;
use std::panic::panic_any;

use spandrel_tests::prelude::*;
use tracing::field::Empty;

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
    alone!();
    let _limit = time_limit(60);
    std::panic::set_hook(Box::new(|_| {}));
    for front in Front::BOTH {
        let (scratch, profiler) = recording();
        let dispatch = front.dispatch(&profiler);
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
        let (report, db) = ledger::closed(&scratch, &profiler);
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
