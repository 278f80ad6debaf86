//! Calls of the operating system that the standard library does not have.

#![allow(unsafe_code)] // each call is one line, with its reason

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Becomes the user and group 65534, which own nothing. There is no way back.
pub fn become_nobody() -> io::Result<()> {
    // SAFETY: an empty list; the pointer is not read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: a number.
    check(unsafe { libc::setgid(65_534) })?;
    // SAFETY: a number.
    check(unsafe { libc::setuid(65_534) })
}

/// Closes the standard output, so that nobody waits for its end.
pub fn close_stdout() -> io::Result<()> {
    // SAFETY: a number; what is printed from now on fails.
    check(unsafe { libc::close(1) })
}

/// Has `/dev/null` under each descriptor of this process whose file is called so: as in a program that closes what it has not
/// opened, and opens files of its own after that. Returns how many there were.
pub fn take_descriptors_of(ending: &str) -> io::Result<usize> {
    let null = std::fs::File::open("/dev/null")?;
    let mut taken = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let number = entry.file_name().to_string_lossy().parse();
        if let Ok(number) = number
            && target.to_string_lossy().ends_with(ending)
        {
            // SAFETY: two numbers; whoever has opened that file has another one there from now on.
            check(unsafe { libc::dup2(null.as_raw_fd(), number) }.min(0))?;
            taken += 1;
        }
    }
    Ok(taken)
}

/// Sleeps until this process is killed, or for so many seconds at most, after which it ends.
pub fn sleep_until_killed(seconds: u32) -> ! {
    // SAFETY: a number; nothing in the tests handles SIGALRM, which ends the process.
    unsafe { libc::alarm(seconds) };
    loop {
        // SAFETY: no arguments.
        unsafe { libc::pause() };
    }
}

/// Kills a process; an error if there is none of this id that has not ended.
pub fn kill(pid: i32) -> io::Result<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // One that has ended and that nobody has asked for its exit code has an id, too.
    if status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: numbers.
    check(unsafe { libc::kill(pid, libc::SIGKILL) })
}

/// Stops a process until it is told to go on, or is killed; and waits until it has stopped. It has to be a child of ours.
pub fn stop(pid: i32) -> io::Result<()> {
    // SAFETY: numbers.
    check(unsafe { libc::kill(pid, libc::SIGSTOP) })?;
    let mut status = 0;
    // SAFETY: `status` is where the system may write to.
    check(unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) })?;
    if libc::WIFSTOPPED(status) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Sets what new files are not allowed to others.
pub fn set_umask(mask: u32) {
    // SAFETY: a number, cannot fail.
    unsafe { libc::umask(mask) };
}

/// Forks. In the child only the calling thread exists; `body` runs there, and then the child ends
/// with its result, without running destructors or exit handlers. Returns the child's id.
pub fn fork(body: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: the child touches no lock of the other threads but the allocator's, which glibc puts
    // right, and ends with `_exit`.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid > 0 {
        return Ok(pid);
    }
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Waits for a child of [`fork`]; its exit code, or minus the signal that ended it.
pub fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` lives on this stack.
    check(unsafe { libc::waitpid(pid, &mut status, 0) })?;
    if libc::WIFEXITED(status) {
        Ok(libc::WEXITSTATUS(status))
    } else {
        Ok(-libc::WTERMSIG(status))
    }
}

/// From now on this process can map so many bytes at most.
pub fn limit_address_space(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the structure lives until the call returns.
    check(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) })
}

/// Mounts a file system in memory, of so many KiB.
pub fn mount_memory(at: &Path, kib: u64) -> io::Result<()> {
    mount(at, kib, 0)
}

/// Changes the size of one.
pub fn resize_memory(at: &Path, kib: u64) -> io::Result<()> {
    mount(at, kib, libc::MS_REMOUNT)
}

fn mount(at: &Path, kib: u64, flags: libc::c_ulong) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_bytes())?;
    let options = CString::new(format!("size={kib}k,mode=0700"))?;
    // SAFETY: all strings end with NUL and live until the call returns.
    check(unsafe {
        libc::mount(
            c"spandrel-test".as_ptr(),
            at.as_ptr(),
            c"tmpfs".as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })
}

/// Takes it away, when nobody uses it any longer.
pub fn unmount(at: &Path) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_bytes())?;
    // SAFETY: the string ends with NUL and lives until the call returns.
    check(unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) })
}

/// Limits the length of files of this process, or lifts the limit.
pub fn limit_file_size(bytes: Option<u64>) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives on this stack.
    check(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) })?;
    limit.rlim_cur = bytes.unwrap_or(limit.rlim_max);
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
