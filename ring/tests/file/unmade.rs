//! Files that are left by who died while making them go, and none that is being made, wherever its maker is.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use spandrel_ring::file::{FileSettings, Reader, RingFile, remove_unmade};

use crate::{Folder, Running, elsewhere};

/// Removes what it can, for good: the makers are in another namespace.
#[test]
#[ignore = "run by the others in a process of its own"]
fn removes() {
    let Some(folder) = Folder::given() else { return };
    println!("\nremoves");
    let mut removed = 0_u64;
    while !folder.0.join("done").exists() {
        for entry in std::fs::read_dir(&folder.0).unwrap().flatten() {
            removed += u64::from(remove_unmade(&entry.path()).unwrap_or(false));
        }
    }
    println!("\nremoved {removed}");
}

#[test]
fn a_file_that_is_being_made_in_another_namespace_is_not_removed_for_good() {
    let folder = Folder::new();
    let Some(mut command) = elsewhere(&folder, "unmade::removes") else { return };
    let mut child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "removes"), "it has ended before");
    for turn in 0..3_000 {
        let path = folder.0.join(format!("{turn}.ring"));
        let file = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap();
        assert!(Reader::open(&path).is_ok(), "turn {turn}: it is gone");
        drop(file);
        std::fs::remove_file(&path).unwrap();
    }
    // A folder, which it cannot take for a file of ours.
    std::fs::create_dir(folder.0.join("done")).unwrap();
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn what_a_dead_one_has_left_unmade_goes() {
    let folder = Folder::new();
    for (name, bytes) in [("empty", 0), ("reserved", 1 << 16)] {
        let path = folder.0.join(name);
        std::fs::File::create_new(&path).unwrap().set_len(bytes).unwrap();
        assert!(remove_unmade(&path).unwrap() && !path.exists());
    }
    let path = folder.ring();
    let file = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap();
    drop(file);
    assert!(!remove_unmade(&path).unwrap() && path.exists(), "that is one");
}
