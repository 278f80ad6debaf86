//! Programs that are killed at any moment, beside a witness that no kill reaches.
//!
//! The program says in [shared memory](witness) what it has begun and what it has published, number by number;
//! [`audit`] compares that with the profile, when whoever recovers or collects is done.

pub mod audit;
pub mod program;
pub mod witness;

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use audit::Tally;
pub use program::{End, THREADS};
pub use witness::Witness;

use tempfile::TempDir;

use crate::child;

/// Who takes longer hangs.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How many are killed: `SPANDREL_TEST_KILLS`, or so many.
pub fn kills(usual: u64) -> u64 {
    std::env::var("SPANDREL_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// The number by which the moment of a kill is chosen.
pub fn random(kill: u64) -> u64 {
    kill.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// Not to wait for something, but so that the kill comes at any moment.
pub fn pause(kill: u64, most: Duration) {
    std::thread::sleep(Duration::from_micros(random(kill) % most.as_micros() as u64));
}

/// Waits until it is so. `false` if that takes too long.
pub fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > LIMIT {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// What a function says, on a thread of its own; `None` if that takes too long, and then its thread is left alone.
pub fn unless_it_hangs<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = mpsc::channel();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let thread = std::thread::Builder::new().name(name);
    let thread = thread.spawn(move || _ = done.send(f())).expect("a thread");
    match wait.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        // It has panicked, and so does whoever asked.
        Err(_) => std::panic::resume_unwind(thread.join().expect_err("it said nothing")),
        Ok(said) => {
            thread.join().expect("it is done");
            Some(said)
        }
    }
}

/// The role of the child that [`is_in_own_folder`] starts.
const CAMPAIGN: &str = "campaign";

/// Runs the calling test once more in a child of its own, where ring files lie in a folder of its own, and prints what it says.
/// In that child, says `true`: then it is time for the test itself.
pub fn is_in_own_folder(role: Option<&str>) -> bool {
    if role == Some(CAMPAIGN) {
        return true;
    }
    assert_eq!(role, None, "programs that are killed have roles of their own");
    let folder = folder_in_memory();
    let mut campaign = child::plan(CAMPAIGN).env("XDG_RUNTIME_DIR", folder.path()).start();
    // A line of standard output of its own: the harness hides what `println` writes when the test passes.
    while let Some(line) = campaign.hear() {
        let mut out = std::io::stdout().lock();
        write!(out, "\n{line}\n").and_then(|()| out.flush()).expect("somebody reads it");
    }
    campaign.succeed();
    false
}

/// A folder for ring files.
pub fn folder_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let memory = if memory.is_dir() { memory } else { Path::new("/tmp") };
    let mut builder = tempfile::Builder::new();
    builder.prefix("spandrel-rings-").permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(memory).expect("a folder in memory")
}

/// Kills a program that has been started as [`role`] says, at any moment. `false` if it did not come so far.
pub fn kill_at_a_moment(program: &mut child::Child, witness: &Witness, kill: u64) -> bool {
    use program::{BUILDS, CLOSES};
    let came = match role(kill) {
        "builds" => {
            let came = until(|| witness.step() >= BUILDS);
            pause(kill, Duration::from_millis(60));
            came
        }
        "closes" => {
            let came = until(|| witness.step() >= CLOSES);
            pause(kill, Duration::from_millis(30));
            came
        }
        _ => until(|| witness.published_by_all() >= random(kill) % 25_000),
    };
    program.kill();
    came
}

/// What a program does that will be killed: one in ten is killed while it builds its profiler, and one in ten while it closes.
pub fn role(kill: u64) -> &'static str {
    match kill % 10 {
        0 => "builds",
        5 => "closes",
        _ => "records",
    }
}
