//! Ring files of real processes: killed, forked, cut short, where there is no room, and in other namespaces.

#![cfg(all(feature = "mapped", target_os = "linux", not(miri)))]
#![allow(clippy::panic, clippy::unwrap_used)] // a test fails by panicking, also in its helpers
#![allow(clippy::print_stdout, clippy::print_stderr)] // says what it skips, and one process to another where it is
#![allow(unsafe_code)] // system calls

mod cut;
mod forked;
mod killed;
mod lives;
mod places;
mod signals;
mod unmade;
mod witness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a child finds its folder.
const FOLDER: &str = "SPANDREL_RING_FOLDER";

/// A folder of its own on tmpfs, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("spandrel-ring-{}-{number}", std::process::id());
        let folder = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&folder).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn ring(&self) -> PathBuf {
        self.0.join("run.ring")
    }

    /// Runs a test of this program in a process of its own, which finds this folder.
    fn command(&self, test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, &self.0);
        command
    }

    /// That of the process that runs this; none if it is no child.
    fn given() -> Option<Self> {
        std::env::var_os(FOLDER).map(|folder| Self(folder.into()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os(FOLDER).is_none() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// A test of this program in a process namespace of its own, where it finds the same folder: as root of a container, or of a user
/// namespace where this user may make one. None, and said aloud, where nobody may.
fn elsewhere(folder: &Folder, test: &str) -> Option<Command> {
    const WAYS: [&[&str]; 2] = [
        &["--pid", "--fork", "--kill-child", "--mount-proc"],
        &["-Urp", "--fork", "--kill-child", "--mount-proc"],
    ];
    let is_possible = |way: &&[&str]| {
        let mut command = Command::new("unshare");
        command.args(*way).arg("true").stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let Some(way) = WAYS.into_iter().find(is_possible) else {
        eprintln!("SKIPPED: no process namespace can be made here (unshare {})", WAYS[1].join(" "));
        return None;
    };
    let inner = folder.command(test);
    let mut command = Command::new("unshare");
    command.args(way).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command)
}

/// A process that is killed at the end, also by a panic.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The next of some numbers that are as good as any.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
