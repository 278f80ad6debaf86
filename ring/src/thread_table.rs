//! A table that a thread-local variable shares.

#![allow(unsafe_code)] // the table is reached in its cell while nobody can take it out

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{Ordering, compiler_fence};

use crate::table::Table;

/// A share of a [`Table`], or none, made to be a thread-local variable; and beside it, in one word, whose table it is and a
/// tag of that one's.
///
/// It has no destructor, so that a `const` thread-local of this type is plain memory and no access has to
/// ask whether it is still alive. **Whoever puts a table here takes it out again**, at the end of
/// the thread at the latest; otherwise the table's memory stays for as long as the process lives.
///
/// ```
/// use std::num::NonZeroU32;
/// use spandrel_ring::{Owner, Table, ThreadTable};
///
/// thread_local! {
///     static TABLE: ThreadTable<u64> = const { ThreadTable::new(0) };
/// }
///
/// let owner = Owner::new(NonZeroU32::MIN);
/// TABLE.with(|here| here.put(Table::new(1, 4, || 7), owner));
/// let (first, next) = (owner.with_tag(0), owner.with_tag(1));
/// let take = |table: &Table<u64>| Some((table.get(3).copied(), next.get()));
/// assert_eq!(TABLE.with(|here| here.with_tagged(first, take)), Some(Some(7)));
/// assert_eq!(TABLE.with(|here| here.with_tagged(first, take)), None);
/// assert_eq!(TABLE.with(|here| here.tag()), 1);
/// TABLE.with(|here| drop(here.take()));
/// ```
///
/// # Signals
///
/// A handler of a signal may interrupt its thread anywhere in here: it finds no table then, or the one that is
/// here, and changes none that is in use. Where it [takes](Self::take) one out, it must put one in its place.
pub struct ThreadTable<T> {
    /// The owner in the upper half, 0 while the table is in use or there is none; in the lower one the tag. So one
    /// comparison says that it is there, whose it is, that nobody is at it, and what else the tag says.
    word: Cell<u64>,
    table: Cell<Option<ManuallyDrop<Table<T>>>>,
}

/// An owner, in the upper half of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Owner(NonZeroU64);

impl Owner {
    /// With this number.
    #[inline(always)]
    #[must_use]
    pub fn new(owner: NonZeroU32) -> Self {
        let word = u64::from(owner.get()) << OWNER_SHIFT;
        // SAFETY: it is not 0, and has room for it in the upper half.
        Self(unsafe { NonZeroU64::new_unchecked(word) })
    }

    /// The one in the upper half of a word; none if that is 0.
    #[inline(always)]
    #[must_use]
    pub fn in_word(word: u64) -> Option<Self> {
        NonZeroU64::new(word & OWNER).map(Self)
    }

    /// Its number.
    #[inline(always)]
    #[must_use]
    pub fn number(self) -> u32 {
        (self.0.get() >> OWNER_SHIFT) as u32
    }

    /// Together with this tag.
    #[inline(always)]
    #[must_use]
    pub fn with_tag(self, tag: u32) -> Tagged {
        // Added, to zeros, which is one instruction with a copy.
        // SAFETY: the upper half is not 0, and stays as it is.
        Tagged(unsafe { NonZeroU64::new_unchecked(self.0.get() + u64::from(tag)) })
    }
}

/// An owner and a tag, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tagged(NonZeroU64);

const OWNER_SHIFT: u32 = 32;
const OWNER: u64 = !(u32::MAX as u64);
/// Where the halves of a word lie.
const TAG_AT: usize = if cfg!(target_endian = "little") { 0 } else { 1 };
const OWNER_AT: usize = 1 - TAG_AT;

impl Tagged {
    /// The owner.
    #[inline(always)]
    #[must_use]
    pub fn owner(self) -> Owner {
        // SAFETY: nothing but `Owner::with_tag` makes one, so the upper half is not 0.
        Owner(unsafe { NonZeroU64::new_unchecked(self.0.get() & OWNER) })
    }

    /// The tag.
    #[inline(always)]
    #[must_use]
    pub fn tag(self) -> u32 {
        self.0.get() as u32
    }

    /// Another tag in place of this one, which is `from`.
    #[inline(always)]
    #[must_use]
    pub fn with_other_tag(self, from: u32, to: u32) -> Self {
        // SAFETY: the upper half is not 0, and stays as it is.
        Self(unsafe { NonZeroU64::new_unchecked(self.0.get() ^ u64::from(from ^ to)) })
    }

    /// The same, of which the compiler no more knows what it was made of, and so does not keep that for another one. No
    /// instruction.
    #[inline(always)]
    #[must_use]
    pub fn settled(self) -> Self {
        #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
        {
            let mut word = self.0.get();
            // SAFETY: nothing is done; it stays what it is.
            unsafe {
                std::arch::asm!(
                    "/* {0} */",
                    inout(reg) word,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            // SAFETY: as said.
            Self(unsafe { NonZeroU64::new_unchecked(word) })
        }
        #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
        self
    }

    /// Both, in the word that [`with_tagged`](ThreadTable::with_tagged) compares.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// The table is in use: says again whose it is when that ends, also by a panic.
struct Use<'a> {
    word: &'a Cell<u64>,
    next: u64,
}

impl Drop for Use<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        in_this_order();
        self.word.set(self.next);
    }
}

/// The same, for whoever leaves the tag as it is.
struct UseOf<'a, T>(&'a ThreadTable<T>, Owner);

impl<T> Drop for UseOf<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        in_this_order();
        self.0.set_half(OWNER_AT, self.1.number());
    }
}

impl<T> ThreadTable<T> {
    /// Without a table, and with this tag.
    #[must_use]
    pub const fn new(tag: u32) -> Self {
        Self { word: Cell::new(tag as u64), table: Cell::new(None) }
    }

    /// The tag.
    #[inline(always)]
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.word.get() as u32
    }

    /// Changes the tag, also while the table is in use, or there is none.
    #[inline(always)]
    pub fn set_tag(&self, tag: u32) {
        self.set_half(TAG_AT, tag);
    }

    /// Changes a half of the word: in one store, which leaves the other one as a handler of a signal has left it.
    #[inline(always)]
    fn set_half(&self, at: usize, half: u32) {
        // SAFETY: `at` is 0 or 1, so it lies in the word, which has two halves.
        let there = unsafe { self.word.as_ptr().cast::<u32>().add(at) };
        // SAFETY: a `u32` may lie there, and nobody has a reference into a cell.
        unsafe { there.write(half) };
    }

    #[inline(always)]
    fn owner(&self) -> Option<Owner> {
        Owner::in_word(self.word.get())
    }

    /// Runs `f` with the table, if it is of this owner and the tag is this one. It says what stands there from then on:
    /// [`Tagged::get`] of the same owner, or `None` for what there was. `None`, and `f` does not run, also inside of another
    /// `f`.
    #[inline(always)]
    pub fn with_tagged<R>(
        &self,
        tagged: Tagged,
        f: impl FnOnce(&Table<T>) -> Option<(R, u64)>,
    ) -> Option<R> {
        if self.word.get() != tagged.get() {
            return None;
        }
        let mut at = Use { word: &self.word, next: tagged.get() };
        // SAFETY: as was just found; the owner in `tagged` is not 0.
        let (result, next) = f(unsafe { self.begin_use() })?;
        // SAFETY of `begin_use`: whatever it is, there is a table; and where the upper half is 0, it is in use for ever.
        at.next = next;
        Some(result)
    }

    /// The same whatever the tag, which `f` may change. Where it returns `None`, or panics, that stays as `f` has left it.
    #[inline(always)]
    pub fn with_owned_by<R>(
        &self,
        owner: Owner,
        f: impl FnOnce(&Table<T>) -> Option<(R, u64)>,
    ) -> Option<R> {
        if self.owner() != Some(owner) {
            return None;
        }
        let use_of = UseOf(self, owner);
        // SAFETY: as was just found.
        let (result, next) = f(unsafe { self.begin_use() })?;
        // What it would do is done here.
        std::mem::forget(use_of);
        in_this_order();
        self.word.set(next);
        Some(result)
    }

    /// Runs `f` with the table, whoever the owner is and whatever the tag. `None`, and `f` does not run, if there is none,
    /// and inside of another `f`.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&Table<T>) -> R) -> Option<R> {
        let _use = UseOf(self, self.owner()?);
        // SAFETY: as was just found.
        Some(f(unsafe { self.begin_use() }))
    }

    /// Runs `f` where nobody finds the table, if there is one.
    #[inline(always)]
    pub fn without<R>(&self, f: impl FnOnce() -> R) -> R {
        /// Sets the owner back, also when `f` panics.
        struct Back<'a, T>(&'a ThreadTable<T>, u32);
        impl<T> Drop for Back<'_, T> {
            #[inline(always)]
            fn drop(&mut self) {
                in_this_order();
                // Where it was 0, `f` may have put a table.
                if self.1 != 0 {
                    self.0.set_half(OWNER_AT, self.1);
                }
            }
        }
        let _back = Back(self, (self.word.get() >> 32) as u32);
        self.set_half(OWNER_AT, 0);
        in_this_order();
        f()
    }

    /// # Safety
    ///
    /// The owner in `self.word` is not 0.
    #[inline(always)]
    unsafe fn begin_use(&self) -> &Table<T> {
        self.set_half(OWNER_AT, 0);
        in_this_order();
        // SAFETY: it was not 0, so nobody is in the next lines or in `take`, which begin like this; and nobody comes
        // there before it is set back, for this type stays on its thread (`Cell` is not `Sync`, and whoever moves it has it
        // for himself). Nobody else touches `table`.
        let table = unsafe { &*self.table.as_ptr() }.as_ref();
        // SAFETY: where it is not 0 there is one, see `put`.
        unsafe { table.unwrap_unchecked() }
    }

    /// Whether there is a table that is in use.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.owner().is_none() && !self.is_empty()
    }

    /// Keeps a table in place of the one that was here. Does nothing with it while that is in use.
    pub fn put(&self, table: Table<T>, owner: Owner) {
        drop(self.take());
        // SAFETY of `begin_use`: the only place where there is a table from then on that has an owner.
        if self.is_empty() {
            self.table.set(Some(ManuallyDrop::new(table)));
            in_this_order();
            self.set_half(OWNER_AT, owner.number());
        }
    }

    /// Takes the table out, with its owner. `None` if there is none, and while it is in use.
    pub fn take(&self) -> Option<(Table<T>, Owner)> {
        let owner = self.owner()?;
        self.set_half(OWNER_AT, 0);
        in_this_order();
        self.table.take().map(|table| (ManuallyDrop::into_inner(table), owner))
    }

    /// Whether there is none, in use or not.
    fn is_empty(&self) -> bool {
        // SAFETY: only looked at, for whether it is there; `begin_use` borrows it shared, and `put` and `take`, which change
        // it, call nobody while they do.
        unsafe { (*self.table.as_ptr()).is_none() }
    }
}

/// Keeps the compiler from moving memory accesses from one side to the other, for handlers of signals. Orders
/// nothing between threads, and is no instruction.
#[inline(always)]
fn in_this_order() {
    compiler_fence(Ordering::AcqRel);
}

impl<T> Default for ThreadTable<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> fmt::Debug for ThreadTable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadTable").field("is_empty", &self.is_empty()).finish()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    const OURS: Owner = Owner(NonZeroU64::new(5 << 32).unwrap());
    const OTHERS: Owner = Owner(NonZeroU64::new(6 << 32).unwrap());

    fn table(value: u64) -> Table<u64> {
        Table::new(1, 2, || value)
    }

    fn first(here: &ThreadTable<u64>) -> Option<u64> {
        here.with(|table| table.get(0).copied()).flatten()
    }

    /// What is found under these, which stay.
    fn found(here: &ThreadTable<u64>, owner: Owner, tag: u32) -> Option<u64> {
        let tagged = owner.with_tag(tag);
        here.with_tagged(tagged, |table| Some((table.get(0).copied(), tagged.get()))).flatten()
    }

    #[test]
    fn has_no_destructor() {
        assert!(!std::mem::needs_drop::<ThreadTable<u64>>());
    }

    #[test]
    fn gives_back_what_it_was_given() {
        let here = ThreadTable::new(0);
        assert_eq!((first(&here), here.take().is_some()), (None, false));
        here.put(table(7), OURS);
        assert_eq!(first(&here), Some(7));
        here.put(table(8), OTHERS);
        assert_eq!(first(&here), Some(8));
        let taken = here.take().map(|(table, owner)| (table.get(1).copied(), owner));
        assert_eq!(taken, Some((Some(8), OTHERS)));
        assert_eq!(first(&here), None);
    }

    #[test]
    fn a_word_has_an_owner_and_a_tag() {
        for number in [NonZeroU32::MIN, NonZeroU32::new(7).unwrap(), NonZeroU32::MAX] {
            let owner = Owner::new(number);
            assert_eq!(owner.number(), number.get());
            for tag in [0, 1, 1 << 31, u32::MAX] {
                let tagged = owner.with_tag(tag);
                assert_eq!((tagged.owner(), tagged.tag()), (owner, tag));
                assert_eq!(tagged.get(), u64::from(number.get()) << 32 | u64::from(tag));
                assert_eq!(Owner::in_word(tagged.get()), Some(owner));
                assert_eq!(owner.with_tag(9).settled().with_other_tag(9, tag), tagged);
                assert_eq!(Owner::in_word(u64::from(tag)), None);
            }
        }
    }

    #[test]
    fn it_is_found_by_its_owner_and_tag_only() {
        let here = ThreadTable::new(3);
        assert_eq!((found(&here, OURS, 3), here.tag()), (None, 3));
        here.put(table(7), OURS);
        assert_eq!((found(&here, OURS, 3), found(&here, OTHERS, 3)), (Some(7), None));
        let three = OURS.with_tag(3).get();
        assert_eq!(here.with_owned_by(OURS, |_| Some((1, three))), Some(1));
        assert_eq!(here.with_owned_by(OTHERS, |_| Some((1, three))), None);
        here.set_tag(8);
        let set = |_: &Table<u64>| {
            here.set_tag(9);
            None::<((), u64)>
        };
        assert_eq!((here.with_owned_by(OURS, set), found(&here, OURS, 9)), (None, Some(7)));
        assert_eq!(here.with_owned_by(OURS, |_| Some((1, three))), Some(1));
        here.set_tag(u32::MAX);
        assert_eq!((found(&here, OURS, 3), found(&here, OURS, u32::MAX)), (None, Some(7)));
        // What is said there stands there, and nothing else.
        let next = OURS.with_tag(4);
        assert_eq!(here.with_tagged(OURS.with_tag(u32::MAX), |_| Some((1, next.get()))), Some(1));
        assert_eq!(here.with_tagged(next, |_| None::<((), u64)>), None);
        assert_eq!((here.tag(), found(&here, OURS, 4)), (4, Some(7)));
        drop(here.take());
        assert_eq!((here.tag(), found(&here, OURS, 4)), (4, None));
    }

    #[test]
    fn what_is_in_use_stays() {
        let here = ThreadTable::new(3);
        here.put(table(7), OURS);
        let inside = |it: &Table<u64>| {
            // What a handler of a signal would find.
            assert!(here.is_in_use() && here.with(|_| ()).is_none() && here.take().is_none());
            assert_eq!((found(&here, OURS, 3), here.tag()), (None, 3));
            here.put(table(8), OTHERS);
            assert_eq!(it.get(0), Some(&7));
        };
        let next = OURS.with_tag(3).get();
        assert!(here.with_tagged(OURS.with_tag(3), |it| Some((inside(it), next))).is_some());
        assert!(here.with(inside).is_some());
        here.without(|| {
            assert!(here.is_in_use() && here.with(|_| ()).is_none() && here.take().is_none());
            here.without(|| ());
            assert!(here.is_in_use());
        });
        assert!(found(&here, OURS, 3).is_some());
        // The tag is whoever's uses it.
        here.with(|_| here.set_tag(9));
        assert_eq!((here.tag(), found(&here, OURS, 9)), (9, Some(7)));
        drop(here.take());
    }

    #[test]
    fn a_panic_ends_its_use() {
        let here = ThreadTable::new(3);
        here.put(table(7), OURS);
        let caught =
            |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
        let tagged = OURS.with_tag(3);
        assert!(caught(&|| _ = here.with_tagged::<()>(tagged, |_| panic!("on purpose"))));
        assert!(!here.is_in_use() && found(&here, OURS, 3) == Some(7));
        assert!(caught(&|| _ = here.with::<()>(|_| panic!("on purpose"))));
        assert!(!here.is_in_use() && found(&here, OURS, 3) == Some(7));
        assert!(here.take().is_some());
    }
}
