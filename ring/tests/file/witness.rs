//! Words that two processes share, beside the file that is tested.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many words of a file, which stay mapped for good.
pub(crate) fn words(path: &Path, len: usize) -> &'static [AtomicU64] {
    let file: File =
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len((len * 8) as u64).unwrap();
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of a file that is long enough, and which nobody cuts.
    let first = unsafe {
        libc::mmap(std::ptr::null_mut(), len * 8, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(first, libc::MAP_FAILED);
    // SAFETY: it is never unmapped, and touched by atomic operations only.
    unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>(), len) }
}

/// Waits until a word is so large, or whoever should make it so is gone.
pub(crate) fn wait_for(word: impl Fn() -> u64, wanted: u64, mut is_gone: impl FnMut() -> bool) {
    while word() < wanted {
        assert!(!is_gone(), "the other process has ended at {}", word());
        std::thread::yield_now();
    }
}

/// What is in all of these words, together.
pub(crate) fn sum(words: &[AtomicU64]) -> u64 {
    words.iter().map(|word| word.load(Ordering::Acquire)).sum()
}
