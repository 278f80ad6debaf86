//! A table that several share, and whose cells take few instructions to reach.
//!
//! What an `Arc<[T]>` does, but that the way to a cell is known beforehand: where the cells begin,
//! without the counters of the `Arc` before them, and masks, so that an index that comes from elsewhere
//! is brought into bounds and not compared with them. That is three instructions a look, on paths of
//! some thirty.

#![allow(unsafe_code)] // the cells are kept as a pointer, and reached by masked indices

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::size::{TooLarge, try_collect};

/// A fixed number of cells, a power of two, in parts of equal size.
pub struct Table<T> {
    /// The first cell of `owner`.
    cells: NonNull<T>,
    /// One less than the number of cells.
    mask: usize,
    /// One less than the number of cells of a part; at most `mask`.
    part_mask: usize,
    /// Keeps the cells where they are.
    owner: Arc<Box<[T]>>,
}

// SAFETY: `cells` is a shared reference into what `owner` owns, kept as a pointer only because it
// borrows from a field beside it; so a table may go wherever an `Arc<Box<[T]>>` may: with cells that may be
// both sent and shared.
unsafe impl<T> Send for Table<T> where Arc<Box<[T]>>: Send {}
// SAFETY: as above; nothing can be reached through a `&Table` that is not in a `&Arc<Box<[T]>>`.
unsafe impl<T> Sync for Table<T> where Arc<Box<[T]>>: Sync {}

impl<T> Table<T> {
    /// A table of `parts` parts with `part` cells each, made by so many calls of `cell`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if so much cannot be allocated; see [`Ring::try_new`](crate::Ring::try_new).
    ///
    /// # Panics
    ///
    /// If `parts` or `part` is not a power of two.
    pub fn try_new(parts: usize, part: usize, cell: impl FnMut() -> T) -> Result<Self, TooLarge> {
        assert!(parts.is_power_of_two() && part.is_power_of_two(), "sizes must be powers of two");
        let len = parts.checked_mul(part).ok_or(TooLarge { bytes: None })?;
        let owner = Arc::new(try_collect(len, cell)?);
        assert!(owner.len() == len && part <= len, "there are as many cells as were asked for");
        let cells = NonNull::from(&**owner).cast();
        Ok(Self { cells, mask: len - 1, part_mask: part - 1, owner })
    }

    /// The same for sizes that are known to be sensible.
    ///
    /// # Panics
    ///
    /// If `parts` or `part` is not a power of two, or so much cannot be allocated.
    #[must_use]
    #[allow(clippy::panic, reason = "said in the documentation; `try_new` does not")]
    pub fn new(parts: usize, part: usize, cell: impl FnMut() -> T) -> Self {
        Self::try_new(parts, part, cell)
            .unwrap_or_else(|error| panic!("no table of {parts} times {part} cells: {error}"))
    }

    /// All cells.
    #[inline]
    #[must_use]
    pub fn cells(&self) -> &[T] {
        &self.owner
    }

    /// How many cells a part has.
    #[inline(always)]
    #[must_use]
    pub fn part_len(&self) -> usize {
        self.part_mask + 1
    }

    /// The cell at this index, if there are so many.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index > self.mask {
            return None;
        }
        // SAFETY: the index is in bounds, as was just seen.
        Some(unsafe { self.at(index) })
    }

    /// The cell at this index modulo the number of cells, and that index.
    #[inline(always)]
    #[must_use]
    pub fn wrapped(&self, index: usize) -> (usize, &T) {
        let index = index & self.mask;
        // SAFETY: `mask` is one less than the number of cells, so the index is in bounds.
        (index, unsafe { self.at(index) })
    }

    /// The cell of the first part at this index modulo the size of a part, and that index.
    #[inline(always)]
    #[must_use]
    pub fn wrapped_in_first_part(&self, index: usize) -> (usize, &T) {
        let index = index & self.part_mask;
        // SAFETY: `part_mask` is one less than the number of cells of a part, and a table has at least
        // one part, so the index is in bounds.
        (index, unsafe { self.at(index) })
    }

    /// # Safety
    ///
    /// `index` is below the number of cells.
    #[inline(always)]
    unsafe fn at(&self, index: usize) -> &T {
        // SAFETY: the caller says that there is such a cell.
        let cell = unsafe { self.cells.add(index) };
        // SAFETY: the cells neither move nor go for as long as `owner`, which we hold; they are only
        // ever borrowed shared.
        unsafe { cell.as_ref() }
    }
}

impl<T> Clone for Table<T> {
    /// The same table: its cells are shared.
    fn clone(&self) -> Self {
        let Self { cells, mask, part_mask, ref owner } = *self;
        Self { cells, mask, part_mask, owner: Arc::clone(owner) }
    }
}

impl<T: Default> Default for Table<T> {
    /// A table of one cell.
    fn default() -> Self {
        Self::new(1, 1, T::default)
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("cells", &self.cells().len())
            .field("part", &self.part_len())
            .finish()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Eight cells in two parts; each holds its index.
    fn table() -> Table<AtomicUsize> {
        let mut made = 0;
        Table::new(2, 4, || {
            made += 1;
            AtomicUsize::new(made - 1)
        })
    }

    #[test]
    fn each_way_to_a_cell_leads_to_the_same_one() {
        let table = table();
        assert_eq!((table.cells().len(), table.part_len()), (8, 4));
        for index in (0..40).chain([usize::MAX, 1 << 40]) {
            let got = table.get(index).map(|cell| cell.load(Ordering::Relaxed));
            assert_eq!(got, (index < 8).then_some(index));
            let (wrapped, cell) = table.wrapped(index);
            assert_eq!((wrapped, cell.load(Ordering::Relaxed)), (index % 8, index % 8));
            let (wrapped, cell) = table.wrapped_in_first_part(index);
            assert_eq!((wrapped, cell.load(Ordering::Relaxed)), (index % 4, index % 4));
        }
    }

    #[test]
    fn clones_share_the_cells_and_keep_them_alive() {
        let table = table();
        let clone = table.clone();
        clone.wrapped(5).1.store(77, Ordering::Relaxed);
        drop(clone);
        let last = table.clone();
        drop(table);
        let seen = std::thread::spawn(move || last.get(5).map(|it| it.load(Ordering::Relaxed)));
        assert_eq!(seen.join().unwrap(), Some(77));
    }

    #[test]
    fn a_default_table_has_one_cell_for_every_index() {
        let table = Table::<u8>::default();
        assert_eq!((table.wrapped(9), table.wrapped_in_first_part(9)), ((0, &0), (0, &0)));
        assert_eq!((table.get(0), table.get(1)), (Some(&0), None));
    }

    #[test]
    fn whatever_its_size_a_table_has_all_its_cells_or_is_refused() {
        let bits = crate::size::bits;
        for (parts, part) in bits().flat_map(|parts| bits().map(move |part| (parts, part))) {
            // What a test may allocate, and what nobody can.
            if parts + part > 12 && parts + part < 56 {
                continue;
            }
            match Table::try_new(1 << parts, 1 << part, || 0_u64) {
                Ok(table) => {
                    assert!(parts + part <= 12);
                    assert_eq!(
                        (table.cells().len(), table.part_len()),
                        (1 << (parts + part), 1 << part)
                    );
                    for index in [0, 1, usize::MAX, 1 << 32, table.cells().len()] {
                        let (wrapped, cell) = table.wrapped(index);
                        assert!(std::ptr::eq(cell, &raw const table.cells()[wrapped]));
                        let (wrapped, cell) = table.wrapped_in_first_part(index);
                        assert!(std::ptr::eq(cell, &raw const table.cells()[wrapped]));
                        assert_eq!(table.get(index).is_some(), index < table.cells().len());
                    }
                }
                Err(refused) => {
                    assert!(parts + part >= 56, "2^{parts} times 2^{part}: {refused}");
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri ends at memory that cannot be had")]
    fn cells_without_a_size_are_refused_as_if_they_had_one() {
        assert!(Table::try_new(1 << 32, 1 << 29, || ()).is_err());
        assert_eq!(Table::try_new(4, 4, || ()).unwrap().cells().len(), 16);
    }

    #[test]
    #[should_panic(expected = "powers of two")]
    fn odd_sizes_are_refused() {
        let _table = Table::new(2, 3, || 0);
    }
}
