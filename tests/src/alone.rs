//! A test that changes something of its whole process runs in one of its own.

use std::process::{Command, Stdio};

use crate::child;
use crate::skipped::{SKIPPED, skipped};

/// The name of the test for which this process is.
const ALONE: &str = "SPANDREL_TEST_ALONE";

/// Runs the calling test in a process of its own, and ends it here, once that has passed.
#[macro_export]
macro_rules! alone {
    () => {
        if !$crate::alone::is_alone() {
            return;
        }
    };
}

/// Whether this process is for the calling test alone; if not, that runs in another one now.
///
/// # Panics
///
/// If it fails there.
pub fn is_alone() -> bool {
    // nextest begins a process for each test.
    let is_one_each =
        std::env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|it| it == "process-per-test");
    let test = child::this_test();
    if is_one_each || child::role().is_some() || std::env::var(ALONE).is_ok_and(|it| it == test) {
        return true;
    }
    let done = Command::new(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", &test, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(ALONE, &test)
        .stdin(Stdio::null())
        .output()
        .expect("the test starts itself");
    // The harness shows this if the test fails, and hides it otherwise.
    print!("{}", String::from_utf8_lossy(&done.stdout));
    for line in String::from_utf8_lossy(&done.stderr).lines() {
        match line.strip_prefix(SKIPPED) {
            Some(why) => skipped(format_args!("{why}")),
            None => eprintln!("{line}"),
        }
    }
    assert!(done.status.success(), "{test} in a process of its own: {}", done.status);
    false
}
