//! A child of `fork` records nothing into its parent's file, and does not end of it.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::file::{CellTable, FileSettings, Reader, RingFile};
use spandrel_ring::{ClaimError, RingOptions, ThreadLease};

use crate::Folder;

/// Forks, runs `child` there, and says with what it has ended.
fn in_a_fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls what needs no lock that another thread may hold, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = child();
        // SAFETY: ends this process, without what is to be done at its end.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and room for how it ended.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

#[test]
fn a_child_finds_a_closed_ring_and_empty_tables_and_its_parent_goes_on_alone() {
    let folder = Folder::new();
    let settings = FileSettings {
        ring: RingOptions { capacity: 1 << 12, partitions: 1 },
        tables: &[CellTable { cell: 8, cells: 512 }],
        names_bytes: 4_096,
        ..FileSettings::default()
    };
    let file = RingFile::create::<[u64; 1]>(&folder.ring(), &settings).unwrap();
    let (ring, _consumer) = file.ring::<[u64; 1]>().unwrap();
    let cells = file.cells::<AtomicU64>(0).unwrap();
    cells[3].store(7, Ordering::Relaxed);
    file.names().append(1, &[1], &[]).unwrap();
    let here = ThreadLease::new();
    here.put(ring.lease());
    let push = |value: u64| {
        let mut borrowed = here.borrow().unwrap();
        let published = borrowed.publish_if_roomy::<1>(0, 1, |_, slot| *slot = [value]);
        here.give_back(borrowed);
        published
    };
    let push_shared = |value: u64| {
        ring.try_claim(1).map(|mut claim| {
            *claim.slot(0) = [value];
            claim.publish();
        })
    };
    for value in 0..10 {
        assert!(push(value));
        push_shared(value).unwrap();
    }
    let code = in_a_fork(|| {
        for value in 100..100_000 {
            if push(value) || push_shared(value) != Err(ClaimError::Closed) {
                return 1;
            }
            cells[value as usize % 512].store(value, Ordering::Relaxed);
            // Whether there is room is nothing to the parent.
            _ = file.names().append(2, &[value], &[]);
        }
        file.set_closed();
        0
    });
    assert_eq!(code, 0);
    for value in 10..20 {
        assert!(push(value));
        push_shared(value).unwrap();
    }
    drop(here.take());
    let mut reader = Reader::open(&folder.ring()).unwrap();
    for partition in 0..2 {
        let mut seen = Vec::new();
        reader.drain(partition, 0, true, u64::MAX, |record| seen.push(record.words[0])).unwrap();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }
    let mut names = 0;
    reader.names(true, |name| names += name.numbers[0]).unwrap();
    assert_eq!(names, 1);
    reader
        .cells(0, 0..512, |at, cell| assert_eq!(cell, Some(&[if at == 3 { 7 } else { 0 }][..])))
        .unwrap();
    assert_eq!(reader.state().unwrap(), spandrel_ring::file::State::Building);
}

#[test]
#[ignore = "run by the next one in a process of its own, as others fork, too"]
fn forks_and_ends() {
    let Some(folder) = Folder::given() else { return };
    let file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    // The lock, asked for as from another process: by another open file description.
    let is_locked = || {
        let asking = std::fs::File::open(folder.ring()).unwrap();
        // SAFETY: numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        (lock.l_type, lock.l_len) = (libc::F_WRLCK as _, 1);
        // SAFETY: a descriptor, and what this command takes.
        assert_eq!(unsafe { libc::fcntl(asking.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) }, 0);
        lock.l_type != libc::F_UNLCK as libc::c_short
    };
    assert!(is_locked());
    let (mut is_over, over) = std::io::pipe().unwrap();
    let (mut is_there, mut there) = std::io::pipe().unwrap();
    // SAFETY: the child only waits, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(over);
        _ = there.write(&[1]);
        _ = is_over.read(&mut [0]);
        // SAFETY: as above.
        unsafe { libc::_exit(0) };
    }
    assert_eq!(is_there.read(&mut [0]).unwrap(), 1);
    assert!(is_locked(), "the parent has it still");
    drop(file);
    assert!(!is_locked(), "the child has it, too");
    drop(over);
    // SAFETY: a child of ours.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

#[test]
fn a_child_that_lives_on_does_not_keep_its_parents_file_locked() {
    let folder = Folder::new();
    let status = folder.command("forked::forks_and_ends").status().unwrap();
    assert!(status.success(), "{status}");
}
