//! A table that several share, and whose cells take few instructions to reach.
//!
//! What an `Arc<[T]>` does, but that the way to a cell is known beforehand: where the cells begin,
//! without the counters of the `Arc` before them, and masks, so that an index that comes from elsewhere
//! is brought into bounds and not compared with them. That is three instructions a look, on paths of
//! some thirty. And where a cell is need not be computed of its index: its *position* is told and kept,
//! which the processor adds in the access itself.

#![allow(unsafe_code)] // the cells are kept as a pointer, and reached by masked indices

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::size::{TooLarge, try_collect};
use crate::zeros::{Zeroed, Zeros};

/// A fixed number of cells, a power of two, in parts of equal size.
///
/// A cell is reached by its [`position`](Self::position). For cells of 8 bytes or a larger power of two that is how many
/// words of 8 bytes come before it, which is as much as a processor multiplies by for nothing; for others
/// it is the index.
pub struct Table<T> {
    /// The first cell of `owner`.
    cells: NonNull<T>,
    /// The position of the last cell: one less than the number of cells, a power of two, moved up by
    /// `SHIFT`. So what is `&`ed with it is the position of a cell.
    mask: usize,
    /// All bits that are not in `mask`: those that no position has.
    outside: usize,
    /// The position of the last cell of the first part; at most `mask`.
    part_mask: usize,
    /// Keeps the cells where they are.
    owner: Arc<Owner<T>>,
}

/// Cells that were made one by one, or that nobody has touched yet.
enum Owner<T> {
    Made(Box<[T]>),
    Zeros(Zeros<T>),
}

impl<T> Owner<T> {
    fn cells(&self) -> &[T] {
        match self {
            Self::Made(cells) => cells,
            Self::Zeros(cells) => cells,
        }
    }
}

// SAFETY: `cells` is a shared reference into what `owner` owns, kept as a pointer only because it
// borrows from a field beside it; so a table may go wherever an `Arc<[T]>` may: with cells that may be
// both sent and shared.
unsafe impl<T> Send for Table<T> where Arc<Owner<T>>: Send {}
// SAFETY: as above; nothing can be reached through a `&Table` that is not in a `&Arc<[T]>`.
unsafe impl<T> Sync for Table<T> where Arc<Owner<T>>: Sync {}

impl<T> Table<T> {
    /// A position is the index moved up by so many bits.
    const SHIFT: u32 = {
        let size = size_of::<T>();
        if size.is_power_of_two() && size >= 8 { size.trailing_zeros() - 3 } else { 0 }
    };
    /// So many bytes lie between two positions.
    const UNIT: usize = size_of::<T>() >> Self::SHIFT;

    /// The position of the cell with this index, if there is one.
    #[inline(always)]
    #[must_use]
    pub const fn position(index: usize) -> usize {
        index << Self::SHIFT
    }

    /// The index of the cell at this position, if there is one.
    #[inline(always)]
    #[must_use]
    pub const fn index(position: usize) -> usize {
        position >> Self::SHIFT
    }

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
        Self::of(parts, part, |len| try_collect(len, cell).map(Owner::Made))
    }

    fn of(
        parts: usize,
        part: usize,
        make: impl FnOnce(usize) -> Result<Owner<T>, TooLarge>,
    ) -> Result<Self, TooLarge> {
        assert!(parts.is_power_of_two() && part.is_power_of_two(), "sizes must be powers of two");
        let len = parts.checked_mul(part).ok_or(TooLarge { bytes: None })?;
        let owner = Arc::new(make(len)?);
        let all = owner.cells();
        assert!(all.len() == len && part <= len, "there are as many cells as were asked for");
        let cells = NonNull::from(all).cast();
        let mask = Self::position(len - 1);
        Ok(Self { cells, mask, outside: !mask, part_mask: Self::position(part - 1), owner })
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
        // SAFETY: so many cells lie there, and neither move nor go for as long as `owner`, which we hold; they
        // are only ever borrowed shared.
        unsafe { std::slice::from_raw_parts(self.cells.as_ptr(), Self::index(self.mask) + 1) }
    }

    /// How many cells a part has.
    #[inline(always)]
    #[must_use]
    pub fn part_len(&self) -> usize {
        Self::index(self.part_mask) + 1
    }

    /// The cell at this position, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&T> {
        if position & self.outside != 0 {
            return None;
        }
        // SAFETY: it has no bits but those of `mask`, so it is a cell's position.
        Some(unsafe { self.at(position) })
    }

    /// The cell at this position, or at another one if there is none, and that position.
    #[inline(always)]
    #[must_use]
    pub fn wrapped(&self, position: usize) -> (usize, &T) {
        let position = position & self.mask;
        // SAFETY: it has no bits but those of `mask`, so it is a cell's position.
        (position, unsafe { self.at(position) })
    }

    /// The cell of the first part at this index modulo the size of a part, and its position.
    #[inline(always)]
    #[must_use]
    pub fn wrapped_in_first_part(&self, index: usize) -> (usize, &T) {
        let position = Self::position(index) & self.part_mask;
        // SAFETY: it has no bits but those of `part_mask`, so it is the position of a cell of the first
        // part, and a table has at least one.
        (position, unsafe { self.at(position) })
    }

    /// # Safety
    ///
    /// `position` is that of one of the cells.
    #[inline(always)]
    unsafe fn at(&self, position: usize) -> &T {
        // SAFETY: the caller says that there is such a cell; as many bytes lie before it.
        let cell = unsafe { self.cells.byte_add(position * Self::UNIT) };
        // SAFETY: the cells neither move nor go for as long as `owner`, which we hold; they are only
        // ever borrowed shared.
        unsafe { cell.as_ref() }
    }
}

impl<T: Zeroed> Table<T> {
    /// A table of `parts` parts with `part` cells each, which take memory when they are touched.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// If `parts` or `part` is not a power of two.
    pub fn try_zeroed(parts: usize, part: usize) -> Result<Self, TooLarge> {
        Self::of(parts, part, |len| Zeros::try_new(len).map(Owner::Zeros))
    }
}

#[cfg(feature = "mapped")]
impl<T: crate::InFile> Table<T> {
    /// The same over cells that lie in a file: [`RingFile::cells`](crate::file::RingFile::cells).
    ///
    /// # Panics
    ///
    /// If `parts` or `part` is not a power of two, or there are not so many cells.
    #[must_use]
    #[allow(clippy::expect_used, reason = "said in the documentation")]
    pub fn over(cells: Zeros<T>, parts: usize, part: usize) -> Self {
        Self::of(parts, part, |_| Ok(Owner::Zeros(cells))).expect("cells are there already")
    }
}

impl<T> Clone for Table<T> {
    /// The same table: its cells are shared.
    fn clone(&self) -> Self {
        let Self { cells, mask, outside, part_mask, ref owner } = *self;
        Self { cells, mask, outside, part_mask, owner: Arc::clone(owner) }
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
    fn a_position_leads_to_its_cell_and_one_between_two_to_none() {
        fn check<T: Default>(unit: usize) {
            let table = Table::<T>::new(2, 4, T::default);
            for (index, cell) in table.cells().iter().enumerate() {
                let position = Table::<T>::position(index);
                assert_eq!((position, Table::<T>::index(position)), (index * unit, index));
                assert!(table.get(position).is_some_and(|got| std::ptr::eq(got, cell)));
                for between in position + 1..position + unit {
                    assert!(table.get(between).is_none());
                    let (wrapped, got) = table.wrapped(between);
                    assert!(wrapped == position && std::ptr::eq(got, cell));
                }
                let (wrapped, got) = table.wrapped_in_first_part(index);
                assert_eq!(wrapped, index % 4 * unit);
                assert!(std::ptr::eq(got, &raw const table.cells()[index % 4]));
            }
            assert!(table.get(Table::<T>::position(8)).is_none());
            assert!(table.get(usize::MAX).is_none());
        }
        check::<u8>(1);
        check::<u64>(1);
        check::<[u64; 3]>(1);
        check::<[u64; 4]>(4);
        check::<[u64; 32]>(32);
    }

    #[test]
    fn a_zeroed_table_has_all_its_cells() {
        let table = Table::<std::sync::atomic::AtomicU64>::try_zeroed(4, 8).unwrap();
        assert_eq!((table.cells().len(), table.part_len()), (32, 8));
        for (index, cell) in table.clone().cells().iter().enumerate() {
            assert_eq!(cell.swap(index as u64, Ordering::Relaxed), 0);
            assert_eq!(table.get(index).unwrap().load(Ordering::Relaxed), index as u64);
        }
        assert!(Table::<u64>::try_zeroed(1 << 32, 1 << 29).is_err());
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
