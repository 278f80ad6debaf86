//! Rings between real processes: killed, stopped, forked, and with files that somebody else has written.

#![cfg(all(feature = "mapped", feature = "broadcast", target_os = "linux", not(miri)))]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers
#![allow(clippy::print_stdout)] // says how many kills there were
#![allow(unsafe_code)] // system calls

mod killed;
mod lives;
mod making;
mod refused;
mod stress;
#[allow(dead_code)] // some of it is of other tests
#[path = "../file/witness.rs"]
mod witness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spandrel_ring::between::Options;

/// Where a child finds its folder, what it is to be, and its number.
const FOLDER: &str = "SPANDREL_BETWEEN_FOLDER";
const ROLE: &str = "SPANDREL_BETWEEN_ROLE";
const NUMBER: &str = "SPANDREL_BETWEEN_NUMBER";

/// Long enough on any machine. Nobody waits for so long unless something hangs.
const LONG: Duration = Duration::from_secs(300);

/// So many words that a torn one shows: writer, number, and mixes of both.
type Value = [u64; 64];

fn value(writer: u64, number: u64) -> Value {
    let mix = |at: usize| {
        let mixed = writer.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed.wrapping_add(at as u64).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    let mut value: Value = std::array::from_fn(mix);
    (value[0], value[1]) = (writer, number);
    value
}

/// Writer and number of a value that is whole.
fn whole(found: &Value) -> (u64, u64) {
    assert!(*found == value(found[0], found[1]), "torn: {found:?}");
    (found[0], found[1])
}

fn options() -> Options {
    Options::of::<Value>(64)
}

/// A folder of its own on tmpfs, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spandrel-between-{}-{count}", std::process::id());
        let folder = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn ring(&self) -> PathBuf {
        self.0.join("some.ring")
    }

    fn words(&self, len: usize) -> &'static [AtomicU64] {
        witness::words(&self.0.join("witness"), len)
    }

    /// Runs a test of this program in a process of its own, which finds this folder.
    fn spawn(&self, test: &str, role: &str, number: u64) -> Running {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, &self.0).env(ROLE, role).env(NUMBER, number.to_string());
        Running(command.stdout(std::process::Stdio::null()).spawn().unwrap())
    }

    /// That of the process that runs this, its role and its number; none if it is no child.
    fn given() -> Option<(Self, String, u64)> {
        let folder = std::env::var_os(FOLDER)?;
        let [role, number] = [ROLE, NUMBER].map(|name| std::env::var(name).unwrap());
        Some((Self(folder.into()), role, number.parse().unwrap()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os(FOLDER).is_none() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// A process that is killed at the end, also by a panic.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: two numbers.
        assert_eq!(unsafe { libc::kill(self.0.id() as libc::pid_t, signal) }, 0);
    }

    fn is_gone(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Waits for something that comes some time, unless something hangs.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}: never");
        std::thread::yield_now();
    }
}

/// The next of some numbers that are as good as any.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
