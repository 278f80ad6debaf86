//! A single cell in the file of an owner that lives, and may change it at any time.

use std::io;
use std::sync::atomic::{Ordering, fence};

use super::reader::read_words;
use super::{Reader, Source};

impl<S: Source> Reader<S> {
    /// Copies a cell twice, one copy after the other: of words that are never what they were before, those that are the
    /// same in both were so, all of them, at the moment between the two. Others, which its owner changes all the time, may
    /// differ. `false`, and no words, if there is no such cell.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn cell_twice(
        &mut self,
        table: usize,
        index: usize,
        copies: &mut [Vec<u64>; 2],
    ) -> io::Result<bool> {
        copies.iter_mut().for_each(Vec::clear);
        let (Some(sizes), Some(first)) =
            (self.layout.sizes.tables.get(table), self.layout.tables.get(table))
        else {
            return Ok(false);
        };
        let Some(ahead) = index.checked_mul(sizes.cell).filter(|_| index < sizes.cells) else {
            return Ok(false);
        };
        let (at, words) = ((first + ahead) as u64, sizes.cell / 8);
        let [before, after] = copies;
        let was_whole = read_words(&self.source, at, words, before)?;
        // Acquire: what is loaded for the second copy is loaded after what is in the first.
        fence(Ordering::Acquire);
        let is_whole = was_whole && read_words(&self.source, at, words, after)?;
        if !is_whole {
            self.set_cut();
            copies.iter_mut().for_each(Vec::clear);
        }
        Ok(is_whole)
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::super::{CellTable, FileSettings, RingFile};
    use super::*;

    #[test]
    fn a_cell_is_there_twice_and_none_beyond_the_tables_or_the_file() {
        let tables = [CellTable { cell: 16, cells: 3 }, CellTable { cell: 8, cells: 1 }];
        let settings = FileSettings { tables: &tables, ..FileSettings::default() };
        let file = RingFile::on_the_heap::<[u64; 2]>(&settings).unwrap();
        let cells = file.cells::<[crate::sync::AtomicU64; 2]>(0).unwrap();
        cells[2][1].store(7, Ordering::Relaxed);
        let bytes = file.copied();
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        let mut copies = [vec![1], Vec::new()];
        assert!(reader.cell_twice(0, 2, &mut copies).unwrap());
        assert_eq!(copies, [vec![0, 7], vec![0, 7]]);
        for (table, index) in [(0, 3), (0, usize::MAX), (2, 0), (usize::MAX, 0)] {
            assert!(!reader.cell_twice(table, index, &mut copies).unwrap(), "{table} {index}");
            assert_eq!(copies, [Vec::new(), Vec::new()] as [Vec<u64>; 2]);
        }
        assert!(!reader.is_cut());
        let end = reader.layout.tables[0] + 2 * 16 + 8;
        let mut cut = Reader::new(&bytes[..end]).unwrap();
        assert!(cut.cell_twice(0, 1, &mut copies).unwrap());
        assert!(!cut.cell_twice(0, 2, &mut copies).unwrap() && cut.is_cut());
    }
}
