//! Makes the ring, begins all processes, and hears what they say.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::between::{Options, Ring};

use crate::arguments::Load;
use crate::child::{LOAD, READY, RING, SAYS, WHO};
use crate::outcome::{Outcome, Reader, Writer};

/// Gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        // Relaxed: each gets another number.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (memory, temporary) = (Path::new("/dev/shm"), std::env::temp_dir());
        let parent = if memory.is_dir() { memory } else { &temporary };
        Self(parent.join(format!("spandrel-ring-load-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && self.0.exists()
        {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

/// A process; killed if nobody has heard what it says.
struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    is_over: bool,
}

/// This program, once more.
fn program() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    if cfg!(test) {
        // A test, which is what the environment says.
        command.args(["--exact", "scenarios::child", "--nocapture", "--test-threads=1"]);
    }
    Ok(command)
}

impl Running {
    fn begin(who: &str, load: &Load, ring: &Path) -> Result<Self, String> {
        let mut command = program()?;
        command.env(WHO, who).env(LOAD, load.words()).env(RING, ring);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("cannot begin a {who}: {error}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(format!("the {who} has no pipes"));
        };
        Ok(Self { child, stdin, stdout: BufReader::new(stdout), is_over: false })
    }

    /// What is behind these words, on the next line that begins with them.
    fn hears(&mut self, words: &str) -> Result<String, String> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("a process has ended before its time: it says why above".to_owned());
            }
            if let Some(said) = line.strip_prefix(words) {
                return Ok(said.trim_end().to_owned());
            }
        }
    }

    fn go(&mut self) -> Result<(), String> {
        self.stdin.write_all(b"go\n").map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<String, String> {
        let said = self.hears(SAYS)?;
        // What the harness of a test says behind it.
        let mut rest = String::new();
        while self.stdout.read_line(&mut rest).map_err(|error| error.to_string())? > 0 {}
        let status = self.child.wait().map_err(|error| error.to_string())?;
        self.is_over = true;
        if status.success() { Ok(said) } else { Err(format!("a process ended with {status}")) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            // It may have ended by itself.
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

fn make(load: &Load, path: &Path) -> Result<Ring, String> {
    let participants = load.readers + load.writers + 1;
    let options = Options::new(load.slot_bytes, load.slots).participants(participants);
    let options = if load.in_place { options.in_place() } else { options };
    options.create(path).map_err(|error| error.to_string())
}

/// One load, from the ring to what everybody says of it.
pub fn run(load: &Load) -> Result<Outcome, String> {
    let folder = Folder::new();
    let path = folder.0.join("load.ring");
    let ring = make(load, &path)?;
    // So that the ring has not ended while one writer is done and another one has not begun.
    let keeper = ring.writer().map_err(|error| error.to_string())?;
    let all = |role: &'static str, count| {
        let begin = |number| Running::begin(&format!("{role} {number}"), load, &path);
        (0..count).map(begin).collect::<Result<Vec<Running>, String>>()
    };
    let (mut readers, mut writers) = (all("reader", load.readers)?, all("writer", load.writers)?);
    for child in readers.iter_mut().chain(&mut writers) {
        child.hears(READY)?;
    }
    for child in readers.iter_mut().chain(&mut writers) {
        child.go()?;
    }
    let said = writers.iter_mut().map(|writer| Writer::said(&writer.end()?));
    let writers = said.collect::<Result<Vec<_>, _>>()?;
    drop(keeper);
    let said = readers.iter_mut().map(|reader| Reader::said(&reader.end()?));
    let readers = said.collect::<Result<Vec<_>, _>>()?;
    let counts = ring.counts();
    let (claimed, lost_claims) = (ring.claimed(), counts.passed_over + counts.dead_claims);
    Ok(Outcome { load: load.clone(), writers, readers, claimed, lost_claims })
}
