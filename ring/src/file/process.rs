//! What tells a process from all others, also from one that has its number later.

use super::OwnerId;

/// This process.
pub(crate) fn this() -> OwnerId {
    OwnerId {
        boot: system::boot(),
        pid: u64::from(std::process::id()),
        started: system::started(std::process::id()).unwrap_or(0),
        pid_namespace: system::pid_namespace(),
        is_locked: false,
    }
}

pub(crate) use self::system::{boot, page_bytes, pid_namespace, started};

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use std::os::unix::fs::MetadataExt;

    /// The boot id, which no other boot has.
    pub(crate) fn boot() -> [u64; 2] {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits = text.chars().filter_map(|digit| digit.to_digit(16));
        let id = digits.fold(0_u128, |id, digit| id << 4 | u128::from(digit));
        [(id >> 64) as u64, id as u64]
    }

    /// When a process began, in ticks since the boot. `None` if there is none, or it cannot be seen.
    pub(crate) fn started(pid: u32) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses, and may have some itself.
        let (_, behind) = stat.rsplit_once(')')?;
        behind.split_ascii_whitespace().nth(19)?.parse().ok()
    }

    pub(crate) fn pid_namespace() -> u64 {
        std::fs::metadata("/proc/self/ns/pid").map_or(0, |file| file.ino())
    }

    #[allow(unsafe_code)] // asks the system for a number
    /// Bytes of a page of this machine; 0 if that is not known.
    pub(crate) fn page_bytes() -> usize {
        // SAFETY: a number in, a number out.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
    }
}

#[cfg(target_os = "macos")]
mod system {
    #![allow(unsafe_code)] // asks the system

    use std::mem::MaybeUninit;

    /// When the machine was started, which no two boots have in common.
    pub(crate) fn boot() -> [u64; 2] {
        let mut time = MaybeUninit::<libc::timeval>::zeroed();
        let mut bytes = size_of::<libc::timeval>();
        let mut name = [libc::CTL_KERN, libc::KERN_BOOTTIME];
        // SAFETY: a name of two numbers, and room for what it names.
        let found = unsafe {
            libc::sysctl(
                name.as_mut_ptr(),
                2,
                time.as_mut_ptr().cast(),
                &mut bytes,
                std::ptr::null_mut(),
                0,
            )
        };
        // SAFETY: it was zero, which is a value, or was written.
        let time = unsafe { time.assume_init() };
        if found == 0 { [time.tv_sec as u64, time.tv_usec as u64] } else { [0; 2] }
    }

    /// When a process began, in microseconds. `None` if there is none, or it cannot be seen.
    pub(crate) fn started(pid: u32) -> Option<u64> {
        let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
        let bytes = size_of::<libc::proc_bsdinfo>() as libc::c_int;
        let pid = libc::c_int::try_from(pid).ok()?;
        // SAFETY: room for what is asked for.
        let found = unsafe {
            libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), bytes)
        };
        // SAFETY: it was zero, which is a value, or was written.
        let info = unsafe { info.assume_init() };
        (found == bytes).then_some(info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
    }

    pub(crate) fn pid_namespace() -> u64 {
        0
    }

    /// Bytes of a page of this machine; 0 if that is not known.
    pub(crate) fn page_bytes() -> usize {
        // SAFETY: a number in, a number out.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
    }
}

#[cfg(not(any(all(target_os = "linux", not(miri)), target_os = "macos")))]
mod system {
    pub(crate) fn boot() -> [u64; 2] {
        [0; 2]
    }

    pub(crate) fn started(_pid: u32) -> Option<u64> {
        None
    }

    pub(crate) fn pid_namespace() -> u64 {
        0
    }

    /// Bytes of a page of this machine; 0 if that is not known.
    pub(crate) fn page_bytes() -> usize {
        0
    }
}
