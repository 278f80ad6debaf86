//! What a program says of itself, in memory that outlives it.

#![allow(unsafe_code)] // words that two processes share

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::program::THREADS;

/// Where the path of the file is said to a program.
pub const PATH: &str = "SPANDREL_TEST_WITNESS";

/// Where it has what: how far the program has come, and of each thread how many numbers it has begun, has published,
/// and whether its outermost span is open (1), or has closed (2).
const STEP: usize = 0;
const BEGUN: usize = 1;
const PUBLISHED: usize = BEGUN + THREADS;
const OUTER: usize = PUBLISHED + THREADS;
const WORDS: usize = OUTER + THREADS;

/// Words in shared memory.
#[derive(Debug, Clone, Copy)]
pub struct Witness(&'static [AtomicU64]);

impl Witness {
    /// The words in this file, which stay mapped for good.
    pub fn at(path: &Path) -> Self {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).unwrap();
        let len = WORDS * 8;
        file.set_len(len as u64).unwrap();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file that is long enough, and which nobody cuts.
        let first = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(first, libc::MAP_FAILED);
        // SAFETY: it is never unmapped, and touched by atomic operations only.
        Self(unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>(), WORDS) })
    }

    /// In the program: its own.
    pub fn of_this_process() -> Self {
        Self::at(Path::new(&std::env::var_os(PATH).expect("it was told where")))
    }

    fn said(&self, place: usize) -> u64 {
        self.0[place].load(Ordering::Acquire)
    }

    fn say(&self, place: usize, number: u64) {
        self.0[place].store(number, Ordering::Release);
    }

    pub fn step(&self) -> u64 {
        self.said(STEP)
    }

    pub fn say_step(&self, step: u64) {
        self.say(STEP, step);
    }

    /// How many numbers a thread has begun.
    pub fn begun(&self, thread: usize) -> u64 {
        self.said(BEGUN + thread)
    }

    pub fn say_begun(&self, thread: usize, numbers: u64) {
        self.say(BEGUN + thread, numbers);
    }

    /// How many numbers a thread has published.
    pub fn published(&self, thread: usize) -> u64 {
        self.said(PUBLISHED + thread)
    }

    pub fn say_published(&self, thread: usize, numbers: u64) {
        self.say(PUBLISHED + thread, numbers);
    }

    pub fn published_by_all(&self) -> u64 {
        (0..THREADS).map(|thread| self.published(thread)).sum()
    }

    /// Whether the outermost span of a thread is open (1), or has closed (2).
    pub fn outer(&self, thread: usize) -> u64 {
        self.said(OUTER + thread)
    }

    pub fn say_outer(&self, thread: usize, state: u64) {
        self.say(OUTER + thread, state);
    }
}
