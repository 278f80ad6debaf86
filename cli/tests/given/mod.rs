//! A profile to export, and the command that does it.

#![allow(dead_code)] // Each test file is a crate of its own and uses a part.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use spandrel_storage::{RunInfo, SpanRow};
use tempfile::TempDir;

#[path = "../recording/mod.rs"]
mod recording;

use recording::Recording;

/// A profile with so many spans, from `s1` on.
pub fn profile(spans: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let info = RunInfo { uuid: "0123456789abcdef".repeat(2), ..RunInfo::default() };
    let mut run = Recording::begin(&folder.path().join("given.db"), &info);
    let work = run.name_of("work", "test");
    for id in 1..=spans {
        let row = run.span(id, work, id as i64 * 1000, 900);
        run.batch.spans.push(SpanRow { busy_ns: Some(450), ..row });
    }
    run.end(2_000_000_000);
    folder
}

/// `spandrel export` in that folder.
pub fn spandrel(folder: &Path, words: &[&str]) -> Command {
    command(folder, &[&["--db", "given.db", "export"], words].concat())
}

/// `spandrel` there, without settings of whoever runs the test.
pub fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(words).current_dir(folder).env_remove("SPANDREL_DB").stdin(Stdio::null());
    let of_others = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("otel_") || name.ends_with("_proxy")
    };
    for (name, _) in std::env::vars().filter(|(name, _)| of_others(name)) {
        command.env_remove(name);
    }
    command
}

/// Exit code and standard error; nothing else is said.
pub fn said(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(stdout, b"");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}
