//! Where the values lie: in cells that are written in place, or word by word.
//!
//! A value in [`InPlace`] is borrowed: mutably by the producer that has claimed its slot, shared by consumers between
//! publication and release. In [`Readable`] and [`Overwriting`] there may be readers that nobody waits for, so a
//! producer may write while they look. There, values are [`Plain`] and are moved as 64-bit atomic words: each store
//! is a Release and each load of a reader an Acquire, so that a reader that has got as much as one word of a later
//! lap also sees how far the producers have claimed. On x86-64 these are the same instructions as those of
//! a copy. (Another way is a fence between two relaxed accesses, as in a seqlock; ThreadSanitizer does not know fences.)

#![allow(unsafe_code)] // memory that threads share

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::plain::Plain;
use crate::region::{ALIGN, Region};
use crate::size::TooLarge;
use crate::sync::{AtomicU64, Ordering, UnsafeCell};

/// How producers get at the slots, and whether readers that nobody waits for may, too: [`InPlace`], [`Readable`] or
/// [`Overwriting`].
///
/// Nobody else implements it: it asks for what has no name elsewhere.
pub trait Access<T>: 'static {
    #[doc(hidden)]
    type Cell: Cell<T> + Send + Sync;
    #[doc(hidden)]
    const OVERWRITES: bool;
    #[doc(hidden)]
    const HAS_READERS: bool;
}

/// Slots of any type, borrowed where they lie.
#[derive(Debug, Clone, Copy)]
pub struct InPlace;

/// Slots that are [`Plain`], which [readers](super::Reader) may copy meanwhile. Consumers still hold producers back.
#[derive(Debug, Clone, Copy)]
pub struct Readable;

/// The same, but there are only readers: producers overwrite the oldest slot and never find the ring full.
#[derive(Debug, Clone, Copy)]
pub struct Overwriting;

impl<T: Send + Sync> Access<T> for InPlace {
    type Cell = InPlaceCell<T>;
    const OVERWRITES: bool = false;
    const HAS_READERS: bool = false;
}

impl<T: Plain> Access<T> for Readable {
    type Cell = WordsCell<T>;
    const OVERWRITES: bool = false;
    const HAS_READERS: bool = true;
}

impl<T: Plain> Access<T> for Overwriting {
    type Cell = WordsCell<T>;
    const OVERWRITES: bool = true;
    const HAS_READERS: bool = true;
}

/// An access whose slots are moved word by word.
pub trait Words<T>: Access<T, Cell = WordsCell<T>> {}
impl<T: Plain> Words<T> for Readable {}
impl<T: Plain> Words<T> for Overwriting {}

/// An access whose slots consumers may borrow.
pub trait Gated<T>: Access<T> {}
impl<T: Send + Sync> Gated<T> for InPlace {}
impl<T: Plain> Gated<T> for Readable {}

/// A place for one value.
#[doc(hidden)]
pub trait Cell<T>: Sized {
    /// Writes a value into memory of which nobody knows what is in it.
    ///
    /// # Safety
    ///
    /// There is room for a cell, aligned.
    unsafe fn init(place: NonNull<Self>, value: T);

    /// Replaces the value.
    ///
    /// # Safety
    ///
    /// The caller has claimed the slot and not yet published it, and nothing of it is borrowed.
    unsafe fn set(&self, value: T);

    /// The value, to read.
    ///
    /// # Safety
    ///
    /// The slot is published, and no producer may claim it again before the reference is gone.
    unsafe fn get<'a>(&self) -> &'a T;
}

/// A value that is borrowed.
#[doc(hidden)]
#[repr(transparent)]
pub struct InPlaceCell<T>(UnsafeCell<T>);

// SAFETY: the methods' contracts make each access exclusive or read-only. Values move to the producer that has claimed
// the slot (Send) and are borrowed by several consumers at once (Sync).
unsafe impl<T: Send + Sync> Sync for InPlaceCell<T> {}

impl<T> Cell<T> for InPlaceCell<T> {
    unsafe fn init(place: NonNull<Self>, value: T) {
        // SAFETY: as the caller says.
        unsafe { place.write(Self(UnsafeCell::new(value))) };
    }

    unsafe fn set(&self, value: T) {
        // SAFETY: as the caller says.
        *unsafe { self.get_mut() } = value;
    }

    unsafe fn get<'a>(&self) -> &'a T {
        // SAFETY: as the caller says: it is not written meanwhile, and cells stay as long as the ring.
        self.0.with(|value| unsafe { &*value })
    }
}

impl<T> InPlaceCell<T> {
    /// The value, to write.
    ///
    /// # Safety
    ///
    /// As of [`Cell::set`].
    #[allow(clippy::mut_from_ref)] // of a cell
    pub(crate) unsafe fn get_mut<'a>(&self) -> &'a mut T {
        // SAFETY: as the caller says, it is the only one who has it.
        self.0.with_mut(|value| unsafe { &mut *value })
    }
}

/// A value that is copied in and out word by word.
#[doc(hidden)]
pub struct WordsCell<T> {
    #[cfg(not(spandrel_loom))]
    words: UnsafeCell<Padded<T>>,
    /// Loom's words are no words, so that a value cannot be borrowed from them.
    #[cfg(spandrel_loom)]
    words: Box<[AtomicU64]>,
    #[cfg(spandrel_loom)]
    value: UnsafeCell<T>,
}

/// A value and what is left of its last word. Never moved, which might leave that out.
#[derive(Debug)]
#[repr(C, align(8))]
struct Padded<T>(T);

// SAFETY: all writes are atomic; values are borrowed only while nothing is written.
unsafe impl<T: Send + Sync> Sync for WordsCell<T> {}

/// Words of a value.
const fn words_of<T>() -> usize {
    size_of::<Padded<T>>() / 8
}

/// Calls for each word of a value.
#[inline(always)]
pub(crate) fn each_word<T: Plain>(value: T, mut word: impl FnMut(usize, u64)) {
    let mut padded = std::mem::MaybeUninit::<Padded<T>>::uninit();
    // Where it lies: what is moved leaves out what is behind the value.
    // SAFETY: so many bytes are there.
    unsafe { padded.as_mut_ptr().write_bytes(0, 1) };
    // SAFETY: the value lies at its beginning, and there is room for it.
    unsafe { padded.as_mut_ptr().cast::<T>().write(value) };
    for index in 0..words_of::<T>() {
        // SAFETY: so many words are there, aligned.
        let at = unsafe { padded.as_ptr().cast::<u64>().add(index) };
        // SAFETY: a value has no padding, and what is behind it was zeroed.
        word(index, unsafe { at.read() });
    }
}

/// A value of these words.
#[inline(always)]
pub(crate) fn of_words<T: Plain>(word: impl Fn(usize) -> u64) -> T {
    let mut padded = std::mem::MaybeUninit::<Padded<T>>::uninit();
    for index in 0..words_of::<T>() {
        // SAFETY: so many words are there, aligned.
        let at = unsafe { padded.as_mut_ptr().cast::<u64>().add(index) };
        // SAFETY: as above.
        unsafe { at.write(word(index)) };
    }
    // SAFETY: all of it was written, and any bytes are a value.
    unsafe { padded.as_ptr().cast::<T>().read() }
}

#[cfg(not(spandrel_loom))]
impl<T: Plain> WordsCell<T> {
    fn word(&self, index: usize) -> &AtomicU64 {
        let at = self.words.with_mut(|words| {
            // SAFETY: so many words are there.
            unsafe { words.cast::<u64>().add(index) }
        });
        // SAFETY: aligned, there as long as the cell, and written by nothing but atomic operations.
        unsafe { AtomicU64::from_ptr(at) }
    }
}

#[cfg(spandrel_loom)]
impl<T: Plain> WordsCell<T> {
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.words[index]
    }
}

impl<T: Plain> WordsCell<T> {
    /// A copy, while a producer may be writing; the caller looks afterwards whether one was.
    #[inline]
    pub(crate) fn copy(&self) -> T {
        // Acquire: pairs with the Release in `set`; see the module.
        of_words(|index| self.word(index).load(Ordering::Acquire))
    }
}

impl<T: Plain> Cell<T> for WordsCell<T> {
    #[cfg(not(spandrel_loom))]
    unsafe fn init(place: NonNull<Self>, value: T) {
        // All words of it, not only the value.
        // SAFETY: as the caller says.
        unsafe { place.write_bytes(0, 1) };
        // SAFETY: as above; a value lies at the beginning.
        unsafe { place.cast::<T>().write(value) };
    }

    #[cfg(spandrel_loom)]
    unsafe fn init(place: NonNull<Self>, value: T) {
        let mut words = Vec::new();
        each_word(value, |_, word| words.push(AtomicU64::new(word)));
        let cell = Self { words: words.into(), value: UnsafeCell::new(value) };
        // SAFETY: as the caller says.
        unsafe { place.write(cell) };
    }

    #[inline]
    unsafe fn set(&self, value: T) {
        each_word(value, |index, word| {
            // Release: pairs with the Acquire in `copy`; that the slot is claimed again was said before.
            self.word(index).store(word, Ordering::Release);
        });
        #[cfg(spandrel_loom)]
        // SAFETY: as the caller says.
        self.value.with_mut(|place| unsafe { *place = value });
    }

    #[cfg(not(spandrel_loom))]
    unsafe fn get<'a>(&self) -> &'a T {
        // SAFETY: as the caller says, nobody writes. Readers may look at the words meanwhile, which is no conflict.
        self.words.with(|words| unsafe { &*words.cast::<T>() })
    }

    #[cfg(spandrel_loom)]
    unsafe fn get<'a>(&self) -> &'a T {
        // SAFETY: as above.
        self.value.with(|value| unsafe { &*value })
    }
}

/// As many cells as the ring has slots.
pub(crate) struct Cells<C> {
    first: NonNull<C>,
    mask: u64,
    /// Keeps the memory.
    _region: Region,
    cells: PhantomData<C>,
}

// SAFETY: it owns its cells, as a boxed slice does.
unsafe impl<C> Send for Cells<C> where Box<[C]>: Send {}
// SAFETY: as above; a `&Cells` gives no more than a `&[C]`.
unsafe impl<C> Sync for Cells<C> where Box<[C]>: Sync {}

impl<C> Cells<C> {
    /// Cells of these values; `capacity` is a power of two. The first one begins a line.
    pub(crate) fn new<T>(capacity: usize, mut value: impl FnMut() -> T) -> Result<Self, TooLarge>
    where
        C: Cell<T>,
    {
        const { assert!(align_of::<C>() <= ALIGN, "no value is aligned to more") };
        let bytes = capacity.checked_mul(size_of::<C>());
        let bytes = bytes.filter(|bytes| *bytes <= isize::MAX as usize);
        let region = Region::heap(bytes.ok_or(TooLarge { bytes: None })?)?;
        let first = region.at().cast::<C>();
        // What is written so far is dropped again, should `value` panic.
        let mut written = Written { first, len: 0 };
        while written.len < capacity {
            let value = value();
            // SAFETY: there is room for so many.
            let place = unsafe { first.add(written.len) };
            // SAFETY: as above, aligned, and nothing is there yet.
            unsafe { C::init(place, value) };
            written.len += 1;
        }
        std::mem::forget(written);
        Ok(Self { first, mask: capacity as u64 - 1, _region: region, cells: PhantomData })
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The cell of a sequence.
    #[inline(always)]
    pub(crate) fn at(&self, sequence: u64) -> &C {
        self.view().at(sequence)
    }

    /// Where they are. Taken once for several of them: what is written to a cell might be that, for all that
    /// the compiler knows, and it would look again each time.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_, C> {
        View { first: self.first, mask: self.mask, cells: PhantomData }
    }
}

/// See [`Cells::view`].
pub(crate) struct View<'a, C> {
    first: NonNull<C>,
    mask: u64,
    cells: PhantomData<&'a C>,
}

impl<'a, C> View<'a, C> {
    /// The cell of a sequence.
    #[inline(always)]
    pub(crate) fn at(&self, sequence: u64) -> &'a C {
        // SAFETY: the mask leaves an index of a cell.
        let place = unsafe { self.first.add((sequence & self.mask) as usize) };
        // SAFETY: it was written when the cells were made, stays as long as they, and is only ever borrowed shared.
        unsafe { place.as_ref() }
    }
}

/// Cells that have to be dropped.
struct Written<C> {
    first: NonNull<C>,
    len: usize,
}

impl<C> Drop for Written<C> {
    fn drop(&mut self) {
        let cells = NonNull::slice_from_raw_parts(self.first, self.len);
        // SAFETY: so many were written there, and nobody has them any more.
        unsafe { cells.drop_in_place() };
    }
}

impl<C> Drop for Cells<C> {
    fn drop(&mut self) {
        drop(Written { first: self.first, len: self.mask as usize + 1 });
    }
}

impl<C> fmt::Debug for Cells<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("capacity", &self.capacity()).finish()
    }
}

#[cfg(not(spandrel_loom))]
impl<T> Cells<InPlaceCell<T>> {
    /// Slots from that of a sequence up to the end of the ring.
    pub(crate) fn before_end(&self, sequence: u64) -> u64 {
        self.capacity() - (sequence & self.mask)
    }

    /// Values that lie beside each other, to write.
    ///
    /// # Safety
    ///
    /// As of [`Cell::set`], for so many slots, which do not go round the end of the ring.
    #[allow(clippy::mut_from_ref)] // of cells
    pub(crate) unsafe fn slice_mut(&self, sequence: u64, len: u64) -> &mut [T] {
        // SAFETY: the mask leaves an index of a cell.
        let first = unsafe { self.first.add((sequence & self.mask) as usize) }.cast::<T>();
        // SAFETY: so many cells lie there, which are values; nobody else has a reference to them, as the caller says.
        unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), len as usize) }
    }
}

impl<T> fmt::Debug for InPlaceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPlaceCell").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WordsCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordsCell").finish_non_exhaustive()
    }
}
