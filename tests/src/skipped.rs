//! A test that cannot run here says so aloud.

use std::fmt::Arguments;
use std::io::Write;

/// What such a line begins with.
pub(crate) const SKIPPED: &str = "SKIPPED: ";

/// Writes to standard error itself: what `eprintln` writes is hidden by the harness when the test
/// passes.
pub fn skipped(why: Arguments) {
    let _ = writeln!(std::io::stderr(), "{SKIPPED}{why}");
}
