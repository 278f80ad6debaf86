//! Files that are cut short, spoilt, or something else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use spandrel_ring::between::{OpenError, Options, ReadError, Ring, Start, WriteError};
use spandrel_ring::file::{FileSettings, RingFile};

use crate::Folder;

/// Words of the header.
const HEADER: usize = 4_096;

fn small(path: &Path) -> Ring {
    Options::new(8, 2).participants(1).create(path).unwrap()
}

fn writable(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_file_that_is_cut_short_at_any_length_or_is_longer_is_refused() {
    let folder = Folder::new();
    let path = folder.ring();
    drop(small(&path));
    let file = writable(&path);
    let len = file.metadata().unwrap().len();
    file.set_len(len + 1).unwrap();
    assert!(matches!(Ring::open(&path), Err(OpenError::Damaged(_))));
    for len in (0..len).rev() {
        file.set_len(len).unwrap();
        let refused = Ring::open(&path).unwrap_err();
        let is_said = matches!(refused, OpenError::Damaged(_) | OpenError::NoRing);
        assert!(is_said, "{len}: {refused}");
    }
}

#[test]
fn a_header_with_another_bit_is_refused() {
    let folder = Folder::new();
    let path = folder.ring();
    drop(small(&path));
    let file = writable(&path);
    let mut header = vec![0; HEADER];
    file.read_exact_at(&mut header, 0).unwrap();
    for (at, byte) in header.iter().enumerate() {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ 1 << bit], at as u64).unwrap();
            assert!(Ring::open(&path).is_err(), "byte {at}, bit {bit}");
        }
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert!(Ring::open(&path).is_ok());
}

#[test]
fn what_is_no_ring_between_processes_is_not_opened() {
    let folder = Folder::new();
    let path = folder.ring();
    let is_no_ring = |path: &Path| matches!(Ring::open(path), Err(OpenError::NoRing));
    let missing = Ring::open(&path).unwrap_err();
    assert!(missing.to_string().contains("cannot open the ring"), "{missing}");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    assert!(is_no_ring(&path));
    std::fs::remove_file(&path).unwrap();
    // A ring of the other kind.
    let other = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap();
    assert!(is_no_ring(&path));
    drop(other);
    std::fs::remove_file(&path).unwrap();
    // A pipe, at which nobody waits.
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a text that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(is_no_ring(&path));
    std::fs::remove_file(&path).unwrap();
    let elsewhere = folder.0.join("elsewhere");
    drop(small(&elsewhere));
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(matches!(Ring::open(&path), Err(OpenError::Untrusted(_))));
    std::fs::remove_file(&path).unwrap();
    // One that says that it is long, and has no memory.
    drop(Options::new(1 << 20, 2).create(&path).unwrap());
    let mut header = vec![0; HEADER];
    writable(&path).read_exact_at(&mut header, 0).unwrap();
    let len = path.metadata().unwrap().len();
    std::fs::write(&path, header).unwrap();
    writable(&path).set_len(len).unwrap();
    assert!(matches!(Ring::open(&path), Err(OpenError::Untrusted(_))));
}

#[test]
fn a_file_that_is_cut_while_it_is_used_ends_nobody_and_is_said() {
    for left in [0, 4_096, 12_288, 40_960] {
        let folder = Folder::new();
        let path = folder.ring();
        let ring = Options::new(1_000, 64).create(&path).unwrap();
        let mut writer = ring.writer().unwrap();
        let mut reader = ring.reader(Start::Next).unwrap();
        let mut holding = ring.holding_reader().unwrap();
        let mut slot = vec![7; 1_000];
        for _ in 0..40 {
            writer.try_send(&slot).unwrap();
        }
        writable(&path).set_len(left).unwrap();
        let mut written = None;
        for _ in 0..1_000 {
            match writer.send(&slot, Duration::from_millis(1)) {
                Err(why) if why != WriteError::TimedOut => written = Some(why),
                _ => {}
            }
            _ = holding.read_all(|_, _| ());
        }
        assert!(ring.was_cut());
        assert_eq!(written, Some(WriteError::Cut), "{left}");
        let read =
            (0..1_000).find_map(|_| match reader.read(&mut slot, Duration::from_millis(2)) {
                Err(ReadError::Cut | ReadError::Ended) => Some(()),
                _ => None,
            });
        assert!(read.is_some() || left > 4_096, "{left}: it is told that nothing comes");
        drop((writer, reader, holding));
        assert!(ring.writer().is_err() || left > 0 || ring.was_cut());
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Options::new(8, 2).create(&folder.ring()).unwrap_err();
    assert!(refused.to_string().contains("0700"), "{refused}");
    let never_made = folder.0.join("b/c.ring");
    for (slot, slots, participants) in
        [(8, 3, 1), (0, 2, 1), (8, 0, 1), (8, 1, 1), (8, 2, 0), (8, 2, 4_097)]
    {
        let options = Options::new(slot, slots).participants(participants);
        assert!(matches!(options.create(&never_made), Err(OpenError::BadOptions(_))));
    }
    for (slot, slots) in [(usize::MAX, 2), (1 << 40, 1 << 30), (1 << 40, 2)] {
        assert!(matches!(Options::new(slot, slots).create(&never_made), Err(OpenError::Create(_))));
    }
}
