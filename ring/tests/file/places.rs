//! Where a ring file is made, and where it is refused, without a trace and without a signal.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::RingOptions;
use spandrel_ring::file::{
    CellTable, CreateError, FileSettings, NamesRead, OpenError, Reader, RingFile,
};

use crate::Folder;

/// A ring of about so many bytes.
fn ring_of(bytes: usize) -> FileSettings<'static> {
    let ring = RingOptions { capacity: bytes / 64, partitions: 1 };
    FileSettings { ring, ..FileSettings::default() }
}

/// A file system of so many bytes, or none if this user may not.
struct Mounted(Folder);

impl Mounted {
    fn new(bytes: usize) -> Option<Self> {
        let folder = Folder::new();
        let path = std::ffi::CString::new(folder.0.to_str().unwrap()).unwrap();
        let options = std::ffi::CString::new(format!("size={bytes},mode=0700")).unwrap();
        // SAFETY: texts that end.
        let mounted = unsafe {
            let (from, kind) = (c"none".as_ptr(), c"tmpfs".as_ptr());
            libc::mount(from, path.as_ptr(), kind, 0, options.as_ptr().cast())
        };
        if mounted != 0 {
            eprintln!("SKIPPED: nothing can be mounted here ({})", std::io::Error::last_os_error());
            return None;
        }
        Some(Self(folder))
    }

    /// A disk of so many bytes, in a file.
    fn ext4(bytes: u64) -> Option<Self> {
        let (folder, disk) = (Folder::new(), Folder::new());
        let image = disk.0.join("image");
        std::fs::File::create_new(&image).unwrap().set_len(bytes).unwrap();
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-m", "0", "-E", "root_owner"]).arg(&image);
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).args([&image, &folder.0]);
        for mut step in [make, mount] {
            let done = step.stdin(Stdio::null()).output();
            if !done.as_ref().is_ok_and(|done| done.status.success()) {
                eprintln!("SKIPPED: no ext4 can be mounted here ({step:?}: {done:?})");
                return None;
            }
        }
        // It is open as long as it is mounted. (The disk goes at the end of this.)
        std::fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o700)).unwrap();
        Some(Self(folder))
    }

    fn free(&self) -> u64 {
        let path = std::ffi::CString::new(self.0.0.to_str().unwrap()).unwrap();
        // SAFETY: numbers.
        let mut found: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: a text that ends, and room for the answer.
        assert_eq!(unsafe { libc::statfs(path.as_ptr(), &raw mut found) }, 0);
        // What ext4 keeps for itself is nobody's.
        found.f_bavail
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = std::ffi::CString::new(self.0.0.to_str().unwrap()).unwrap();
        // SAFETY: a text that ends.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn where_there_is_no_room_nothing_is_left_and_nobody_is_ended() {
    for mounted in [Mounted::new(1 << 20), Mounted::ext4(2 << 20)].into_iter().flatten() {
        assert_no_room(&mounted);
    }
}

fn assert_no_room(mounted: &Mounted) {
    let before = mounted.free();
    let path = mounted.0.ring();
    let refused = RingFile::create::<[u64; 7]>(&path, &ring_of(4 << 20)).unwrap_err();
    assert!(matches!(refused, CreateError::Full { .. }), "{refused}");
    assert!(refused.to_string().contains("no room for a ring file of"), "{refused}");
    assert!(!path.exists());
    assert_eq!(mounted.free(), before, "what was reserved is given back");
}

#[test]
fn what_was_reserved_can_be_written_when_the_file_system_is_full() {
    for mounted in [Mounted::new(2 << 20), Mounted::ext4(4 << 20)].into_iter().flatten() {
        assert_can_be_written(&mounted);
    }
}

fn assert_can_be_written(mounted: &Mounted) {
    let tables = [CellTable { cell: 64, cells: 1_000 }];
    let settings = FileSettings { tables: &tables, names_bytes: 1 << 16, ..ring_of(1 << 20) };
    let path = mounted.0.ring();
    let file = RingFile::create::<[u64; 7]>(&path, &settings).unwrap();
    // All the rest.
    let mut rest = std::fs::File::create(mounted.0.0.join("rest")).unwrap();
    let full = std::io::copy(&mut std::io::repeat(7), &mut rest).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
    // ext4 keeps a few blocks for what it knows of files.
    assert!(mounted.free() < 8, "{}", mounted.free());
    let (ring, _consumer) = file.ring::<[u64; 7]>().unwrap();
    let mut lease = ring.lease().unwrap();
    let mut pushed = [0, 0];
    while lease.try_publish(0, 1, |_| [u64::MAX; 7]).is_ok() {
        pushed[0] += 1;
    }
    while ring
        .try_claim(1)
        .map(|mut claim| {
            *claim.slot(0) = [u64::MAX; 7];
            claim.publish();
        })
        .is_ok()
    {
        pushed[1] += 1;
    }
    assert_eq!(pushed.iter().sum::<usize>(), (1 << 20) / 64, "each slot was written");
    let cells = file.cells::<[AtomicU64; 8]>(0).unwrap();
    cells.iter().flatten().for_each(|word| word.store(1, Ordering::Relaxed));
    let mut names = 0;
    while file.names().append(1, &[7; 9], &["some text"]).is_ok() {
        names += 1;
    }
    let mut reader = Reader::open(&path).unwrap();
    for (partition, pushed) in pushed.into_iter().enumerate() {
        let drained = reader.drain(partition, 0, true, u64::MAX, |_| ()).unwrap();
        assert_eq!(drained.entries, pushed as u64);
    }
    let mut wanted = NamesRead::default();
    wanted.names = names;
    assert_eq!(reader.names(true, |_| ()).unwrap(), wanted);
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_no_signal() {
    let folder = Folder::new();
    let file = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(1 << 20)).unwrap();
    let (ring, _consumer) = file.ring::<[u64; 7]>().unwrap();
    let shared = ring.shared_partition();
    while ring.try_claim(1).map(|claim| claim.publish()).is_ok() {}
    let mut reader = Reader::open(&folder.ring()).unwrap();
    let whole = std::fs::metadata(folder.ring()).unwrap().len();
    let mut before = u64::MAX;
    for part in (0..=20).rev() {
        let cutting = std::fs::File::options().write(true).open(folder.ring()).unwrap();
        cutting.set_len(whole * part / 20).unwrap();
        let drained = reader.drain(shared, 0, true, u64::MAX, |_| ()).unwrap();
        assert!(drained.entries <= before, "{part}");
        assert!(part == 20 || reader.is_cut());
        before = drained.entries;
    }
    assert_eq!(before, 0);
    // Nobody may touch the memory of the file any more.
    std::mem::forget((file, ring));
}

#[test]
fn what_is_no_file_is_no_ring_and_nobody_waits_for_it() {
    let folder = Folder::new();
    let path = std::ffi::CString::new(folder.ring().to_str().unwrap()).unwrap();
    // SAFETY: a text that ends.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    assert!(matches!(Reader::open(&folder.ring()), Err(OpenError::NoRing)));
    assert!(matches!(Reader::open_to_drain(&folder.ring()), Err(OpenError::NoRing)));
    assert!(matches!(Reader::open(&folder.0), Err(OpenError::NoRing)));
}

fn untrusted(path: &Path) -> String {
    let said = |opened: Result<Reader, OpenError>| match opened {
        Err(OpenError::Untrusted(why)) => why,
        other => panic!("{:?}", other.map(drop)),
    };
    let why = said(Reader::open(path));
    assert_eq!(said(Reader::open_to_drain(path)), why);
    why
}

#[test]
fn what_somebody_else_has_put_there_is_not_read() {
    let folder = Folder::new();
    let file = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(1 << 16)).unwrap();
    Reader::open(&folder.ring()).unwrap();
    let link = folder.0.join("link.ring");
    std::os::unix::fs::symlink(folder.ring(), &link).unwrap();
    assert!(untrusted(&link).contains("is a link"));
    match std::os::unix::fs::chown(folder.ring(), Some(12_345), None) {
        Ok(()) => {
            let why = untrusted(&folder.ring());
            assert!(why.contains("belongs to user 12345") && why.contains("remove it"), "{why}");
        }
        Err(error) => eprintln!("SKIPPED: no file can be given away here ({error})"),
    }
    drop(file);
}

#[test]
fn what_has_no_memory_for_its_length_is_not_read() {
    let folder = Folder::new();
    let file = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(1 << 20)).unwrap();
    let longer = std::fs::File::options().write(true).open(folder.ring()).unwrap();
    let len = file.bytes() as u64;
    longer.set_len(len + (1 << 17)).unwrap();
    Reader::open(&folder.ring()).unwrap();
    longer.set_len(1 << 30).unwrap();
    let why = untrusted(&folder.ring());
    assert!(why.contains("of its 1073741824 bytes are on its file system"), "{why}");
    longer.set_len(1 << 40).unwrap();
    assert!(untrusted(&folder.ring()).contains("no ring file has more"));
    longer.set_len(len).unwrap();
    Reader::open(&folder.ring()).unwrap();
}

/// Somebody else who may write to the file spoils what is recorded, and nothing of the process that records.
#[test]
fn words_that_somebody_else_has_written_lead_its_owner_nowhere() {
    let folder = Folder::new();
    let file = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(1 << 14)).unwrap();
    let (ring, mut consumer) = file.ring::<[u64; 7]>().unwrap();
    let mut lease = ring.lease().unwrap();
    let spoiling = std::fs::File::options().write(true).open(folder.ring()).unwrap();
    let len = spoiling.metadata().unwrap().len();
    let mut state = 0x1357_9BDF_0246_8ACE;
    for turn in 0..20_000_u64 {
        use std::os::unix::fs::FileExt;
        let word = match turn % 4 {
            0 => u64::MAX,
            1 => 0,
            2 => turn << 11,
            _ => crate::random(&mut state),
        };
        let at = crate::random(&mut state) % (len / 8) * 8;
        spoiling.write_all_at(&word.to_ne_bytes(), at).unwrap();
        for slots in 1..=3 {
            _ = lease.try_publish(0, slots, |_| [turn; 7]);
            _ = ring.try_claim(slots).map(|claim| claim.publish());
        }
        _ = lease.has_spare(1) || ring.has_spare(1);
        _ = file.names().append(1, &[turn], &["text"]);
        for partition in 0..consumer.partitions() {
            consumer.drain(partition, 100, |entry| assert!(entry.slots().len() < 1 << 10));
        }
        _ = (ring.backlog(), consumer.backlog(), ring.published());
    }
}

#[test]
fn a_folder_that_others_can_enter_is_refused_and_a_new_one_is_its_owners_alone() {
    let folder = Folder::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = folder.0.join("a/b/run.ring");
    let nested = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap_err();
    assert!(nested.to_string().contains("make that first"), "{nested}");
    assert!(!folder.0.join("a").exists());
    std::fs::create_dir(folder.0.join("a")).unwrap();
    let _file = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap();
    assert_eq!((mode(&folder.0.join("a/b")), mode(&path)), (0o700, 0o600));
    let again = RingFile::create::<[u64; 1]>(&path, &FileSettings::default()).unwrap_err();
    assert!(matches!(again, CreateError::Exists(_)), "{again}");
    std::fs::set_permissions(folder.0.join("a"), PermissionsExt::from_mode(0o750)).unwrap();
    let shared =
        RingFile::create::<[u64; 1]>(&folder.0.join("a/run.ring"), &FileSettings::default());
    let shared = shared.unwrap_err().to_string();
    assert!(shared.contains("can be entered by others; give the ring file a folder"), "{shared}");
    std::os::unix::fs::symlink(folder.0.join("a/b"), folder.0.join("link")).unwrap();
    let linked = folder.0.join("link/other.ring");
    let linked = RingFile::create::<[u64; 1]>(&linked, &FileSettings::default());
    assert!(matches!(linked.unwrap_err(), CreateError::Shared { .. }));
    for link in ["link", "link/"] {
        let refused = spandrel_ring::file::check_folder(&folder.0.join(link)).unwrap_err();
        assert!(refused.to_string().contains("is a link"), "{refused}");
    }
}

#[test]
fn a_file_system_that_is_not_known_is_refused_by_its_name() {
    // There are no files in it, but folders.
    let refused = RingFile::create::<[u64; 1]>(
        Path::new("/proc/self/task/run.ring"),
        &FileSettings::default(),
    );
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, CreateError::FileSystem { .. } | CreateError::Shared { .. }),
        "{refused}"
    );
}

#[test]
fn what_is_larger_than_any_memory_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let refused = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(usize::MAX)).unwrap_err();
    assert!(matches!(refused, CreateError::TooLarge(_)), "{refused}");
    assert!(!folder.ring().exists());
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn limited() {
    let Some(folder) = Folder::given() else { return };
    let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a limit of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
    let refused = RingFile::create::<[u64; 7]>(&folder.ring(), &ring_of(1 << 20)).unwrap_err();
    assert!(matches!(refused, CreateError::Full { .. }), "{refused}");
    assert!(!folder.ring().exists());
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_no_signal() {
    let folder = Folder::new();
    // Not into our standard output: that may be a file, which is longer than the limit already.
    let done = folder.command("places::limited").output().unwrap();
    assert!(done.status.success(), "{}: {}", done.status, String::from_utf8_lossy(&done.stderr));
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn many() {
    let Some(folder) = Folder::given() else { return };
    let make = |number: usize| {
        let path = folder.0.join(format!("{number}.ring"));
        (RingFile::create::<[u64; 1]>(&path, &FileSettings::default()), path)
    };
    let mut files: Vec<_> = (0..64).map(|number| make(number).0.unwrap()).collect();
    let (refused, path) = make(64);
    assert!(refused.unwrap_err().to_string().contains("too many of them"));
    assert!(!path.exists());
    files.pop();
    assert!(make(65).0.is_ok(), "there is room for another one");
}

#[test]
fn more_files_than_a_fork_can_be_kept_from_are_refused() {
    let folder = Folder::new();
    let status = folder.command("places::many").status().unwrap();
    assert!(status.success(), "{status}");
}
