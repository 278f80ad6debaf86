//! Makes and opens the file.

use std::path::Path;

use super::error::OpenError;
use super::layout::Sizes;
use super::shared::Shared;
use crate::file::CreateError;

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
mod system {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::sync::Arc; // not that of `sync`: it keeps memory
    use std::sync::atomic::Ordering;

    use super::super::layout::{HEADER_WORDS, KIND, Layout, PAGE_MIN, Refused};
    use super::super::lives::Locks;
    use super::{CreateError, OpenError, Opened, Shared, Sizes};
    use crate::file::{Mapping, Source, guard, place, process};
    use crate::fork;
    use crate::region::Region;
    use crate::size::TooLarge;
    use crate::sync::AtomicU64;
    use crate::zeros::Zeros;

    pub(crate) fn page_bytes() -> usize {
        process::page_bytes().clamp(PAGE_MIN, 1 << 20)
    }

    pub(crate) fn create(
        path: &Path,
        sizes: Sizes,
        kind: u64,
        is_guarded: bool,
    ) -> Result<(), CreateError> {
        let layout = Layout::new(sizes).ok_or(TooLarge { bytes: None })?;
        let made = place::make(path, layout.bytes(), std::iter::empty(), sizes.page, is_guarded)?;
        let region = Region::of_file(made.mapping);
        let words = Zeros::<AtomicU64>::in_region(region, layout.words);
        let header = layout.header(kind, process::boot());
        // The first word last: without it there is no ring.
        for (to, word) in words.iter().zip(header).rev() {
            to.store(word, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn open(path: &Path, is_guarded: bool) -> Result<Opened, OpenError> {
        let mut options = File::options();
        options.read(true).write(true);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
        let file = options.open(path).map_err(|error| guard::or_link(path, error))?;
        guard::check_owner(&file)?;
        let (header, is_whole) = header(&file)?;
        // By what was read here: a moment later somebody may have finished it.
        if header[0] == 0 {
            return Ok(None);
        }
        if !is_whole {
            return Err(OpenError::NoRing);
        }
        let layout = Layout::read(&header).map_err(|why| match why {
            Refused::NoRing => OpenError::NoRing,
            Refused::OtherVersion(version) => OpenError::OtherVersion { version },
            Refused::OtherLayout => OpenError::OtherLayout,
            Refused::Damaged => OpenError::Damaged("its header is not as it was written"),
        })?;
        guard::check_size(&file, layout.bytes() as u64)?;
        if Source::len(&file)? != layout.bytes() as u64 {
            return Err(OpenError::Damaged("it is not as long as it says"));
        }
        let mut mapping = Mapping::new(&file, layout.bytes())?;
        if is_guarded {
            mapping.guard(layout.sizes.page);
        }
        let whole = Arc::new(Region::of_file(mapping));
        let part = Region::part_of(&whole, 0, layout.bytes());
        let words = Zeros::<AtomicU64>::in_region(part, layout.words);
        // Before it has a lock, which a child would keep.
        fork::close_in_child(file.as_raw_fd());
        let locks = Locks::new(file, layout.sizes.participants);
        Ok(Some((Shared::new(words, layout, Box::new(locks), Some(whole)), header[KIND])))
    }

    /// The header, zeros where the file has ended, and whether it is all there.
    fn header(file: &File) -> Result<([u64; HEADER_WORDS], bool), OpenError> {
        let mut bytes = [0; HEADER_WORDS * 8];
        let read = Source::read_at(file, 0, &mut bytes)?;
        let mut header = [0; HEADER_WORDS];
        for (word, bytes) in header.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        Ok((header, read == bytes.len()))
    }
}

#[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
mod system {
    use std::path::Path;

    use super::{CreateError, OpenError, Opened, Sizes};

    pub(crate) fn page_bytes() -> usize {
        super::super::layout::PAGE_MIN
    }

    pub(crate) fn create(
        _path: &Path,
        _sizes: Sizes,
        _kind: u64,
        _is_guarded: bool,
    ) -> Result<(), CreateError> {
        Err(CreateError::Unsupported)
    }

    pub(crate) fn open(_path: &Path, _is_guarded: bool) -> Result<Opened, OpenError> {
        Err(OpenError::Unsupported)
    }
}

/// A ring that was opened, and of what kind it is; none where somebody is making one at this moment, or has died over that:
/// there is nothing in the file yet.
pub(super) type Opened = Option<(Shared, u64)>;

/// Makes the file.
pub(super) fn create(
    path: &Path,
    sizes: Sizes,
    kind: u64,
    is_guarded: bool,
) -> Result<(), CreateError> {
    system::create(path, sizes, kind, is_guarded)
}

/// Bytes of a page of a file that is made here.
pub(super) fn page_bytes() -> usize {
    system::page_bytes()
}

/// Opens it.
pub(super) fn open(path: &Path, is_guarded: bool) -> Result<Opened, OpenError> {
    system::open(path, is_guarded)
}
