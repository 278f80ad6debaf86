//! A file that is mapped into memory.

#![allow(unsafe_code)] // calls of the operating system

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

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
}

// SAFETY: an address, which is unmapped from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; a `&Mapping` touches nothing.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps so many bytes of a file, which has them. A forked child has zeros there, and not the file.
    pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever there is room.
        let first = unsafe {
            let anywhere = std::ptr::null_mut();
            libc::mmap(anywhere, len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        let first = NonNull::new(first).filter(|first| first.as_ptr() != libc::MAP_FAILED);
        let first = first.ok_or_else(io::Error::last_os_error)?;
        // From here on it is unmapped whatever happens.
        let mapping = Self { first, len, file: None };
        if !fork::zero_in_child(first.addr().get(), len) {
            return Err(io::Error::other("this process has too many of them"));
        }
        Ok(mapping)
    }

    /// Has memory of this process's own, which is zero, in the place of some pages of the file.
    pub(super) fn take_over(&self, at: usize, len: usize) -> io::Result<()> {
        assert!(at <= self.len && len <= self.len - at, "it is in the mapping");
        // SAFETY: as was just looked at.
        let at = unsafe { self.first.byte_add(at) };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let own = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
        // SAFETY: pages of the mapping, which nobody has a reference to yet.
        let mapped = unsafe { libc::mmap(at.as_ptr(), len, protection, own, -1, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Keeps the file, which a forked child does not have: whoever has opened it has seen to that.
    pub(super) fn keeping(mut self, file: File) -> Self {
        self.file = Some(file);
        self
    }

    /// Touches each page, so that the memory is there before anybody records.
    pub(super) fn touch(&self) {
        const SMALLEST: usize = 4_096;
        for at in (0..self.len).step_by(SMALLEST) {
            // SAFETY: it lies in the mapping.
            let byte = unsafe { self.first.cast::<u8>().add(at) };
            // SAFETY: a byte of the mapping, which nobody else knows yet; it has been reserved, and is zero.
            unsafe { byte.write_volatile(0) };
        }
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
        fork::share_with_child(self.first.addr().get());
        if let Some(file) = &self.file {
            fork::keep_in_child(file.as_raw_fd());
        }
        // SAFETY: it is this one's, and nobody has anything of it any more.
        unsafe { libc::munmap(self.first.as_ptr(), self.len) };
    }
}
