//! A profile that is the same on every machine: two runs of a made-up shop, with losses, errors, marks,
//! and names that nobody should print as they are.

#[cfg(unix)]
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

#[cfg(unix)]
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;
use spandrel::{Profiler, ProfilerBuilder};
use spandrel_storage::{
    Batch, CallsiteKind, EventRow, GaugeRow, LossRow, RunInfo, SpanRow, Status, Store,
    StoreOptions, WriterStatRow,
};
use tempfile::TempDir;
use tracing_subscriber::layer::SubscriberExt;

#[path = "../recording/mod.rs"]
mod recording;

pub use recording::{Recording, callsite, document, new_path, push, span};

/// A name with what terminals, databases and browsers would obey.
pub const NASTY: &str = "\u{1b}[31m<b>x</b>\u{202e}'; DROP TABLE span; --\n";

/// A profile that is written once, and that no test may change.
#[derive(Debug)]
pub struct Shared(OnceLock<(TempDir, PathBuf)>);

impl Shared {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub fn written_by(&'static self, write: impl FnOnce(&Path)) -> &'static Path {
        &self
            .0
            .get_or_init(|| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("shop.db");
                write(&path);
                (folder, path)
            })
            .1
    }
}

/// The shop.
pub fn profile() -> &'static Path {
    static PROFILE: Shared = Shared::new();
    PROFILE.written_by(write)
}

/// `spandrel` with an environment of its own, and the profile.
pub fn spandrel(words: &[&str]) -> Command {
    let mut command = bare(words);
    command.env("SPANDREL_DB", profile());
    command
}

/// `spandrel` without a profile.
pub fn bare(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(words).env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("COLUMNS", "100");
    // No ring files of other programs.
    command.env("XDG_RUNTIME_DIR", no_rings());
    command
}

/// A folder in which nobody puts ring files.
fn no_rings() -> &'static Path {
    static NONE: OnceLock<TempDir> = OnceLock::new();
    NONE.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Runs it; what it said on both ways out, and its exit code.
pub fn run(command: &mut Command) -> (String, String, i32) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap_or(-1))
}

/// What a command that succeeds says of a profile: its output, and what is beside it. A check may fail.
pub fn both(db: &Path, words: &[&str]) -> (String, String) {
    let (out, err, code) = run(bare(words).arg("--db").arg(db));
    assert!(
        code == 0 || code == 1 && words[0] == "check",
        "{words:?} ends with {code}: {out}{err}"
    );
    (out, err)
}

pub fn text(db: &Path, words: &[&str]) -> String {
    both(db, words).0
}

/// With what is beside the output.
pub fn said(db: &Path, words: &[&str]) -> String {
    let (out, err) = both(db, words);
    out + &err
}

pub fn json(db: &Path, words: &[&str]) -> Value {
    let text = text(db, &[words, &["-f", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The document in the page that `spandrel report` writes.
pub fn report(db: &Path) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    both(db, &["report", "-q", "-o", page.to_str().unwrap()]);
    recording::document(&std::fs::read_to_string(page).unwrap())
}

/// Records what `work` does into a file, all of it.
pub fn record(path: &Path, builder: ProfilerBuilder, work: impl FnOnce(&Profiler)) {
    let profiler = builder.database(path).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(subscriber, || work(&profiler));
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, report.stored);
}

/// What a terminal of so many rows and columns gets, and whether all went well; with settings of the command.
#[cfg(unix)]
pub fn in_terminal(
    words: &[&str],
    (rows, cols): (u16, u16),
    set: impl FnOnce(&mut CommandBuilder),
) -> (String, bool) {
    let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(words);
    for (name, value) in [("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")] {
        command.env(name, value);
    }
    command.env("XDG_RUNTIME_DIR", no_rings());
    set(&mut command);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
    // The end of the other side is an error on some systems.
    while let Ok(read @ 1..) = reader.read(&mut bytes) {
        said.extend_from_slice(&bytes[..read]);
    }
    (String::from_utf8(said).unwrap(), child.wait().unwrap().success())
}

/// The same of the shop, when all goes well.
#[cfg(unix)]
pub fn on_terminal(words: &[&str], cols: u16) -> String {
    let set = |command: &mut CommandBuilder| command.env("SPANDREL_DB", profile());
    let (said, is_success) = in_terminal(words, (60, cols), set);
    assert!(is_success, "{words:?}: {said}");
    said
}

pub fn info(number: u32) -> RunInfo {
    RunInfo {
        uuid: format!("{number:032x}"),
        label: Some(format!("load {number}")),
        started_unix_ns: 1_760_000_000_000_000_000 + i64::from(number) * 3_600_000_000_000,
        pid: 4_000 + number,
        program: "/usr/bin/shop".into(),
        args: "[]".into(),
        host: "host of the fixture".into(),
        os: "linux x86_64".into(),
        cpus: 2,
        clock: "tsc".into(),
        settings: r#"{"ring_capacity":65536,"max_bytes":null}"#.into(),
    }
}

/// Makes the profile.
pub fn write(path: &Path) {
    for number in 1..=2 {
        let mut store = Store::open(path, &StoreOptions::default()).unwrap();
        store.begin_run(&info(number)).unwrap();
        let mut batch = batch(&mut store, number);
        store.append(&mut batch).unwrap();
        let ended = info(number).started_unix_ns + 10_000_000_000;
        store.end_run(ended, r#"{"timed_out":false}"#).unwrap();
        store.close().unwrap();
    }
}

/// A hundred requests with a query each; in the second run queries take twice as long.
fn batch(store: &mut Store, number: u32) -> Batch {
    let span = CallsiteKind::Span;
    let [request, query, nasty] =
        ["http.request", "db.query", NASTY].map(|name| callsite(store, name, span));
    let event = callsite(store, "event src/main.rs:9", CallsiteKind::Event);
    let thread_id = store.intern_thread(1, 77, Some("worker"));
    let first = store.next_id();
    let mut batch = Batch::default();
    for at in 0..100_u64 {
        let id = first + at * 4;
        let fields = push(&mut batch.text, &format!(r#"{{"shard":{},"route":"/cart"}}"#, at % 5));
        let start_ns = at as i64 * 100_000_000;
        let query_ns = (at as i64 % 10 + 1) * 1_000_000 * i64::from(number);
        let status = if at % 25 == 24 { Status::Error } else { Status::Ok };
        let row = |id, parent_id, callsite_id, start_ns, duration_ns: i64, self_ns: i64, fields| {
            SpanRow {
                id,
                parent_id,
                root_id: first + at * 4,
                callsite_id,
                thread_id,
                start_ns,
                duration_ns: Some(duration_ns),
                busy_ns: Some(duration_ns / 2),
                self_ns: Some(self_ns),
                entries: 2,
                first_entry_ns: Some(50_000),
                longest_entry_ns: Some(duration_ns / 2 - 1_000),
                last_exit_ns: Some(duration_ns),
                status: if parent_id == 0 { status } else { Status::Ok },
                fields,
                ..SpanRow::default()
            }
        };
        let child = if at % 50 == 0 { nasty } else { query };
        batch.spans.push(row(id, 0, request, start_ns, query_ns + 500_000, 500_000, fields));
        batch.spans.push(row(id + 1, id, child, start_ns + 250_000, query_ns, query_ns, 0..0));
        if status == Status::Error {
            let message = push(&mut batch.text, "no answer \u{1b}[2J");
            let at_ns = start_ns + 300_000;
            batch.events.push(EventRow {
                id: id + 2,
                span_id: id,
                callsite_id: event,
                thread_id,
                at_ns,
                message,
                fields: 0..0,
            });
        }
    }
    if number == 1 {
        batch.losses.push(LossRow {
            reason: "ring_full",
            from_ns: 2_000_000_000,
            to_ns: 4_000_000_000,
            spans: 12,
            events: 1,
            entries: 0,
            thread_id: None,
        });
    }
    // Jobs that wait, and a share that is not known at first.
    for (version, at) in (1..=10_u64).zip((500_000_000_i64..).step_by(1_000_000_000)) {
        let jobs = (version * u64::from(number)) as f64;
        let share = if version == 1 { f64::NAN } else { version as f64 / 16.0 };
        for (name, value, updates) in [("jobs.waiting", jobs, 3), ("cache.hits", share, 1)] {
            let version = version * updates;
            batch.gauges.push(GaugeRow { name: name.into(), at_ns: at, value, version, updates });
        }
    }
    batch.writer_stat = Some(WriterStatRow {
        at_ns: 10_000_000_000,
        recorded: 200,
        stored: 200,
        dropped: "{}".into(),
        events_recorded: 4,
        events_stored: 4,
        events_dropped: "{}".into(),
        batches: 1,
        largest_batch_ns: 3_000_000,
        ring_high_water: 40_000,
        wal_bytes: 0,
        file_bytes: 40_960,
        open_spans: 0,
        entries_recorded: 0,
        entries_stored: 0,
        entries_dropped: "{}".into(),
    });
    batch
}
