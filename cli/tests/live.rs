//! `spandrel top --live` in a terminal of its own: it shows the profile, answers keys, and leaves the
//! terminal as it found it.

#![cfg(all(unix, feature = "tui"))]
#![allow(clippy::panic, clippy::unwrap_used)] // what a test shares with the others

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use spandrel::Profiler;
use tracing_subscriber::layer::SubscriberExt;

/// Longer than any machine takes; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program in a terminal.
struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Session {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_spandrel"));
        command.args(arguments);
        command.cwd(folder);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        command.env_remove("SPANDREL_DB");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of the other side is an error on some systems.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let screen = vt100::Parser::new(24, 80, 0);
        Self { child, master: pair.master, keys, output, screen }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Presses keys, and waits for what each brings.
    fn steps(&mut self, steps: &[(&str, &str)]) {
        for (keys, text) in steps {
            self.press(keys);
            self.wait_for(text);
        }
    }

    /// Looks at a profile of a finished run.
    fn of_a_run(folder: &Path) -> Self {
        record(&folder.join("shop.db"));
        let mut session = Self::start(folder, &["top", "--live"]);
        session.wait_for("http.request");
        session
    }

    fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Reads what is drawn until the screen shows a text.
    fn wait_for(&mut self, text: &str) {
        while !self.contents().contains(text) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(error) => panic!("{error}: no {text:?} in\n{}", self.contents()),
            }
        }
    }

    /// Reads to the end, and checks that the terminal is as it was; gives the exit code.
    fn end(mut self) -> portable_pty::ExitStatus {
        let status = self.child.wait().unwrap();
        drop(self.keys);
        drop(self.master);
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.screen.process(&bytes);
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        status
    }
}

/// A finished profile with a few names.
fn record(path: &Path) {
    let profiler = Profiler::builder().database(path).label("checkout").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(profiler.layer());
    tracing::subscriber::with_default(subscriber, || {
        for shard in 0..100 {
            let _request = tracing::info_span!("http.request").entered();
            let _query = tracing::info_span!("db.query", shard).entered();
        }
    });
    profiler.close().unwrap();
}

#[test]
fn keys_are_answered_and_the_terminal_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::of_a_run(folder.path());
    assert!(session.screen.screen().alternate_screen() && session.screen.screen().hide_cursor());
    session.wait_for("ended");
    session.steps(&[
        ("/db", "/db_"),
        ("\r", "1 of 2"),
        ("\r", "durations"),
        ("\x1b", "1 of 2"),
        ("f", "self time,"),
        ("o", "nothing was open then"),
        ("?", "Keys"),
        ("?", "nothing was open then"),
        ("oe", "appended db.query"),
    ]);
    let line = std::fs::read_to_string(folder.path().join("spandrel-rows.ndjson")).unwrap();
    assert!(line.contains(r#""name":"db.query""#) && line.contains(r#""calls":100"#), "{line}");
    session.press("q");
    assert!(session.end().success());
}

#[test]
fn a_file_that_comes_later_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.db");
    let mut session =
        Session::start(folder.path(), &["top", "--live", "--db", path.to_str().unwrap()]);
    session.wait_for("not there yet");
    record(&path);
    session.wait_for("http.request");
    session.press("\x03");
    assert!(session.end().success());
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::of_a_run(folder.path());
    let pid = i32::try_from(session.child.process_id().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(!session.end().success());
}

/// It once took the end of its input for a pause, and read again at once, for ever.
#[test]
fn a_terminal_that_goes_away_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::of_a_run(folder.path());
    let Session { mut child, master, keys, output, .. } = session;
    // All that holds it: the reader lets go of it with the next thing that is drawn, the clock.
    drop((master, keys, output));
    let killer = child.clone_killer();
    let (send, ended) = channel();
    std::thread::spawn(move || send.send(child.wait()));
    let Ok(status) = ended.recv_timeout(PATIENCE) else {
        { killer }.kill().unwrap();
        panic!("it goes on without a terminal");
    };
    assert_eq!(status.unwrap().signal(), Some("Hangup"));
}

#[test]
fn a_terminal_that_changes_its_size_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::of_a_run(folder.path());
    for (rows, cols) in [(5, 20), (1, 1), (50, 200)] {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        session.master.resize(size).unwrap();
        session.screen.screen_mut().set_size(rows, cols);
    }
    session.wait_for("target");
    session.press("q");
    assert!(session.end().success());
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_spandrel"))
        .args(["top", "--live"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--live needs a terminal") && error.contains("hint:"), "{error}");
}
