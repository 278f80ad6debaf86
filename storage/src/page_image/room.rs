//! Rows that come between others in the file, and not at the end of a table: those of a run that is collected beside later
//! ones.
//!
//! At the end SQLite puts an empty page behind one that is full. Anywhere else it divides the rows of three pages anew,
//! and some fifty rows later again: a third of all that is done for a row. So there the pages are made first, each by a
//! single row that fills it, which is to be its last one:
//!
//! ```text
//! | rows of A     rows of B |              as it is
//! | rows of A | LONG | LONG | rows of B |  each page with a row as long as it
//! | rows of A |  row |  row | rows of B |  the same rows as they are: SQLite leaves a page alone when a row becomes shorter
//! ```
//!
//! The others are copied then, each into a page with room for it. This finds the last rows of pages, and takes them out of
//! the image. All of it is about what it costs: if a page is full too soon, SQLite divides it.

use std::ops::Range;

use super::page::{LEAF_HEADER, Pages};

/// For fewer pages it is not worth it: the last one stays half empty, as nothing is added to it later.
const PAGES_MIN: usize = 8;

/// Where in the file the rows of a table come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Between the row with this id and the next one in the file come all rows of the image with larger ids.
    pub(crate) above: i64,
    /// The size of the file's pages.
    pub(crate) page_size: usize,
}

impl Room {
    /// The longest record that stays in one piece in the file: <https://sqlite.org/fileformat2.html#b_tree_pages>.
    pub(crate) fn payload_max(self) -> usize {
        self.page_size - 35
    }

    /// The most that a row takes of a page: if its record is longer, the rest is elsewhere, and where is said at the end.
    fn cell_max(self) -> usize {
        const VARINTS_MAX: usize = 5 + 9;
        const ELSEWHERE: usize = 4;
        self.payload_max() + VARINTS_MAX + ELSEWHERE
    }
}

/// A row in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    leaf: usize,
    at: usize,
    pub(super) rowid: i64,
}

/// The last rows of the pages that the rows are to fill; none if that is not worth it.
pub(super) fn page_ends(pages: &Pages, leaves: Range<usize>, room: Room) -> Vec<Found> {
    let mut ends = Vec::new();
    // What is left of the page that is being filled.
    let mut left = room.page_size - LEAF_HEADER;
    // The row before, if it is above.
    let mut before: Option<(usize, usize, usize)> = None;
    let mut end_page = |(leaf, at, begin): (usize, usize, usize)| {
        let page = pages.page(leaf);
        let rowid = rowid(page, begin);
        let taken = ends.iter().rev().take_while(|end: &&Found| end.leaf == leaf).count();
        // A page of the image has to have a row.
        if taken + 1 < cells(page) {
            ends.push(Found { leaf, at, rowid });
        }
    };
    for leaf in leaves {
        let page = pages.page(leaf);
        let mut end = page.len();
        for at in 0..cells(page) {
            let begin = usize::from(number(page, LEAF_HEADER + 2 * at));
            let needed = end.saturating_sub(begin).min(room.cell_max()) + 2;
            end = begin;
            match before {
                None if rowid(page, begin) <= room.above => continue,
                Some(before) if needed > left => {
                    end_page(before);
                    left = room.page_size - LEAF_HEADER;
                }
                _ => {}
            }
            left = left.saturating_sub(needed);
            before = Some((leaf, at, begin));
        }
    }
    if let Some(last) = before {
        end_page(last);
    }
    if ends.len() < PAGES_MIN {
        ends.clear();
    }
    ends
}

/// Takes these rows, which were found in this order, out of the image.
pub(super) fn take_out(pages: &mut Pages, rows: &[Found]) {
    for Found { leaf, at, .. } in rows.iter().rev() {
        let page = pages.page_mut(*leaf);
        let cells = cells(page);
        let pointer = |at: usize| LEAF_HEADER + 2 * at;
        page.copy_within(pointer(at + 1)..pointer(cells), pointer(*at));
        page[3..5].copy_from_slice(&((cells - 1) as u16).to_be_bytes());
    }
}

fn cells(page: &[u8]) -> usize {
    usize::from(number(page, 3))
}

fn number(page: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([page[at], page[at + 1]])
}

/// The key of a cell, which comes behind the length of its record.
fn rowid(page: &[u8], cell: usize) -> i64 {
    let length = page[cell..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let mut rowid = 0;
    for (at, byte) in page[cell + length..].iter().take(9).enumerate() {
        if at == 8 {
            return (rowid << 8 | u64::from(*byte)) as i64;
        }
        rowid = rowid << 7 | u64::from(byte & 0x7F);
        if *byte < 0x80 {
            break;
        }
    }
    rowid as i64
}

#[cfg(test)]
mod tests {
    use super::super::record::put_varint;
    use super::*;

    #[test]
    fn keys_of_all_lengths_are_read() {
        for bit in 0..64 {
            for key in [1_u64 << bit, (1 << bit) - 1, u64::MAX >> bit] {
                let mut cell = [0; 12];
                let at = usize::from(put_varint(&mut cell, 300));
                put_varint(&mut cell[at..], key);
                assert_eq!(rowid(&cell, 0), key as i64);
            }
        }
    }
}
