//! Where output goes: `-`, devices, links, folders; and what is left when it cannot go there.

#![cfg(unix)]

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Command;

use super::fixture::{bare, profile, run};

fn in_folder(folder: &Path, words: &[&str]) -> (String, String, i32) {
    std::fs::copy(profile(), folder.join("shop.db")).unwrap();
    run(bare(words).current_dir(folder))
}

/// `words` in a shell that has set a limit.
fn limited(folder: &Path, limit: &str, words: &[&str]) -> (String, String, i32) {
    std::fs::copy(profile(), folder.join("shop.db")).unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_spandrel")).args(words);
    run(command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir(folder))
}

#[test]
fn a_dash_is_the_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["top", "-f", "json"][..],
        &["sql", "-f", "csv", "select * from runs"],
        &["export", "csv"],
        &["export", "chrome"],
        &["tree"],
    ] {
        let (plain, _, code) = in_folder(folder.path(), words);
        assert_eq!(code, 0);
        let (dashed, _, code) = in_folder(folder.path(), &[words, &["-o", "-"]].concat());
        assert_eq!((dashed, code), (plain, 0), "{words:?}");
    }
    for words in [&["report", "-o", "-"][..], &["flame", "--html", "-"], &["flame", "--svg", "-"]] {
        let (out, err, code) = in_folder(folder.path(), words);
        assert!(code == 0 && out.contains("</"), "{words:?}: {err}");
    }
    let (_, err, code) = in_folder(folder.path(), &["export", "-o", "-"]);
    assert!(code == 2 && err.contains("which format is meant"), "{err}");
    let (_, err, code) = in_folder(folder.path(), &["record", "-o", "-", "--", "true"]);
    assert!(code == 2 && err.contains("cannot go to the standard output"), "{err}");
    let names = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["shop.db"]);
}

/// The page once took the place of the pipe, the device or the link.
#[test]
fn what_is_there_is_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("target.csv"), "old").unwrap();
    symlink("target.csv", path("link.csv")).unwrap();
    let (_, err, code) = in_folder(folder.path(), &["export", "csv", "-o", "link.csv"]);
    assert_eq!(code, 0, "{err}");
    assert!(path("link.csv").is_symlink());
    assert!(std::fs::read_to_string(path("target.csv")).unwrap().starts_with("id,"));

    let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(made.success());
    let reader = std::thread::spawn({
        let pipe = path("pipe");
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let (_, err, code) = in_folder(folder.path(), &["top", "-f", "json", "-o", "pipe"]);
    assert_eq!(code, 0, "{err}");
    assert!(path("pipe").metadata().unwrap().file_type().is_fifo());
    assert!(reader.join().unwrap().contains("http.request"));

    for words in [&["export", "csv"][..], &["report"], &["flame"], &["top"]] {
        let (_, err, code) = in_folder(folder.path(), &[words, &["-o", "/dev/null"]].concat());
        let is_null = std::fs::metadata("/dev/null").unwrap().file_type().is_char_device();
        assert!(is_null, "/dev/null was replaced by {words:?}");
        assert_eq!(code, 0, "{words:?}: {err}");
    }
    let (_, err, code) = in_folder(folder.path(), &["export", "sqlite", "-o", "/dev/null"]);
    assert!(code == 2 && err.contains("is a device, a pipe or a socket"), "{err}");
    let (_, err, code) = in_folder(folder.path(), &["top", "-o", "/dev"]);
    assert!(code == 2 && err.contains("/dev is a folder"), "{err}");
}

#[test]
fn an_export_that_is_larger_than_files_may_be_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for format in ["csv", "chrome", "perfetto", "sqlite"] {
        let (out, err, code) =
            limited(folder.path(), "ulimit -f 8", &["export", format, "-o", "made"]);
        assert_eq!(code, 3, "{format}: {out}{err}");
        assert!(err.starts_with("error: "), "{format}: {err}");
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["shop.db"], "{format}: {err}");
    }
}

/// It was once told as a lack of permission.
#[test]
fn too_many_open_files_are_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut called = 0;
    // With a log and its index beside it, which are opened, too.
    let live = folder.path().join("live.db");
    std::fs::copy(profile(), &live).unwrap();
    let other = rusqlite::Connection::open(&live).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; UPDATE run SET label = 'live'").unwrap();
    for files in 3..16 {
        let limit = format!("ulimit -n {files}");
        for words in [&["top", "--db", "live.db"][..], &["export", "csv", "--db", "live.db"]] {
            let (_, err, code) = limited(folder.path(), &limit, words);
            if code == 0 {
                continue;
            }
            assert!(!err.contains("permission") && !err.contains("panicked"), "{files}: {err}");
            called += u32::from(err.contains("Too many open files") && err.contains("ulimit -n"));
        }
    }
    drop(other);
    assert!(called > 0);
}

#[test]
fn links_and_pipes_are_told_from_profiles_by_each_command_that_changes_one() {
    let folder = tempfile::tempdir().unwrap();
    symlink("shop.db", folder.path().join("link.db")).unwrap();
    let made = Command::new("mkfifo").arg(folder.path().join("pipe.db")).status().unwrap();
    assert!(made.success());
    for words in [&["optimize"][..], &["optimize", "--drop"], &["merge"]] {
        for (name, what) in [("link.db", "symbolic link"), ("pipe.db", "pipe or socket")] {
            let (out, err, code) = in_folder(folder.path(), &[words, &["--db", name]].concat());
            assert!(code == 3 && err.contains(what), "{words:?} {name}: {out}{err}");
        }
    }
}
