//! `spandrel export`: nothing half-written stays. What it says is in `commands/said/export.md`.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "given/mod.rs"]
mod given;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use given::profile;

fn spandrel(folder: &Path, words: &[&str]) -> Command {
    given::command(folder, &[&["--db", "given.db"], words].concat())
}

/// The files in the folder.
fn files(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut files: Vec<String> = fs::read_dir(folder).unwrap().map(|e| name(e.unwrap())).collect();
    files.sort();
    files
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = profile(20_000);
    let mut child = spandrel(folder.path(), &["export", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_half_written_file() {
    use std::os::unix::process::ExitStatusExt;

    let folder = profile(200_000);
    for name in ["a.pftrace", "a.sqlite"] {
        let mut child = spandrel(folder.path(), &["export", "-o", name])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What it writes into is there before it writes; whether it is done by the time the signal
        // arrives, nobody can say.
        while files(folder.path()).iter().all(|file| !file.starts_with('.')) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        let left = files(folder.path());
        if output.status.success() {
            assert_eq!(left, [name, "given.db"], "complete");
            fs::remove_file(folder.path().join(name)).unwrap();
        } else {
            assert_eq!(output.status.signal(), Some(2), "{output:?}");
            assert_eq!(left, ["given.db"]);
        }
    }
}
