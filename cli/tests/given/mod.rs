//! A profile to send, and the command that sends it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, RunInfo, SpanRow, Status, Store, StoreOptions,
};
use tempfile::TempDir;

/// A profile with so many spans, from `s1` on.
pub fn profile(spans: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path().join("given.db"), &StoreOptions::default()).unwrap();
    store.begin_run(&RunInfo { uuid: "0123456789abcdef".repeat(2), ..RunInfo::default() }).unwrap();
    let callsite_id = store.intern_callsite(&CallsiteInfo {
        kind: CallsiteKind::Span,
        name: "work".into(),
        target: "test".into(),
        level: "INFO",
        module: None,
        file: None,
        line: None,
    });
    let thread_id = store.intern_thread(1, 1, Some("main"));
    let row = |id| SpanRow {
        id,
        parent_id: 0,
        root_id: id,
        callsite_id,
        thread_id,
        start_ns: id as i64 * 1000,
        duration_ns: Some(900),
        busy_ns: Some(450),
        self_ns: Some(900),
        entries: 1,
        status: Status::Ok,
        fields: 0..0,
        ..SpanRow::default()
    };
    let mut batch = Batch { spans: (1..=spans).map(row).collect(), ..Batch::default() };
    store.append(&mut batch).unwrap();
    store.end_run(2_000_000_000, "{}").unwrap();
    store.close().unwrap();
    folder
}

/// `spandrel export` in that folder, without settings of whoever runs the test.
pub fn spandrel(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(["--db", "given.db", "export"]).args(words).current_dir(folder);
    command.env_remove("SPANDREL_DB").stdin(Stdio::null());
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
