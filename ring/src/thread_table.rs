//! A table that a thread-local variable shares.

#![allow(unsafe_code)] // the table is reached in its cell while nobody can take it out

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{Ordering, compiler_fence};

use crate::table::Table;

/// A share of a [`Table`], or none, made to be a thread-local variable.
///
/// It has no destructor, so that a `const` thread-local of this type is plain memory and no access has to
/// ask whether it is still alive. **Whoever puts a table here takes it out again**, at the end of
/// the thread at the latest; otherwise the table's memory stays for as long as the process lives.
///
/// ```
/// use spandrel_ring::{Table, ThreadTable};
///
/// thread_local! {
///     static TABLE: ThreadTable<u64> = const { ThreadTable::new() };
/// }
///
/// let table = Table::<u64>::new(1, 4, || 7);
/// TABLE.with(|here| here.put(Some(table.clone())));
/// assert_eq!(TABLE.with(|here| here.with(|table| table.get(3).copied())), Some(Some(7)));
/// TABLE.with(|here| drop(here.take()));
/// ```
///
/// # Signals
///
/// A handler of a signal may interrupt its thread anywhere in here: it finds no table then, or the one that is
/// here, and changes none that is in use.
pub struct ThreadTable<T> {
    /// Whether it is in use, or there is none.
    is_away: Cell<bool>,
    table: Cell<Option<ManuallyDrop<Table<T>>>>,
}

impl<T> ThreadTable<T> {
    /// Without a table.
    #[must_use]
    pub const fn new() -> Self {
        Self { is_away: Cell::new(true), table: Cell::new(None) }
    }

    /// Runs `f` with the table. `None`, and `f` does not run, if there is none, and inside of another `f`.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&Table<T>) -> R) -> Option<R> {
        /// Ends the use also when `f` panics.
        struct Use<'a>(&'a Cell<bool>);
        impl Drop for Use<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                in_this_order();
                self.0.set(false);
            }
        }
        if self.is_away.replace(true) {
            return None;
        }
        let _use = Use(&self.is_away);
        in_this_order();
        // SAFETY: it was not away, so nobody is in the next lines or in `take`, which begin like this one; and nobody comes
        // there before it is set back, for this type stays on its thread (`Cell` is not `Sync`, and whoever moves it has it
        // for himself). Nobody else touches `table`.
        let table = unsafe { &*self.table.as_ptr() }.as_ref();
        // SAFETY: where it is not away there is one, see `put`.
        let table = unsafe { table.unwrap_unchecked() };
        Some(f(table))
    }

    /// Whether there is a table that is in use.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.is_away.get() && !self.is_empty()
    }

    /// Keeps a table in place of the one that was here. Does nothing with it while that is in use.
    pub fn put(&self, table: Option<Table<T>>) {
        drop(self.take());
        // SAFETY of `with`: the only place where there is a table from then on that is not away.
        if let Some(table) = table.filter(|_| self.is_empty()) {
            self.table.set(Some(ManuallyDrop::new(table)));
            in_this_order();
            self.is_away.set(false);
        }
    }

    /// Takes the table out. `None` if there is none, and while it is in use.
    pub fn take(&self) -> Option<Table<T>> {
        if self.is_away.replace(true) {
            return None;
        }
        in_this_order();
        self.table.take().map(ManuallyDrop::into_inner)
    }

    /// Whether there is none, in use or not.
    fn is_empty(&self) -> bool {
        // SAFETY: only looked at, for whether it is there; `with` borrows it shared, and `put` and `take`, which change
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

    fn first(here: &ThreadTable<u64>) -> Option<u64> {
        here.with(|table| table.get(0).copied()).flatten()
    }

    #[test]
    fn has_no_destructor() {
        assert!(!std::mem::needs_drop::<ThreadTable<u64>>());
    }

    #[test]
    fn gives_back_what_it_was_given() {
        let here = ThreadTable::new();
        assert_eq!((first(&here), here.take().is_some()), (None, false));
        here.put(Some(Table::new(1, 2, || 7)));
        assert_eq!(first(&here), Some(7));
        here.put(Some(Table::new(1, 2, || 8)));
        assert_eq!(first(&here), Some(8));
        here.put(None);
        assert_eq!(first(&here), None);
        here.put(Some(Table::new(1, 2, || 9)));
        assert_eq!(here.take().and_then(|table| table.get(1).copied()), Some(9));
        assert_eq!(first(&here), None);
    }

    #[test]
    fn what_is_in_use_stays() {
        let here = ThreadTable::new();
        here.put(Some(Table::new(1, 2, || 7)));
        here.with(|table| {
            // What a handler of a signal would find.
            assert!(here.is_in_use() && here.with(|_| ()).is_none() && here.take().is_none());
            here.put(Some(Table::new(1, 2, || 8)));
            here.put(None);
            assert_eq!(table.get(0), Some(&7));
        });
        assert_eq!(first(&here), Some(7));
        drop(here.take());
    }

    #[test]
    fn a_panic_ends_its_use() {
        let here = ThreadTable::new();
        here.put(Some(Table::new(1, 2, || 7)));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            here.with(|_| panic!("on purpose"))
        }));
        assert!(panicked.is_err() && !here.is_in_use());
        assert_eq!(first(&here), Some(7));
        assert!(here.take().is_some());
    }
}
