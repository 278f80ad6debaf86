//! A ring in a mapped file, which outlives its process (feature `mapped`; Linux and macOS).
//!
//! A [`RingFile`] has the memory of a [`Ring`](crate::Ring), of tables beside it, of names and of counters: the same code runs
//! over it as over the heap, in the same instructions. After `kill -9` all that was stored is in the file, as every
//! store to a shared mapping is the kernel's; a [`Reader`] finds what was published, and what was open. After a power
//! failure nothing is promised.
//!
//! ```no_run
//! use spandrel_ring::file::{CellTable, FileSettings, Reader, RingFile};
//! use spandrel_ring::RingOptions;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = FileSettings {
//!     ring: RingOptions { capacity: 1 << 16, partitions: 8 },
//!     tables: &[CellTable { cell: 256, cells: 1 << 13 }],
//!     names_bytes: 1 << 20,
//!     counters: 64,
//!     ..FileSettings::default()
//! };
//! let file = RingFile::create::<[u64; 7]>("/dev/shm/me/run.ring".as_ref(), &settings)?;
//! file.names().append(1, &[7], &["a name that records mean by 7"])?;
//! let (ring, _consumer) = file.ring::<[u64; 7]>().expect("it is taken once");
//! file.set_recording();
//! ring.try_claim(1)?.publish();
//!
//! // Another process, later:
//! let mut reader = Reader::open("/dev/shm/me/run.ring".as_ref())?;
//! let dead = reader.liveness()?.is_dead();
//! for partition in 0..reader.partitions() {
//!     reader.drain(partition, 0, dead, u64::MAX, |record| println!("{:x?}", record.words))?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What stands where is on the page `docs/src/reference/ring-file.md`.
//!
//! # What is trusted
//!
//! The owner trusts what it alone writes, and uses nothing of the file as an address: whoever else may write to the
//! file, which is the same user, can spoil what is recorded and nothing of the process. A reader trusts nothing.
//!
//! Where somebody cuts the file short, its owner has zeros behind its end, and goes on (Linux): a handler of SIGBUS puts
//! them there. It is installed with the first file, unless [`FileSettings::has_signal_handler`] is `false`, and passes on
//! every other signal to whoever had it before. [`RingFile::was_cut`] says that it has happened.
//!
//! A child of `fork` has zeros in the place of the mapping, in which the ring is closed and every table empty: it
//! records nothing, and its parent goes on alone. (Children that are made without handlers, by a bare system call,
//! are to call `exec`.)

// Where there are no ring files, nobody makes one of what these have.
#![cfg_attr(
    not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))),
    allow(dead_code)
)]

mod drain;
mod error;
pub(crate) mod layout;
pub(crate) mod liveness;
mod names;
mod owner;
pub(crate) mod process;
mod reader;
mod source;
mod twice;

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
pub(crate) mod guard;
#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
mod mapping;
#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
pub(crate) mod place;
#[cfg(all(target_os = "linux", not(any(spandrel_loom, miri))))]
mod sigbus;
#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
pub(crate) mod system;

#[cfg(any(test, spandrel_fuzz))]
pub mod fuzz;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
#[cfg(all(test, not(spandrel_loom)))]
mod tests;

pub use self::drain::{FileDrained, Record};
pub use self::error::{CreateError, OpenError};
pub use self::layout::{CellTable, DRAINER_WORDS, LAYOUT_VERSION, OWN_WORDS, TABLES_MAX};
pub use self::liveness::Liveness;
#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
pub(crate) use self::mapping::Mapping;
pub use self::names::{KINDS_MAX, Name, Names, NamesFull, NamesRead};
pub use self::owner::{FileSettings, InFileValue, OwnerId, RingFile};
pub use self::reader::{PartitionSeen, Reader, State};
pub use self::source::Source;

/// The user as whom this process makes files; 0 where there are no ring files.
#[must_use]
pub fn user_id() -> u32 {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    return system::user();
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    0
}

/// Whether a folder is this user's alone, as that of a ring file has to be: then nobody else has put files into it.
///
/// # Errors
///
/// [`CreateError::Shared`] if it is not, and [`CreateError::Io`] if it cannot be looked at.
pub fn check_folder(folder: &std::path::Path) -> Result<(), CreateError> {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    return place::check_folder(folder);
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    {
        _ = folder;
        Err(CreateError::Unsupported)
    }
}

/// The system's monotonic clock, in nanoseconds: the same for all processes of a machine. 0 where there are no ring
/// files.
#[must_use]
pub fn monotonic_ns() -> u64 {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    return system::monotonic_ns();
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    0
}

/// Removes a file that was about to become a ring file when its process died. Says whether it was one, and is gone.
///
/// The process may be in another namespace, and just about to make it: then it has the lock of the file, which is left
/// alone, or finds that it is gone, and makes it anew.
///
/// # Errors
///
/// What the system says; where there are no ring files, always.
pub fn remove_unmade(path: &std::path::Path) -> std::io::Result<bool> {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    return place::remove_unmade(path);
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    {
        _ = path;
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
