//! What a layer costs beside one that keeps its state in the spans' `Extensions`, each in a program of its
//! own: a layer's code that is used twice in a program is not what it is where it is used once.

use std::process::ExitCode;

use tracing::{Subscriber, subscriber};

use crate::cases::Case;

/// Come before those that are counted.
const FIRST_SPANS: u64 = 30;

/// Makes this the process's subscriber, and then as many spans as the argument of the program says.
///
/// Generic, so that the code of the layers is made for the program that calls this.
///
/// # Panics
///
/// If there is a subscriber already.
#[allow(clippy::print_stderr, reason = "a benchmark says what it finds")]
pub fn record_under(layers: impl Subscriber + Send + Sync) -> ExitCode {
    let Some(spans) = std::env::args().nth(1).and_then(|spans| spans.parse().ok()) else {
        eprintln!("the argument is how many spans");
        return ExitCode::from(2);
    };
    subscriber::set_global_default(layers).expect("this is the only subscriber");
    Case::NoFields.run(FIRST_SPANS);
    Case::NoFields.run(spans);
    ExitCode::SUCCESS
}
