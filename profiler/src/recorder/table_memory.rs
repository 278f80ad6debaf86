//! Where the recorder's tables lie: on the heap, or in a ring file, which outlives the process.
//!
//! The same functions run over both, in the same instructions: a table knows where its first cell is, and nothing else.

use std::marker::PhantomData;

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::RingFile;
use spandrel_ring::{Table, TooLarge, Zeros};

/// What may be a cell of such a table.
#[cfg(feature = "crash-proof")]
pub(crate) use spandrel_ring::InFile as Cell;
#[cfg(not(feature = "crash-proof"))]
pub(crate) use spandrel_ring::Zeroed as Cell;

/// Where tables are made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TableMemory<'a> {
    Heap(PhantomData<&'a ()>),
    /// In this file, which was made with tables of these sizes.
    #[cfg(feature = "crash-proof")]
    File(&'a RingFile),
}

/// On the heap.
pub(crate) const HEAP: TableMemory<'static> = TableMemory::Heap(PhantomData);

impl TableMemory<'_> {
    /// So many zeros, which in a file are those of the table of this number.
    pub(crate) fn zeros<T: Cell>(self, number: usize, len: usize) -> Result<Zeros<T>, TooLarge> {
        _ = number; // of a file
        match self {
            Self::Heap(_) => Zeros::try_new(len),
            #[cfg(feature = "crash-proof")]
            Self::File(file) => {
                let refused = TooLarge { bytes: len.checked_mul(size_of::<T>()) };
                file.cells(number).filter(|cells| cells.len() == len).ok_or(refused)
            }
        }
    }

    /// The same as a table of `parts` parts with `part` cells each.
    pub(crate) fn table<T: Cell>(
        self,
        number: usize,
        parts: usize,
        part: usize,
    ) -> Result<Table<T>, TooLarge> {
        _ = number; // of a file
        match self {
            Self::Heap(_) => Table::try_zeroed(parts, part),
            #[cfg(feature = "crash-proof")]
            Self::File(_) => Ok(Table::over(self.zeros(number, parts * part)?, parts, part)),
        }
    }

    /// Whether what is made here is in memory from the beginning.
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::Heap(_))
    }
}
