//! One store a file, in this process and among processes; the kernel frees the file of a killed one.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use spandrel_query::Reader;
use spandrel_storage::{ErrorKind, Store, StoreOptions};

use crate::common;

const VARIABLE: &str = "SPANDREL_TEST_IN_USE";

fn refused(path: &Path, by: &str) {
    let error = Store::open(path, &StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
    let text = error.to_string();
    let remedy = "(it is recording); choose another path or stop it";
    assert!(text.contains(&format!("in use by {by} {remedy}")), "{text}");
}

/// Waits until the child records, and gives back its output, which has to stay open.
fn wait_for_child(child: &mut std::process::Child) -> impl Sized + use<> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("recording")));
    lines
}

#[test]
fn by_another_process() {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let store = common::store(Path::new(&path), &StoreOptions::default());
        println!("recording");
        // Until the parent says so, or kills this process.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return store.close().unwrap();
    }
    let (_folder, path) = common::place();

    let mut child = common::child(VARIABLE, &path);
    let output = wait_for_child(&mut child);
    refused(&path, "another process");
    let reader = Reader::open(&path).unwrap();
    refused(&path, "another process");
    drop(reader);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    drop(output);
    common::store(&path, &StoreOptions::default()).close().unwrap();

    let mut child = common::child(VARIABLE, &path);
    let _output = wait_for_child(&mut child);
    refused(&path, "another process");
    child.kill().unwrap();
    child.wait().unwrap();
    common::store(&path, &StoreOptions::default()).close().unwrap();
    assert_eq!(Reader::open(&path).unwrap().runs().unwrap().len(), 4);
}

/// A refused open must not drop the locks of the store that has the file, either.
#[test]
fn by_this_process() {
    let (folder, path) = common::place();
    let mut store = common::store(&path, &StoreOptions::default());
    refused(&path, "this process");
    std::fs::hard_link(&path, folder.path().join("other.db")).unwrap();
    refused(&folder.path().join("other.db"), "this process");
    let locks = locks_on(&path);
    assert!(!locks.is_empty() || cfg!(not(target_os = "linux")));
    refused(&path, "this process");
    assert_eq!(locks_on(&path), locks);
    common::record(&mut store, 10);
    store.close().unwrap();
    common::store(&path, &StoreOptions::default()).close().unwrap();
}

#[test]
fn dropping_a_store_frees_the_file() {
    let (_folder, path) = common::place();
    drop(common::store(&path, &StoreOptions::default()));
    assert!(!common::sidecar(&path, "-wal").exists());
    drop(common::store(&path, &StoreOptions::default()));
}

/// Closing the store's own descriptor would drop the record locks that SQLite holds for the reader.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_keeps_its_locks_when_the_store_closes() {
    let (_folder, path) = common::place();
    let store = common::store(&path, &StoreOptions::default());
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.runs().unwrap().len(), 1);
    let before = locks_on(&path);
    assert!(before.iter().any(|lock| lock.contains("POSIX")), "{before:?}");
    store.close().unwrap();
    let after = locks_on(&path);
    assert!(after.iter().any(|lock| lock.contains("POSIX")), "{after:?}");
    assert!(!after.iter().any(|lock| lock.contains("FLOCK")), "{after:?}");
    // And the file can be recorded into again, with the descriptor that was kept.
    let mut store = common::store(&path, &StoreOptions::default());
    common::record(&mut store, 10);
    assert_eq!(reader.counts(2).unwrap().spans, 10);
    store.close().unwrap();
    drop(reader);
    common::store(&path, &StoreOptions::default()).close().unwrap();
}

/// The locks on a file, which nobody changes meanwhile.
///
/// The system hands out the list of all locks piece by piece, and passes over some where others lock and unlock between two
/// pieces. So what one of several looks has is there.
#[cfg(target_os = "linux")]
fn locks_on(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", path.metadata().unwrap().ino());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let locks = locks.lines().filter(|line| line.contains(&inode));
        seen.extend(locks.map(|line| line.split_once(' ').unwrap().1.to_owned()));
    }
    seen.into_iter().collect()
}

#[cfg(not(target_os = "linux"))]
fn locks_on(_path: &Path) -> Vec<String> {
    Vec::new()
}
