//! What is asked of the operating system.

#![allow(unsafe_code)] // calls of it

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What a file system is called: by number on Linux, by name on macOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSystem {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "of the other system"))]
    Number(u64),
    #[cfg_attr(not(target_os = "macos"), allow(dead_code, reason = "of the other system"))]
    Name(String),
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Which file system a folder is on.
pub(crate) fn file_system(folder: &Path) -> io::Result<FileSystem> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: a text that ends, and room for the answer.
    checked(unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: zeros are a value of it, and now it was written.
    let found = unsafe { found.assume_init() };
    #[cfg(target_os = "linux")]
    {
        // 32 bits of it, whatever the type is here.
        Ok(FileSystem::Number(u64::from(found.f_type as u32)))
    }
    #[cfg(target_os = "macos")]
    {
        let name = found.f_fstypename.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0);
        Ok(FileSystem::Name(String::from_utf8_lossy(&name.collect::<Vec<_>>()).into_owned()))
    }
}

/// The user as whom files are made.
pub(crate) fn user() -> u32 {
    // SAFETY: a number out.
    unsafe { libc::geteuid() }
}

/// The system's monotonic clock, which all processes of a machine have in common, in nanoseconds. That of
/// `std::time::Instant`.
pub(crate) fn monotonic_ns() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    #[cfg(target_os = "macos")]
    const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: room for the answer.
    let asked = unsafe { libc::clock_gettime(CLOCK, now.as_mut_ptr()) };
    // SAFETY: zeros are a value of it, and now it was written.
    let now = unsafe { now.assume_init() };
    let ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    if asked == 0 { ns } else { 0 }
}

/// How long a file of this process may be; beyond it there is a signal.
pub(crate) fn file_size_limit() -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: room for the answer.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, limit.as_mut_ptr()) };
    // SAFETY: zeros are a value of it, and now it was written.
    let limit = unsafe { limit.assume_init() };
    if asked == 0 { limit.rlim_cur } else { u64::MAX }
}

/// Reserves so many bytes of a new file, so that no store into them finds that there is no room.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    // In pieces: tmpfs takes all back when a signal comes, and a program may have many.
    const PIECE: u64 = 1 << 20;
    const ATTEMPTS: u32 = 1_000;
    let mut at = 0;
    while at < bytes {
        let piece = PIECE.min(bytes - at);
        let (from, len) = (at as libc::off64_t, piece as libc::off64_t);
        let mut attempts = 0;
        loop {
            // Not `posix_fallocate`, which writes to a file whose system cannot reserve.
            // SAFETY: a descriptor and numbers.
            match checked(unsafe { libc::fallocate64(file.as_raw_fd(), 0, from, len) }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && attempts < ATTEMPTS => {
                    attempts += 1;
                }
                done => break done?,
            }
        }
        at += piece;
    }
    Ok(())
}

/// The same.
#[cfg(target_os = "macos")]
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let mut wanted = libc::fstore_t {
        fst_flags: libc::F_ALLOCATEALL,
        fst_posmode: libc::F_PEOFPOSMODE,
        fst_offset: 0,
        fst_length: bytes as libc::off_t,
        fst_bytesalloc: 0,
    };
    // SAFETY: a descriptor, and what this command takes.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_PREALLOCATE, &raw mut wanted) })?;
    file.set_len(bytes)
}

fn lock_of(first: u64) -> libc::flock {
    // SAFETY: numbers, of which zero is one.
    let mut lock = unsafe { MaybeUninit::<libc::flock>::zeroed().assume_init() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = first as libc::off_t;
    lock.l_len = 1;
    lock
}

/// Locks a byte of a file for its open file description. `false` if another one has it.
pub(crate) fn lock(file: &File, byte: u64) -> io::Result<bool> {
    let lock = lock_of(byte);
    // SAFETY: a descriptor, and what this command takes.
    match checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives a byte back that this open file description has locked.
#[cfg(feature = "broadcast")]
pub(crate) fn unlock(file: &File, byte: u64) -> io::Result<()> {
    let mut lock = lock_of(byte);
    lock.l_type = libc::F_UNLCK as libc::c_short;
    // SAFETY: a descriptor, and what this command takes.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) })
}

/// Whether another open file description has locked a byte of a file.
pub(crate) fn is_locked(file: &File, byte: u64) -> io::Result<bool> {
    let mut lock = lock_of(byte);
    // SAFETY: a descriptor, and what this command takes.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) })?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// A process that holds such a lock on a byte of a file, if it can be seen: the system names none where it tells of the lock.
/// Looks through the descriptors of all processes that this one may look into.
pub(super) fn lock_holder(file: &File, byte: u64) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        let found = file_in_proc(file)?;
        let is_it = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            words.next() == Some("lock:")
                && words.any(|word| word == "OFDLCK")
                && words.any(|word| word == found)
                && words.next().is_some_and(|first| first.parse() == Ok(byte))
        };
        let holds = |pid: u32| {
            let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
            open.flatten().any(|descriptor| {
                let said = std::fs::read_to_string(descriptor.path()).unwrap_or_default();
                said.lines().any(is_it)
            })
        };
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let mut numbers = processes.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
        numbers.find(|pid| holds(*pid))
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = (file, byte);
        None
    }
}

/// A file as `/proc` writes it behind a lock: its device and its number there.
#[cfg(target_os = "linux")]
fn file_in_proc(file: &File) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let found = file.metadata().ok()?;
    let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
    Some(format!("{major:02x}:{minor:02x}:{}", found.ino()))
}

/// Whether a process has a file mapped; `None` if that cannot be seen.
pub(crate) fn is_mapped(file: &File, pid: u32) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        use std::io::Read;
        use std::os::unix::fs::MetadataExt;

        let found = file.metadata().ok()?;
        let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
        let (device, inode) = (format!("{major:02x}:{minor:02x}"), found.ino().to_string());
        // In bytes: names of other files are in it.
        let mut maps = Vec::new();
        File::open(format!("/proc/{pid}/maps")).ok()?.read_to_end(&mut maps).ok()?;
        let is_it = |line: &[u8]| {
            let mut words = line.split(|byte| *byte == b' ').skip(3);
            words.next() == Some(device.as_bytes()) && words.next() == Some(inode.as_bytes())
        };
        Some(maps.split(|byte| *byte == b'\n').any(is_it))
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = (file, pid);
        None
    }
}

/// Whether a process lives that has this number and began then; `None` if it cannot be seen.
pub(crate) fn lives(pid: u32, started: u64) -> Option<bool> {
    let number = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0)?;
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::{FromRawFd, OwnedFd};
        // SAFETY: two numbers.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) };
        if let Ok(descriptor) = libc::c_int::try_from(descriptor)
            && descriptor >= 0
        {
            // SAFETY: it was just opened, and is nobody else's.
            let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // Whatever has this number now keeps it while the descriptor is open.
            let is_it = super::process::started(pid)? == started;
            let mut asked =
                libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one descriptor, and no waiting.
            let ended = unsafe { libc::poll(&raw mut asked, 1, 0) };
            // One that has ended can be read of, also before its parent has asked for it.
            return Some(is_it && ended == 0);
        }
        if io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
            return Some(false);
        }
    }
    // SAFETY: no signal, only the question whether one could be sent.
    if unsafe { libc::kill(number, 0) } == -1
        && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    {
        return Some(false);
    }
    super::process::started(pid).map(|began| began == started)
}
