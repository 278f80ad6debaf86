//! A file that is mapped into memory.

#![allow(unsafe_code)] // calls of the operating system

use std::ffi::c_void;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use super::liveness::DRAINER_BYTE;
#[cfg(target_os = "linux")]
use super::sigbus::Guarded;
use super::system::is_locked;
use crate::fork;

/// A mapped file, all of it, as long as this is kept.
///
/// Who may touch its bytes is for whoever has this to say.
#[derive(Debug)]
pub(crate) struct Mapping {
    first: NonNull<c_void>,
    len: usize,
    /// Its file, which is open as long as it is mapped: with it goes the lock.
    file: Option<File>,
    /// Which file that is: a program that closes descriptors which are not its own may have another one by this number.
    id: Option<(u64, u64)>,
    /// Whether somebody has been found to have cut it short.
    was_cut: AtomicBool,
    #[cfg(target_os = "linux")]
    guarded: Option<Guarded>,
}

// SAFETY: an address, which is unmapped from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; a `&Mapping` touches nothing.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps so many bytes of a file, which has them. A forked child has zeros there, and not the file.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever there is room.
        let first = unsafe {
            let anywhere = std::ptr::null_mut();
            libc::mmap(anywhere, len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        let first = NonNull::new(first).filter(|first| first.as_ptr() != libc::MAP_FAILED);
        let first = first.ok_or_else(io::Error::last_os_error)?;
        // From here on it is unmapped whatever happens.
        let mapping = Self {
            first,
            len,
            file: None,
            id: None,
            was_cut: AtomicBool::new(false),
            #[cfg(target_os = "linux")]
            guarded: None,
        };
        if !fork::zero_in_child(first.addr().get(), len) {
            return Err(io::Error::other("this process has too many of them"));
        }
        Ok(mapping)
    }

    /// Has memory of this process's own, which is zero, in the place of some pages of the file.
    pub(crate) fn take_over(&self, at: usize, len: usize) -> io::Result<()> {
        assert!(at <= self.len && len <= self.len - at, "it is in the mapping");
        // SAFETY: as was just looked at.
        let at = unsafe { self.first.byte_add(at) };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        // SAFETY: pages of the mapping, which nobody has a reference to yet.
        let mapped = unsafe { libc::mmap(at.as_ptr(), len, protection, own, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// From now on nobody is ended who touches what is gone of the file, as far as that can be had.
    #[cfg(target_os = "linux")]
    pub(crate) fn guard(&mut self, page: usize) {
        self.guarded = Guarded::new(self.first.addr().get(), self.len, page);
    }

    /// The same: there is nothing that could be had.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn guard(&mut self, _page: usize) {}

    /// Keeps the file, which a forked child does not have: whoever has opened it has seen to that.
    pub(crate) fn keeping(mut self, file: File) -> Self {
        self.id = file.metadata().ok().map(|found| (found.dev(), found.ino()));
        self.file = Some(file);
        self
    }

    /// Its file, and what the system says of it; none if that cannot be asked.
    fn asked(&self) -> Option<(&File, Metadata)> {
        let file = self.file.as_ref()?;
        let found = file.metadata().ok()?;
        (Some((found.dev(), found.ino())) == self.id).then_some((file, found))
    }

    /// Whether no path names it any more. If it cannot be asked, one does.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.asked().is_some_and(|(_, found)| found.nlink() == 0)
    }

    /// Whether somebody has the right to drain it. If that cannot be asked, somebody has.
    pub(crate) fn is_being_drained(&self) -> bool {
        self.asked().is_none_or(|(file, _)| is_locked(file, DRAINER_BYTE).unwrap_or(true))
    }

    /// Touches each page, so that the memory is there before anybody records.
    pub(crate) fn touch(&self) {
        const SMALLEST: usize = 4_096;
        for at in (0..self.len).step_by(SMALLEST) {
            // SAFETY: it lies in the mapping.
            let byte = unsafe { self.first.cast::<u8>().add(at) };
            // SAFETY: a byte of the mapping, which nobody else knows yet; it has been reserved, and is zero.
            unsafe { byte.write_volatile(0) };
        }
    }

    /// Whether somebody has cut the file short, and a thread has found out, or [a look](Self::look_whether_cut).
    pub(crate) fn was_cut(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.guarded.as_ref().is_some_and(Guarded::was_cut) {
            return true;
        }
        // Relaxed: a fact that stays.
        self.was_cut.load(Ordering::Relaxed)
    }

    /// Whether all of the file is there that was reserved. If it cannot be asked, it is.
    pub(crate) fn look_whether_cut(&self) -> bool {
        let len = self.len as u64;
        let is_short = |(_, found): (_, Metadata)| {
            // One that was cut and made longer again has holes.
            let has_holes = cfg!(target_os = "linux") && found.blocks().saturating_mul(512) < len;
            found.len() < len || has_holes
        };
        if self.asked().is_some_and(is_short) {
            // Relaxed: as above.
            self.was_cut.store(true, Ordering::Relaxed);
        }
        self.was_cut()
    }

    pub(crate) fn first(&self) -> NonNull<u8> {
        self.first.cast()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // First: what is mapped there later is somebody else's.
        #[cfg(target_os = "linux")]
        drop(self.guarded.take());
        fork::share_with_child(self.first.addr().get());
        if let Some(file) = &self.file {
            fork::keep_in_child(file.as_raw_fd());
        }
        // SAFETY: it is this one's, and nobody has anything of it any more.
        unsafe { libc::munmap(self.first.as_ptr(), self.len) };
    }
}
