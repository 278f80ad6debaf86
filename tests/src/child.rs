//! The test itself run again as another process.
//!
//! A test asks [`role`] first: in the child it says what to do, in the parent it is `None`. The
//! child speaks to the parent in lines on its standard output that begin with `@`, whatever the
//! test harness prints around them, and hears it on its standard input.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "SPANDREL_TEST_ROLE";

/// What this process is to do, if it is a child.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// In the child: tells the parent something.
pub fn say(word: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // One write, so that no other thread's line gets between.
    out.write_all(format!("\n@{word}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// In the child: waits for a line from the parent; `None` when the parent is gone.
pub fn listen() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end().to_owned()),
    }
}

/// A child that is going to be started.
#[derive(Debug)]
pub struct Plan(Command);

/// The name of the test that runs on the calling thread, which the test harness names after it.
pub fn this_test() -> String {
    let name = std::thread::current().name().map(str::to_owned);
    // A child that is told a name of no test would run none, and be well.
    name.filter(|name| name != "main").expect("a thread of the test harness")
}

/// Plans to run the calling test as `role`.
pub fn plan(role: &str) -> Plan {
    let mut command = Command::new(std::env::current_exe().expect("the test's own program"));
    command
        .args(["--exact", &this_test(), "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    Plan(command)
}

impl Plan {
    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts the child by this program, which is to execute what comes behind its own arguments.
    pub fn under(self, wrapper: &[&str]) -> Self {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self(command)
    }

    /// Unsets an environment variable.
    pub fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    /// Gives the child one more argument: another name of a test, to the test harness.
    pub fn arg(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    /// Does not show what the child writes to its standard error: it is expected to complain.
    pub fn quiet(mut self) -> Self {
        self.0.stderr(Stdio::null());
        self
    }

    /// Starts the child.
    pub fn start(mut self) -> Child {
        let mut process = self.0.spawn().expect("the test starts itself");
        let out = BufReader::new(process.stdout.take().expect("it was piped"));
        Child { process, out }
    }
}

/// A running child. Killed when it is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next thing that the child says; `None` when it has ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.out.read_line(&mut line).expect("the child writes text");
            if read == 0 {
                return None;
            }
            // The last line of a killed child may be cut: what it did not end, it did not say.
            if let (Some(word), true) = (line.strip_prefix('@'), line.ends_with('\n')) {
                return Some(word.trim_end().to_owned());
            }
        }
    }

    /// Waits until the child says this.
    pub fn expect(&mut self, word: &str) {
        let heard = self.hear();
        assert_eq!(heard.as_deref(), Some(word), "what the child said");
    }

    /// Tells the child something.
    pub fn tell(&mut self, word: &str) {
        let stdin = self.process.stdin.as_mut().expect("it was piped");
        writeln!(stdin, "{word}").expect("the child listens");
        stdin.flush().expect("the child listens");
    }

    /// Kills it as `kill -9` does, and returns what it had said before and nobody had heard yet.
    pub fn kill(&mut self) -> Vec<String> {
        self.process.kill().expect("the child is ours");
        self.process.wait().expect("the child is ours");
        std::iter::from_fn(|| self.hear()).collect()
    }

    /// Waits for its end; what it still says is not heard.
    pub fn finish(&mut self) -> ExitStatus {
        drop(self.process.stdin.take());
        while self.hear().is_some() {}
        self.process.wait().expect("the child is ours")
    }

    /// Waits for its end for so long at most; what it still says is not heard, and must not be much. `None` if it hangs.
    pub fn finish_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        drop(self.process.stdin.take());
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("the child is ours") {
                return Some(status);
            }
            if began.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end and makes sure that all was well.
    pub fn succeed(mut self) {
        let status = self.finish();
        assert!(status.success(), "the child ended with {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
