//! A table that a thread-local variable shares.

#![allow(unsafe_code)] // the table is reached in its cell while nobody can take it out

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{Ordering, compiler_fence};

use crate::table::Table;

/// A share of a [`Table`], or none, made to be a thread-local variable; and beside it whose table it is.
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
///     static TABLE: ThreadTable<u64> = const { ThreadTable::new() };
/// }
///
/// let owner = Owner::new(NonZeroU32::MIN);
/// TABLE.with(|here| here.put(Table::new(1, 4, || 7), owner));
/// let third = |table: &Table<u64>| table.get(3).copied();
/// assert_eq!(TABLE.with(|here| here.with_owned_by(owner, third)), Some(7));
/// assert_eq!(TABLE.with(|here| here.with_owned_by(Owner::new(NonZeroU32::MAX), third)), None);
/// TABLE.with(|here| drop(here.take()));
/// ```
///
/// # Signals
///
/// A handler of a signal may interrupt its thread anywhere in here, and do anything that can be done here. It finds the
/// table that is here, or none; one that is in use it can neither exchange nor take out, and where a table is being put here
/// or taken out it can do neither. Whoever was interrupted gets no other owner's table for the one that he wanted.
pub struct ThreadTable<T> {
    /// The owner, 0 while the table is in use or there is none. So one comparison says that it is there, whose it is, and
    /// that nobody is at it.
    owner: Cell<u64>,
    /// The owner of the table that is here, in use or not; 0 if there is none.
    here: Cell<u64>,
    /// Somebody puts a table here or takes it out.
    is_changing: Cell<bool>,
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

    /// Both.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Nobody finds the table: says again whose it is when that ends, also by a panic.
struct Use<'a> {
    owner: &'a Cell<u64>,
    was: Owner,
}

impl Drop for Use<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        in_this_order();
        self.owner.set(self.was.0.get());
    }
}

impl<T> ThreadTable<T> {
    /// Without a table.
    #[must_use]
    pub const fn new() -> Self {
        let (owner, here) = (Cell::new(0), Cell::new(0));
        Self { owner, here, is_changing: Cell::new(false), table: Cell::new(None) }
    }

    /// Runs `f` with the table, if it is of this owner. `None`, and `f` does not run, also inside of another `f`.
    #[inline(always)]
    pub fn with_owned_by<R>(
        &self,
        owner: Owner,
        f: impl FnOnce(&Table<T>) -> Option<R>,
    ) -> Option<R> {
        let _use = self.begin_use(owner)?;
        // SAFETY: it is in use from here on until `_use` is dropped, so nobody puts another one there, or takes it out; for
        // this type stays on its thread (`Cell` is not `Sync`, and whoever moves it has it for himself), where handlers of
        // signals find that it is in use.
        let table = unsafe { &*self.table.as_ptr() }.as_ref();
        // SAFETY: `begin_use` has seen that one is here, after it has said that it is in use: `here` is not 0 only where
        // there is one, see `put` and `take`.
        f(unsafe { table.unwrap_unchecked() })
    }

    /// Runs `f` where nobody finds this owner's table, whether it is in use or not. Where there is none at all, none may be
    /// [put](Self::put) meanwhile: whoever comes would find it. `None`, and `f` does not run, if there is another one's.
    pub fn hidden<R>(&self, owner: Owner, f: impl FnOnce() -> R) -> Option<R> {
        let _use = self.begin_use(owner);
        let is_hidden = self.owner.get() == 0 && [0, owner.0.get()].contains(&self.here.get());
        is_hidden.then(f)
    }

    /// The table of this owner is in use from now on. `None` if it is so already, or there is none.
    #[inline(always)]
    fn begin_use(&self, owner: Owner) -> Option<Use<'_>> {
        if self.owner.get() != owner.0.get() {
            return None;
        }
        self.owner.set(0);
        in_this_order();
        // From here on it stays. But a handler of a signal may have come before that, after the comparison.
        if self.here.get() != owner.0.get() {
            self.end_use_of_another();
            return None;
        }
        Some(Use { owner: &self.owner, was: owner })
    }

    #[cold]
    #[inline(never)]
    fn end_use_of_another(&self) {
        in_this_order();
        // Its handler has left it so, and is at it no more.
        self.owner.set(self.here.get());
    }

    /// Whether there is a table that is in use, or is just being put here or taken out.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.is_changing.get() || self.owner.get() == 0 && !self.is_empty()
    }

    /// Keeps a table in place of the one that was here. Does nothing with it while that is in use, or where a handler of a
    /// signal comes before with one of its own.
    pub fn put(&self, table: Table<T>, owner: Owner) {
        drop(self.take());
        let refused = self.alone(|| {
            if !self.is_empty() {
                return Some(table);
            }
            self.table.set(Some(ManuallyDrop::new(table)));
            in_this_order();
            // SAFETY of `with_owned_by`: the only place where `here` is set, after the table is there.
            self.here.set(owner.0.get());
            in_this_order();
            self.owner.set(owner.0.get());
            None
        });
        // Not before: whoever frees memory may come here again.
        drop(refused);
    }

    /// Takes the table out, with its owner. `None` if there is none, and while it is in use.
    pub fn take(&self) -> Option<(Table<T>, Owner)> {
        let taken = self.alone(|| {
            // Nobody but a handler that uses it and is done comes between the look and the change.
            Owner::in_word(self.owner.replace(0))?;
            in_this_order();
            // SAFETY of `with_owned_by`: before the table is gone.
            let owner = Owner::in_word(self.here.replace(0))?;
            in_this_order();
            self.table.take().map(|table| (ManuallyDrop::into_inner(table), owner))
        });
        taken.flatten()
    }

    /// Runs `f`, which may put a table here or take it out, unless somebody is at that: whom the handler of a signal has
    /// interrupted there.
    fn alone<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        if self.is_changing.get() {
            return None;
        }
        // A handler that comes between these two is done when it ends.
        self.is_changing.set(true);
        in_this_order();
        let result = f();
        in_this_order();
        self.is_changing.set(false);
        Some(result)
    }

    /// Whether there is none, in use or not.
    fn is_empty(&self) -> bool {
        self.here.get() == 0
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
        Self::new()
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
        found(here, OURS).or_else(|| found(here, OTHERS))
    }

    fn found(here: &ThreadTable<u64>, owner: Owner) -> Option<u64> {
        here.with_owned_by(owner, |table| table.get(0).copied())
    }

    #[test]
    fn has_no_destructor() {
        assert!(!std::mem::needs_drop::<ThreadTable<u64>>());
    }

    #[test]
    fn gives_back_what_it_was_given() {
        let here = ThreadTable::new();
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
                assert_eq!(owner.with_tag(9).with_other_tag(9, tag), tagged);
                assert_eq!(Owner::in_word(u64::from(tag)), None);
            }
        }
    }

    #[test]
    fn it_is_found_by_its_owner_only() {
        let here = ThreadTable::new();
        assert_eq!(found(&here, OURS), None);
        here.put(table(7), OURS);
        assert_eq!((found(&here, OURS), found(&here, OTHERS)), (Some(7), None));
        assert_eq!(here.with_owned_by(OURS, |_| None::<()>), None);
        assert_eq!(found(&here, OURS), Some(7));
        drop(here.take());
        assert_eq!(found(&here, OURS), None);
    }

    #[test]
    fn what_is_in_use_stays() {
        let here = ThreadTable::new();
        // Nothing is hidden where there is nothing.
        assert_eq!(here.hidden(OURS, || here.is_in_use()), Some(false));
        here.put(table(7), OURS);
        let inside = || {
            // What a handler of a signal would find.
            assert!(here.is_in_use() && first(&here).is_none() && here.take().is_none());
            here.put(table(8), OTHERS);
            assert_eq!(here.hidden(OURS, || here.is_in_use()), Some(true));
            assert_eq!(here.hidden(OTHERS, || ()), None);
            assert!(here.is_in_use());
        };
        let used = |it: &Table<u64>| {
            inside();
            it.get(0).copied()
        };
        assert_eq!(here.with_owned_by(OURS, used), Some(7));
        assert_eq!(here.hidden(OURS, inside), Some(()));
        assert_eq!((here.hidden(OTHERS, || ()), here.is_in_use()), (None, false));
        assert_eq!(found(&here, OURS), Some(7));
        drop(here.take());
    }

    #[test]
    fn what_changes_is_nobodys() {
        let here = ThreadTable::new();
        here.put(table(7), OURS);
        // What a handler of a signal would find that interrupts whoever puts a table here or takes it out.
        here.alone(|| {
            assert!(here.is_in_use() && here.take().is_none());
            here.put(table(8), OTHERS);
            assert_eq!(found(&here, OURS), Some(7));
        });
        assert!(!here.is_in_use());
        assert_eq!((found(&here, OURS), found(&here, OTHERS)), (Some(7), None));
        drop(here.take());
    }

    /// What is left where a handler of a signal comes between the two comparisons; the tests of the whole step through them.
    #[test]
    fn what_came_before_it_was_marked_is_found_again() {
        let here = ThreadTable::new();
        here.put(table(8), OTHERS);
        here.owner.set(OURS.0.get());
        assert_eq!(found(&here, OURS), None);
        assert_eq!((here.is_in_use(), found(&here, OTHERS)), (false, Some(8)));
        drop(here.take());
        here.owner.set(OURS.0.get());
        assert_eq!((found(&here, OURS), here.is_in_use(), here.owner.get()), (None, false, 0));
    }

    #[test]
    fn a_panic_ends_its_use() {
        let here = ThreadTable::new();
        here.put(table(7), OURS);
        let caught =
            |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
        assert!(caught(&|| _ = here.with_owned_by::<()>(OURS, |_| panic!("on purpose"))));
        assert_eq!(found(&here, OURS), Some(7));
        assert!(caught(&|| _ = here.hidden(OURS, || panic!("on purpose"))));
        assert!(!here.is_in_use() && found(&here, OURS) == Some(7));
        assert!(here.take().is_some());
    }
}
