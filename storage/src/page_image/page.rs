//! Pages of table b-trees: <https://sqlite.org/fileformat2.html#b_tree_pages>.
//!
//! ```text
//! kind, cells, start of the content | pointers to the cells -> ... <- cells, the last one first
//! ```
//!
//! Leaves are filled from left to right. Then each level gets another one above it, until there is a
//! single page: the root.

use super::record::{CHUNK, Cell, put_varint};
use crate::memory::MemoryUse;

const LEAF: u8 = 0x0D;
const INTERIOR: u8 = 0x05;
pub(super) const LEAF_HEADER: usize = 8;
/// Length of the database header, which comes before the header of the first page.
pub(super) const FIRST: usize = 100;
const INTERIOR_HEADER: usize = 12;
/// A pointer to a child, a key and the pointer to the cell.
const INTERIOR_CELL_MAX: usize = 4 + 9 + 2;

/// The pages of an image, including the first one, which is written last.
#[derive(Debug)]
pub(super) struct Pages {
    bytes: Vec<u8>,
    size: usize,
    count: usize,
}

/// A page and the largest key in or below it.
#[derive(Debug, Clone, Copy)]
struct Child {
    page: u32,
    key: i64,
}

/// The page that is being filled.
#[derive(Debug)]
struct Open {
    /// Where the page begins in the image, and where its header begins in it.
    start: usize,
    header: usize,
    /// Where the next pointer goes, and where the content begins, both relative to `start`.
    pointer: usize,
    content: usize,
    cells: usize,
}

/// A table that is being filled, in the order of its keys.
#[derive(Debug)]
pub(super) struct Tree {
    leaf: Open,
    last_key: i64,
    leaves: Vec<Child>,
}

impl Tree {
    /// A tree with its root in the first page, as long as its rows fit there.
    pub(super) fn in_first_page(pages: &Pages) -> Self {
        let (header, pointer) = (FIRST, FIRST + LEAF_HEADER);
        let leaf = Open { start: 0, header, pointer, content: pages.size, cells: 0 };
        Self { leaf, last_key: 0, leaves: Vec::new() }
    }
}

impl Pages {
    pub(super) fn new(size: usize) -> Self {
        Self { bytes: Vec::new(), size, count: 0 }
    }

    pub(super) fn memory(&self) -> MemoryUse {
        MemoryUse { used: self.bytes().len() as u64, ..MemoryUse::of(&self.bytes) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count as u32
    }

    /// How many there are, as an index.
    pub(super) fn end(&self) -> usize {
        self.count
    }

    pub(super) fn page(&self, index: usize) -> &[u8] {
        self.bytes.get(index * self.size..(index + 1) * self.size).unwrap_or_default()
    }

    pub(super) fn page_mut(&mut self, index: usize) -> &mut [u8] {
        self.bytes.get_mut(index * self.size..(index + 1) * self.size).unwrap_or_default()
    }

    /// Starts over with an empty first page. The memory of the others is not cleared.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.add();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.count * self.size).unwrap_or_default()
    }

    pub(super) fn put_header(&mut self, header: &[u8; FIRST]) {
        self.bytes[..FIRST].copy_from_slice(header);
    }

    /// The longest record that stays in one piece: a bit less than the file format allows
    /// (<https://sqlite.org/fileformat2.html#b_tree_pages>), so that there is room to copy.
    fn payload_max(&self) -> usize {
        self.size - 35 - CHUNK
    }

    fn add(&mut self) -> usize {
        let start = self.count * self.size;
        self.count += 1;
        if self.bytes.len() < self.count * self.size {
            self.bytes.resize(self.count * self.size, 0);
        }
        start
    }

    fn open(&mut self) -> Open {
        let start = self.add();
        Open { start, header: 0, pointer: LEAF_HEADER, content: self.size, cells: 0 }
    }

    /// A tree without rows.
    pub(super) fn begin_tree(&mut self) -> Tree {
        Tree { leaf: self.open(), last_key: 0, leaves: Vec::new() }
    }

    /// Adds the row with the next key; `false` if it is too long for a page.
    #[inline(always)]
    pub(super) fn push(&mut self, tree: &mut Tree, cell: &Cell<'_>) -> bool {
        let length = cell.length();
        if cell.payload > self.payload_max() {
            return false;
        }
        if tree.leaf.content - tree.leaf.pointer < length + 2 + CHUNK {
            self.end_leaf(tree);
            tree.leaf = self.open();
        }
        let leaf = &mut tree.leaf;
        let page = &mut self.bytes[leaf.start..leaf.start + self.size];
        cell.copy(&mut page[..leaf.content]);
        leaf.content -= length;
        page[leaf.pointer..leaf.pointer + 2].copy_from_slice(&(leaf.content as u16).to_be_bytes());
        leaf.pointer += 2;
        leaf.cells += 1;
        tree.last_key = cell.rowid;
        true
    }

    /// The number of the root page.
    pub(super) fn end_tree(&mut self, mut tree: Tree) -> u32 {
        self.end_leaf(&mut tree);
        let mut level = tree.leaves;
        while level.len() > 1 {
            level = self.level_above(&level);
        }
        level.first().map_or(0, |root| root.page)
    }

    fn level_above(&mut self, mut level: &[Child]) -> Vec<Child> {
        let children_max = (self.size - INTERIOR_HEADER) / INTERIOR_CELL_MAX + 1;
        let mut above = Vec::new();
        while !level.is_empty() {
            let mut children = children_max.min(level.len());
            // A single child that is left over would have no sibling, and its page no cell, which is not
            // allowed.
            if level.len() == children + 1 {
                children -= 1;
            }
            let (first, rest) = level.split_at(children);
            above.push(self.interior(first));
            level = rest;
        }
        above
    }

    fn end_leaf(&mut self, tree: &mut Tree) {
        let leaf = &tree.leaf;
        self.write_header(leaf, LEAF);
        let page = (leaf.start / self.size + 1) as u32;
        tree.leaves.push(Child { page, key: tree.last_key });
    }

    fn interior(&mut self, children: &[Child]) -> Child {
        let mut open = self.open();
        open.pointer = INTERIOR_HEADER;
        let (mut page, mut key) = (0, 0);
        for (at, child) in children.iter().enumerate() {
            if at > 0 {
                self.push_child(&mut open, page, key);
            }
            (page, key) = (child.page, child.key);
        }
        // The last child has no key: all larger keys are below it.
        self.write_header(&open, INTERIOR);
        self.bytes[open.start + 8..open.start + 12].copy_from_slice(&page.to_be_bytes());
        Child { page: (open.start / self.size + 1) as u32, key }
    }

    fn push_child(&mut self, open: &mut Open, child: u32, key: i64) {
        let mut cell = [0; INTERIOR_CELL_MAX];
        cell[..4].copy_from_slice(&child.to_be_bytes());
        let length = 4 + usize::from(put_varint(&mut cell[4..], key as u64));
        open.content -= length;
        let page = &mut self.bytes[open.start..open.start + self.size];
        page[open.pointer..open.pointer + 2].copy_from_slice(&(open.content as u16).to_be_bytes());
        page[open.content..open.content + length].copy_from_slice(&cell[..length]);
        open.pointer += 2;
        open.cells += 1;
    }

    fn write_header(&mut self, open: &Open, kind: u8) {
        let at = open.start + open.header;
        let header = &mut self.bytes[at..at + LEAF_HEADER];
        header[0] = kind;
        header[1..3].fill(0);
        header[3..5].copy_from_slice(&(open.cells as u16).to_be_bytes());
        // Zero means 65,536: the content of an empty page of that size begins at its end.
        header[5..7].copy_from_slice(&(open.content as u16).to_be_bytes());
        header[7] = 0;
    }
}
