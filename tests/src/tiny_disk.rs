//! A file system of a few hundred KiB, so that a disk can really be full.

use std::path::Path;

use tempfile::TempDir;

use crate::skipped::skipped;
use crate::system;

/// A file system in memory. Needs the right to mount.
#[derive(Debug)]
pub struct TinyDisk {
    folder: TempDir,
}

impl TinyDisk {
    /// Mounts one of so many KiB; `None`, and a line that says so, where that is not allowed.
    pub fn mount(kib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        match system::mount_memory(folder.path(), kib) {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                skipped(format_args!("cannot mount a file system in memory: {error}"));
                None
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it more room.
    pub fn resize(&self, kib: u64) {
        system::resize_memory(self.path(), kib).expect("what was mounted can be resized");
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = system::unmount(self.path());
    }
}
