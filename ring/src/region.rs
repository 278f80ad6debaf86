//! Where the words lie that threads share: a piece of the heap, or of a mapped file.
//!
//! A [partition](crate::partition) and the cells of a [table](crate::Table) know where their memory begins and
//! nothing else of it: the same functions run over both kinds, in the same instructions. What lies there has no
//! pointers, so that it means the same to another process. Whoever keeps a region keeps its memory.

#![allow(unsafe_code)] // memory that is owned by hand

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
#[cfg(feature = "mapped")]
use std::sync::Arc; // not that of `sync`: it keeps memory, and hands nothing over

use crate::size::TooLarge;

/// Where a region begins: at a multiple of this. Processors that fetch lines in pairs share no pair then.
pub(crate) const ALIGN: usize = 128;

/// Some bytes that stay where they are, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Region {
    at: NonNull<u8>,
    bytes: usize,
    memory: Memory,
}

/// Whose the bytes are.
#[derive(Debug)]
enum Memory {
    Heap(Layout),
    /// They are given back with the last region that keeps this.
    #[cfg(feature = "mapped")]
    Of {
        _whole: Arc<Region>,
    },
    #[cfg(all(
        feature = "mapped",
        any(target_os = "linux", target_os = "macos"),
        not(any(spandrel_loom, miri))
    ))]
    File {
        mapping: crate::file::Mapping,
    },
}

// SAFETY: bytes, which are given back from any thread; who may touch them is for whoever has the region to say.
unsafe impl Send for Region {}
// SAFETY: a `&Region` says where they are, and touches none.
unsafe impl Sync for Region {}

impl Region {
    /// So many bytes of the heap, of which nobody knows what is in them.
    pub(crate) fn heap(bytes: usize) -> Result<Self, TooLarge> {
        let refused = TooLarge { bytes: Some(bytes) };
        let layout = Layout::from_size_align(bytes.max(1), ALIGN).map_err(|_| refused)?;
        // SAFETY: the layout has a size.
        let at = NonNull::new(unsafe { alloc(layout) }).ok_or(refused)?;
        Ok(Self { at, bytes, memory: Memory::Heap(layout) })
    }

    /// So many bytes of the heap, all of them zero.
    #[cfg(all(feature = "mapped", test))]
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, TooLarge> {
        let region = Self::heap(bytes)?;
        // SAFETY: so many bytes are there, and nobody else's.
        unsafe { region.at.write_bytes(0, bytes) };
        Ok(region)
    }

    /// A file that is mapped, from its first byte on.
    #[cfg(all(
        feature = "mapped",
        any(target_os = "linux", target_os = "macos"),
        not(any(spandrel_loom, miri))
    ))]
    pub(crate) fn of_file(mapping: crate::file::Mapping) -> Self {
        let (at, bytes) = (mapping.first(), mapping.len());
        Self { at, bytes, memory: Memory::File { mapping } }
    }

    /// So many bytes of a region. The caller sees to it that each byte is in one such part at most, and not
    /// reached through `whole` as something else.
    #[cfg(feature = "mapped")]
    pub(crate) fn part_of(whole: &Arc<Self>, at: usize, bytes: usize) -> Self {
        let is_inside = at <= whole.bytes && bytes <= whole.bytes - at;
        assert!(is_inside && at.is_multiple_of(ALIGN), "a part is inside of the whole");
        // SAFETY: it is inside, as was just looked at, or at the end.
        let at = unsafe { whole.at.add(at) };
        Self { at, bytes, memory: Memory::Of { _whole: Arc::clone(whole) } }
    }

    /// Whether it is a file that somebody has been found to have cut short.
    #[cfg(feature = "mapped")]
    pub(crate) fn was_cut(&self) -> bool {
        match &self.memory {
            #[cfg(all(
                any(target_os = "linux", target_os = "macos"),
                not(any(spandrel_loom, miri))
            ))]
            Memory::File { mapping } => mapping.was_cut(),
            _ => false,
        }
    }

    /// The same, and looks.
    #[cfg(feature = "mapped")]
    pub(crate) fn look_whether_cut(&self) -> bool {
        match &self.memory {
            #[cfg(all(
                any(target_os = "linux", target_os = "macos"),
                not(any(spandrel_loom, miri))
            ))]
            Memory::File { mapping } => mapping.look_whether_cut(),
            _ => false,
        }
    }

    /// Whether it is a file that no path names any more.
    #[cfg(feature = "mapped")]
    pub(crate) fn is_unlinked(&self) -> bool {
        match &self.memory {
            #[cfg(all(
                any(target_os = "linux", target_os = "macos"),
                not(any(spandrel_loom, miri))
            ))]
            Memory::File { mapping } => mapping.is_unlinked(),
            _ => false,
        }
    }

    /// Whether it is a file that somebody drains, or that cannot be asked.
    #[cfg(feature = "mapped")]
    pub(crate) fn is_being_drained(&self) -> bool {
        match &self.memory {
            #[cfg(all(
                any(target_os = "linux", target_os = "macos"),
                not(any(spandrel_loom, miri))
            ))]
            Memory::File { mapping } => mapping.is_being_drained(),
            _ => true,
        }
    }

    pub(crate) fn at(&self) -> NonNull<u8> {
        self.at
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match &self.memory {
            // SAFETY: it was allocated with this layout.
            Memory::Heap(layout) => unsafe { dealloc(self.at.as_ptr(), *layout) },
            #[cfg(feature = "mapped")]
            Memory::Of { .. } => {}
            #[cfg(all(
                feature = "mapped",
                any(target_os = "linux", target_os = "macos"),
                not(any(spandrel_loom, miri))
            ))]
            Memory::File { .. } => {}
        }
    }
}
