//! The database refuses for a while and something is lost: why is told while the recording goes on, and
//! after a kill.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use spandrel::Profiler;
use spandrel_query::Reader;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{bare, new_path, run};

const PATH: &str = "SPANDREL_TEST_REFUSED";
const TEST: &str = "refused::doctor_names_a_lock_as_the_cause_of_losses_live_and_after_a_kill";

/// In the other process: records until something is lost, and goes on until it is killed.
fn record(path: &Path) {
    let builder = Profiler::builder().database(path).ring_capacity(64).partitions(1);
    let profiler = builder.batch_size(16).flush_interval(Duration::from_millis(1)).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    let mut told = std::io::stdin().lines();
    let mut say = |word: &str| {
        std::io::stdout().write_all(format!("\n@{word}\n").as_bytes()).unwrap();
        told.next().unwrap().unwrap();
    };
    say("ready");
    while profiler.stats().dropped.store_error == 0 {
        drop(tracing::info_span!("work"));
    }
    profiler.mark("waits").unwrap();
    say("lost");
    while profiler.flush(Duration::from_secs(10)).is_err() {}
    say("flushed");
}

struct Recorder {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Recorder {
    fn start(path: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", TEST, "--nocapture"]).env(PATH, path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Self { process, out }
    }

    fn expect(&mut self, word: &str) {
        let said = (&mut self.out).lines().map(Result::unwrap).find(|line| line.starts_with('@'));
        assert_eq!(said, Some(format!("@{word}")));
    }

    fn go_on(&mut self) {
        writeln!(self.process.stdin.as_mut().unwrap()).unwrap();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn doctor_names_a_lock_as_the_cause_of_losses_live_and_after_a_kill() {
    if let Some(path) = std::env::var_os(PATH) {
        return record(Path::new(&path));
    }
    let (_folder, path) = new_path();
    let doctor = || run(bare(&["doctor"]).arg("--db").arg(&path));
    let names_the_lock = || {
        let (out, err, code) = doctor();
        assert_eq!(code, 0, "{out}{err}");
        let lines: Vec<_> = out.lines().collect();
        let loss =
            lines.iter().position(|line| line.starts_with("✗") && line.contains("store_error"));
        let way_out = lines[loss.unwrap() + 1];
        assert!(way_out.contains("the database refused"), "{out}");
        assert!(way_out.contains("another connection holds a lock"), "{out}");
        out
    };
    let mut recorder = Recorder::start(&path);
    recorder.expect("ready");
    let lock = Connection::open(&path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    recorder.go_on();
    recorder.expect("lost");
    lock.execute_batch("ROLLBACK").unwrap();
    recorder.go_on();
    recorder.expect("flushed");
    let reader = Reader::open(&path).unwrap();
    while reader.losses(1).unwrap().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(reader.run(1).unwrap().unwrap().ended_unix_ns, None);
    let live = names_the_lock();
    assert!(!live.contains("has no end"), "{live}");
    assert!(!live.contains("the recorder says"), "it is over: {live}");
    drop(recorder);
    let killed = names_the_lock();
    assert!(killed.contains("the run has no end, and its process is gone"), "{killed}");
    let info = run(bare(&["info", "-f", "json"]).arg("--db").arg(&path)).0;
    assert!(info.contains("\"killed\""), "{info}");
}
