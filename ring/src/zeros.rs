//! Memory that is zero, and that the system gives only when it is touched.
//!
//! A large table that is made value by value is touched from end to end, though most programs need a small
//! part of it. Fresh pages of the system are zero anyway: where zeros are the values that are wanted, nothing
//! need be written, and what is never used takes no memory.

#![allow(unsafe_code)] // values that nobody has written

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
// Not that of `sync`: it keeps memory, and hands nothing over.
use std::sync::Arc;

#[cfg(feature = "mapped")]
use crate::region::Region;
use crate::size::TooLarge;

#[cfg(spandrel_loom)]
use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
#[cfg(not(spandrel_loom))]
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

/// A type of which zeros in all bytes are the value that `Default` makes.
///
/// # Safety
///
/// They are, and the value needs no drop.
pub unsafe trait Zeroed: Default {}

// SAFETY: plain numbers. Loom's are something else, and are made value by value.
unsafe impl Zeroed for AtomicU16 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: as above.
unsafe impl Zeroed for u64 {}
// SAFETY: an array is its elements, one after the other.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] where Self: Default {}

/// Says that a struct is [`Zeroed`], whose fields all are.
///
/// All of them have to be named, and that each is `Zeroed` is checked where the macro is used: so it is safe
/// to use anywhere, for a struct that derives `Default`.
#[macro_export]
macro_rules! zeroed {
    ($name:ident { $($field:ident),* $(,)? }) => {
        // SAFETY: a struct is its fields and what is between them, and the fields are all `Zeroed`.
        unsafe impl $crate::Zeroed for $name {}
        const _: fn(&$name) = |value| {
            let $name { $($field),* } = value;
            $($crate::is_zeroed($field);)*
        };
    };
}

/// Compiles for what is [`Zeroed`]; for [`zeroed!`].
#[doc(hidden)]
pub const fn is_zeroed<T: Zeroed>(_: &T) {}

/// A type that may lie in a file that other processes have, too.
///
/// # Safety
///
/// Any bytes are a value of it, and nobody reads or writes it but by atomic operations.
#[cfg(feature = "mapped")]
pub unsafe trait InFile: Zeroed + Sync {}

#[cfg(feature = "mapped")]
mod in_file {
    use super::{AtomicU16, AtomicU32, AtomicU64, InFile};

    // SAFETY: atomic, and a plain number.
    unsafe impl InFile for AtomicU16 {}
    // SAFETY: as above.
    unsafe impl InFile for AtomicU32 {}
    // SAFETY: as above.
    unsafe impl InFile for AtomicU64 {}
    // SAFETY: an array is its elements, one after the other.
    unsafe impl<T: InFile, const N: usize> InFile for [T; N] where Self: Default {}
}

/// Says that a struct may lie in a file ([`InFile`]), all of whose fields may: as [`zeroed!`], which it has to
/// be already. A struct of `repr(C)`, or its fields are somewhere.
#[cfg(feature = "mapped")]
#[macro_export]
macro_rules! in_file {
    ($name:ident { $($field:ident),* $(,)? }) => {
        // SAFETY: a struct is its fields and what is between them, and the fields may all lie there.
        unsafe impl $crate::InFile for $name {}
        const _: fn(&$name) = |value| {
            let $name { $($field),* } = value;
            $($crate::is_in_file($field);)*
        };
    };
}

/// Compiles for what is [`InFile`]; for [`in_file!`].
#[cfg(feature = "mapped")]
#[doc(hidden)]
pub const fn is_in_file<T: InFile>(_: &T) {}

/// A fixed number of values, all of them zero at first.
pub struct Zeros<T> {
    values: NonNull<T>,
    len: usize,
    memory: Memory,
}

/// Whose the memory of the values is.
enum Memory {
    /// What was allocated: the allocator writes zeros itself where it is asked for more than the usual
    /// alignment, so there is room to align the values in it.
    Allocated(NonNull<u8>, Layout),
    #[cfg(feature = "mapped")]
    Region { _region: Region },
}

// SAFETY: it owns its values, as a boxed slice does.
unsafe impl<T> Send for Zeros<T> where Box<[T]>: Send {}
// SAFETY: as above; a `&Zeros` gives no more than a `&[T]`.
unsafe impl<T> Sync for Zeros<T> where Box<[T]>: Sync {}

impl<T: Zeroed> Zeros<T> {
    /// So many values.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if so much cannot be allocated; see [`Ring::try_new`](crate::Ring::try_new).
    pub fn try_new(len: usize) -> Result<Self, TooLarge> {
        const { assert!(cfg!(spandrel_loom) || !std::mem::needs_drop::<T>()) };
        let bytes = len.checked_mul(size_of::<T>());
        let refused = TooLarge { bytes };
        let spare = align_of::<T>().saturating_sub(align_of::<u64>());
        let bytes = bytes.and_then(|bytes| bytes.checked_add(spare)).ok_or(refused)?;
        let layout = Layout::from_size_align(bytes.max(1), align_of::<u64>());
        let layout = layout.map_err(|_| refused)?;
        // SAFETY: the layout has a size.
        let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(refused)?;
        let offset = memory.as_ptr().align_offset(align_of::<T>()).min(spare);
        // SAFETY: `spare` bytes are more than the values take.
        let values = unsafe { memory.byte_add(offset) }.cast::<T>();
        if cfg!(spandrel_loom) {
            for index in 0..len {
                // SAFETY: there is room for so many.
                let value = unsafe { values.add(index) };
                // SAFETY: as above; nothing is there yet.
                unsafe { value.write(T::default()) };
            }
        }
        Ok(Self { values, len, memory: Memory::Allocated(memory, layout) })
    }

    /// The same for a number that is known to be sensible.
    ///
    /// # Panics
    ///
    /// If so much cannot be allocated.
    #[must_use]
    #[allow(clippy::panic, reason = "said in the documentation; `try_new` does not")]
    pub fn new(len: usize) -> Self {
        Self::try_new(len).unwrap_or_else(|error| panic!("no room for {len} values: {error}"))
    }
}

#[cfg(feature = "mapped")]
impl<T: InFile> Zeros<T> {
    /// So many values in a region, of which all bytes are zero, or as another process has left them.
    #[allow(clippy::assertions_on_constants, reason = "constant under loom only")]
    pub(crate) fn in_region(region: Region, len: usize) -> Self {
        assert!(cfg!(not(spandrel_loom)), "loom's words are no plain numbers");
        assert!(align_of::<T>() <= crate::region::ALIGN, "no value is aligned to more");
        let bytes = len.checked_mul(size_of::<T>());
        assert!(bytes.is_some_and(|bytes| bytes <= region.bytes()), "there is room for them");
        let values = region.at().cast::<T>();
        Self { values, len, memory: Memory::Region { _region: region } }
    }
}

impl<T> Zeros<T> {
    /// Asks the system for small pages, where it would give large ones unasked: a large one takes less for each byte, but
    /// all at once when its first byte is touched, and in a virtual machine milliseconds where the host has to provide
    /// it. A hint, which changes nothing else, and is none for what lies in a file.
    pub fn prefer_small_pages(&self) {
        match &self.memory {
            Memory::Allocated(memory, layout) => {
                system::prefer_small_pages(memory.addr().get(), layout.size());
            }
            #[cfg(feature = "mapped")]
            Memory::Region { .. } => {}
        }
    }

    /// Parts of so many values, without the rest behind them, which nobody gets.
    ///
    /// # Panics
    ///
    /// If a part is to have none.
    #[must_use]
    pub fn into_parts(self, len: usize) -> Vec<Part<T>> {
        let parts = self.len / len;
        let whole = Arc::new(self);
        let part = |index: usize| {
            // SAFETY: the part ends within the values: `index` is less than as often as it fits.
            let values = unsafe { whole.values.add(index * len) };
            Part { values, len, _whole: Some(Arc::clone(&whole)) }
        };
        (0..parts).map(part).collect()
    }
}

/// Some values of a [`Zeros`], whose memory is given back with the last of its parts.
pub struct Part<T> {
    values: NonNull<T>,
    len: usize,
    /// Keeps the memory; none of a part without values. Nobody but its parts reaches the values.
    _whole: Option<Arc<Zeros<T>>>,
}

impl<T> Default for Part<T> {
    /// No values.
    fn default() -> Self {
        Self { values: NonNull::dangling(), len: 0, _whole: None }
    }
}

// SAFETY: it owns its values, as a boxed slice does: no other part has them, and the whole is not reached
// but to free it, which needs no drop of values.
unsafe impl<T> Send for Part<T> where Box<[T]>: Send {}
// SAFETY: as above; a `&Part` gives no more than a `&[T]`.
unsafe impl<T> Sync for Part<T> where Box<[T]>: Sync {}

impl<T> Deref for Part<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: as of `Zeros`; the values lie there as long as the whole, and no other part has them.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Part<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; `self` is borrowed for as long, so nobody else has a reference to them.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

impl<T> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("len", &self.len).finish()
    }
}

impl<T> Deref for Zeros<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many values lie there, aligned, and stay as long as `self`; all bytes were zero, which
        // is a value of the type, or were written since through references that were borrowed from here.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T> Drop for Zeros<T> {
    fn drop(&mut self) {
        match &self.memory {
            Memory::Allocated(memory, layout) => {
                if cfg!(spandrel_loom) {
                    let values = std::ptr::slice_from_raw_parts_mut(self.values.as_ptr(), self.len);
                    // SAFETY: they were written one by one, and nobody has them any more.
                    unsafe { values.drop_in_place() };
                }
                // SAFETY: it was allocated with this layout, and its values need no drop.
                unsafe { dealloc(memory.as_ptr(), *layout) };
            }
            #[cfg(feature = "mapped")]
            Memory::Region { .. } => {}
        }
    }
}

impl<T> fmt::Debug for Zeros<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zeros").field("len", &self.len).finish()
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use std::ffi::{c_int, c_void};

    /// A multiple of all small pages. What is in no whole one of these is in no large page anyway.
    const LARGE_PAGE: usize = 2 << 20;
    const MADV_NOHUGEPAGE: c_int = 15;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    pub(super) fn prefer_small_pages(address: usize, length: usize) {
        let first = address.next_multiple_of(LARGE_PAGE);
        let end = (address + length) / LARGE_PAGE * LARGE_PAGE;
        if first < end {
            let address = std::ptr::without_provenance_mut(first);
            // SAFETY: whole pages of the caller's, whose values the advice does not touch.
            let _not_heeded = unsafe { madvise(address, end - first, MADV_NOHUGEPAGE) };
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn prefer_small_pages(_address: usize, _length: usize) {}
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[derive(Debug, Default)]
    #[repr(C, align(64))]
    struct Line {
        first: AtomicU64,
        small: AtomicU16,
        words: [AtomicU64; 3],
    }

    zeroed!(Line { first, small, words });

    #[test]
    fn all_values_are_zero_aligned_and_apart() {
        let lines = Zeros::<Line>::new(100);
        assert_eq!(lines.len(), 100);
        for (index, line) in lines.iter().enumerate() {
            assert!(std::ptr::from_ref(line).addr().is_multiple_of(64));
            assert_eq!(line.first.load(Ordering::Relaxed), 0);
            assert_eq!(line.small.load(Ordering::Relaxed), 0);
            line.words[index % 3].store(index as u64, Ordering::Relaxed);
        }
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(line.words[index % 3].load(Ordering::Relaxed), index as u64);
        }
        assert!(Zeros::<AtomicU32>::new(0).is_empty());
    }

    #[test]
    fn parts_are_apart_and_outlive_each_other() {
        let zeros = Zeros::<u64>::new(100);
        zeros.prefer_small_pages();
        let mut parts = zeros.into_parts(30);
        assert_eq!(parts.len(), 3, "what is left is nobody's");
        for (n, part) in parts.iter_mut().enumerate() {
            assert!(part.len() == 30 && part.iter().all(|value| *value == 0));
            part.fill(n as u64 + 1);
        }
        let last = parts.pop().unwrap();
        assert!(parts.iter().all(|part| part[29] == part[0]));
        drop(parts);
        let kept = std::thread::spawn(move || last.iter().sum::<u64>()).join().unwrap();
        assert_eq!(kept, 90);
        assert!(Zeros::<u64>::new(29).into_parts(30).is_empty());
        assert!(Part::<u64>::default().is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri counts no pages")]
    #[cfg(target_os = "linux")]
    fn memory_of_parts_is_given_back_with_the_last_of_them() {
        let pages = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split_whitespace().next().unwrap().parse::<usize>().unwrap()
        };
        const BYTES: usize = 1 << 32;
        let before = pages();
        let zeros = Zeros::<u64>::new(BYTES / 8);
        zeros.prefer_small_pages();
        let mut parts = zeros.into_parts(BYTES / 32);
        parts.iter_mut().for_each(|part| part[0] = 1);
        let last = parts.pop();
        drop(parts);
        let with = pages();
        drop(last);
        // Half of it, as other tests run beside this one.
        assert!(with > before + BYTES / 8192 && pages() < before + BYTES / 8192);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri ends at memory that cannot be had")]
    fn what_cannot_be_had_is_refused() {
        for bits in 58..64 {
            assert!(Zeros::<u64>::try_new(1 << bits).is_err(), "2^{bits} words");
        }
        let refused = Zeros::<Line>::try_new(usize::MAX).unwrap_err();
        assert_eq!(refused.bytes, None);
    }
}
