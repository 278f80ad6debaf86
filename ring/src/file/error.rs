//! Why a ring file cannot be made, or not be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::size::TooLarge;

/// Why no ring file could be made. Nothing of it is left.
#[derive(Debug)]
#[non_exhaustive]
pub enum CreateError {
    /// This system has none: it takes Linux or macOS.
    Unsupported,
    /// What is asked for is larger than any memory, makes no sense, or is more than this process can map.
    TooLarge(TooLarge),
    /// The file system does not keep what it has reserved, or it is not known whether it does. A store into a page that
    /// it cannot have would end the process.
    FileSystem {
        /// The folder.
        folder: PathBuf,
        /// Its name, or its number if it has none here.
        name: String,
    },
    /// There is not so much room.
    Full {
        /// The folder.
        folder: PathBuf,
        /// How much was asked for.
        bytes: u64,
    },
    /// The folder is not the caller's alone.
    Shared {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is such a file already.
    Exists(PathBuf),
    /// A step that the system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// Which step.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => {
                f.write_str("a ring in a mapped file takes Linux or macOS; record without one here")
            }
            Self::TooLarge(size) => write!(f, "a ring file of this size: {size}"),
            Self::FileSystem { folder, name } => write!(
                f,
                "{} is on {name}, which may refuse memory that it has promised; put the ring file on tmpfs \
                 (/dev/shm, or $XDG_RUNTIME_DIR), ext4 or xfs",
                folder.display()
            ),
            Self::Full { folder, bytes } => write!(
                f,
                "{} has no room for a ring file of {bytes} bytes; make the ring smaller, or the file system larger \
                 (in a container, its /dev/shm: --shm-size)",
                folder.display()
            ),
            Self::Shared { folder, why } => write!(
                f,
                "{} {why}; give the ring file a folder of its own, which is yours and nobody else's (mode 0700)",
                folder.display()
            ),
            Self::Exists(path) => {
                write!(f, "{} is there already; a ring file is made anew", path.display())
            }
            Self::Io { path, step, source } => {
                write!(f, "{}: cannot {step}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for CreateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TooLarge(source) => Some(source),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<TooLarge> for CreateError {
    fn from(size: TooLarge) -> Self {
        Self::TooLarge(size)
    }
}

/// Why a ring file cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// It is something else.
    NoRing,
    /// Its layout has another version than [`LAYOUT_VERSION`](super::LAYOUT_VERSION).
    OtherVersion {
        /// Which one.
        version: u64,
    },
    /// It is of this version and yet laid out in another way: of a build with other constants, or for other processors.
    OtherLayout,
    /// Its header is not as it was written.
    Damaged(&'static str),
    /// It is not what a process of this user has made, as the text says, which has the way out as well: it is not read.
    Untrusted(String),
    /// What the system says.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRing => f.write_str("this is no ring file"),
            Self::OtherVersion { version } => write!(
                f,
                "this ring file has version {version} of the layout, and this program reads version {}; take the \
                 spandrel of the program that wrote it",
                super::LAYOUT_VERSION
            ),
            Self::OtherLayout => f.write_str(
                "this ring file is laid out for another build or processor; take the spandrel of the program that \
                 wrote it",
            ),
            Self::Untrusted(why) => write!(f, "this ring file is not read: {why}"),
            Self::Damaged(why) => write!(f, "this ring file is damaged: {why}"),
            Self::Io(error) => write!(f, "cannot read the ring file: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
