//! The leaves of the tree of a table, in the order of ids: <https://sqlite.org/fileformat2.html#b_tree_pages>.
//!
//! A recording appends its leaves side by side, so several are read at once if the next one is near. Malformed trees
//! give `None`.

use super::record::{BEHIND, Record, take_varint};
use crate::id_range::Range;
use spandrel_storage::internals::Pages;

/// There are no deeper trees: a page has at least four children.
const DEPTH_MAX: usize = 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 128 << 10;
/// The first byte of a page: its kind.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Bytes before the cells of either.
const INTERIOR_HEADER: usize = 12;
const LEAF_HEADER: usize = 8;
/// There are no longer rows; SQLite refuses them, too.
const PAYLOAD_MAX: u64 = 4 << 20;

/// A cursor over the leaves of a table.
pub(super) struct Leaves<'a> {
    pages: &'a Pages<'a>,
    root: u32,
    /// From the root down: pages, and the current child of each.
    path: Vec<Interior>,
    depth: usize,
    window: Window,
    /// A cache of pages by the low bits of their numbers, with a fixed number of slots.
    kept: Vec<Option<(u32, Vec<u8>)>>,
}

struct Interior {
    page: Vec<u8>,
    cells: usize,
    at: usize,
}

/// Slots of the cache, for random look-ups.
const CACHED_MAX: usize = 64;

/// Neighbouring pages.
struct Window {
    bytes: Vec<u8>,
    first: u32,
    count: u32,
    /// The last page that was asked for.
    last: u32,
}

/// A cell of a leaf.
pub(super) struct Cell<'a> {
    pub(super) id: i64,
    /// Its record, or the part of it that is on the page.
    pub(super) record: Record<'a>,
    /// If it continues elsewhere: its length, and the first overflow page.
    more: Option<(usize, u32)>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(pages: &'a Pages<'a>, root: u32) -> Self {
        let window = Window { bytes: Vec::new(), first: 0, count: 0, last: 0 };
        Self { pages, root, path: Vec::new(), depth: 0, window, kept: Vec::new() }
    }

    /// With a cache of pages, for random look-ups.
    pub(super) fn keeping_pages(mut self) -> Self {
        self.kept.resize(CACHED_MAX, None);
        self
    }

    /// The leaf that contains a row, if there is one, by cached pages.
    pub(super) fn find(&mut self, id: i64) -> Option<Leaf<'_>> {
        let size = self.pages.page_size();
        let mut page = self.root;
        for _ in 0..DEPTH_MAX {
            let at = page as usize % CACHED_MAX;
            let kept = self.kept.get_mut(at)?;
            if kept.as_ref().is_none_or(|(known, _)| *known != page) {
                let mut bytes = kept.take().map(|(_, bytes)| bytes).unwrap_or_default();
                bytes.resize(size + BEHIND, 0);
                let read = self.pages.read(page, bytes.get_mut(..size)?).ok()?;
                *kept = (read == 1).then_some((page, bytes));
            }
            let (_, bytes) = kept.as_ref()?;
            let cells = usize::from(u16_at(bytes, 3)?);
            match *bytes.first()? {
                LEAF => {
                    let (_, bytes) = self.kept.get(at)?.as_ref()?;
                    let usable_size = self.pages.usable_size();
                    return Some(Leaf {
                        page: bytes.get(..size)?,
                        with_more: bytes,
                        cells,
                        usable_size,
                    });
                }
                INTERIOR => {}
                _ => return None,
            }
            page = child_with(bytes.get(..size)?, cells, id)?;
        }
        None
    }

    /// Goes to the leaf with the first id after this one, if there is any.
    pub(super) fn seek(&mut self, after: i64) -> Option<()> {
        self.depth = 0;
        self.descend(self.root, |interior| interior.first_above(after))
    }

    /// Goes to the next leaf. Says whether there is one.
    pub(super) fn next(&mut self) -> Option<bool> {
        while let Some(top) = self.depth.checked_sub(1) {
            let interior = self.path.get_mut(top)?;
            if interior.at < interior.cells {
                interior.at += 1;
                let child = interior.child()?;
                self.descend(child, |_| Some(0))?;
                return Some(true);
            }
            self.depth = top;
        }
        Some(false)
    }

    /// From a page down to a leaf.
    fn descend(
        &mut self,
        from: u32,
        mut choose: impl FnMut(&Interior) -> Option<usize>,
    ) -> Option<()> {
        let mut page = from;
        while self.depth < DEPTH_MAX {
            let bytes = self.window.get(self.pages, page)?;
            match *bytes.first()? {
                LEAF => return Some(()),
                INTERIOR => {}
                _ => return None,
            }
            if self.path.len() <= self.depth {
                self.path.push(Interior { page: Vec::new(), cells: 0, at: 0 });
            }
            let interior = self.path.get_mut(self.depth)?;
            interior.page.clear();
            interior.page.extend_from_slice(bytes);
            interior.cells = usize::from(u16_at(bytes, 3)?);
            interior.at = choose(interior)?;
            page = interior.child()?;
            self.depth += 1;
        }
        None
    }

    /// Cuts a range into parts of `leaves` leaves; the last one may have fewer.
    pub(super) fn parts(&mut self, range: Range, leaves: usize) -> Option<Vec<Range>> {
        let (mut parts, mut left, mut after) = (Vec::new(), leaves, range.after);
        self.seek(range.after)?;
        let mut known = range.after;
        while let Some(interior) = self.depth.checked_sub(1).and_then(|at| self.path.get(at)) {
            // Each has at least two children, so a circle of pages ends.
            if interior.cells == 0 {
                return None;
            }
            let mut end = interior.at;
            while end < interior.cells {
                let key = interior.key(end).filter(|key| *key > known)?;
                known = key;
                end += 1;
                left = left.saturating_sub(1);
                if key >= range.last {
                    break;
                }
                if left == 0 {
                    parts.push(Range { after, last: key });
                    (left, after) = (leaves, key);
                }
            }
            // The key of a page's last leaf is further up, so that leaf is counted with the next ones.
            if known >= range.last || !self.next_interior()? {
                break;
            }
        }
        parts.push(Range { after, last: range.last });
        Some(parts)
    }

    /// Goes to the first leaf under the next page above leaves. Says whether there is one.
    fn next_interior(&mut self) -> Option<bool> {
        if let Some(lowest) = self.depth.checked_sub(1).and_then(|at| self.path.get_mut(at)) {
            lowest.at = lowest.cells;
        }
        self.next()
    }

    /// The current leaf.
    pub(super) fn leaf(&self) -> Option<Leaf<'_>> {
        let size = self.pages.page_size();
        let (page, with_more) =
            (self.window.last_page(size)?, self.window.last_page_and_more(size)?);
        let cells = usize::from(u16_at(page, 3)?);
        Some(Leaf { page, with_more, cells, usable_size: self.pages.usable_size() })
    }
}

impl Cell<'_> {
    /// Whether it continues on overflow pages.
    pub(super) fn is_cut(&self) -> bool {
        self.more.is_some()
    }

    /// The whole record of a cell that continues.
    pub(super) fn whole<'b>(
        &self,
        pages: &Pages<'_>,
        buffer: &'b mut Vec<u8>,
    ) -> Option<Record<'b>> {
        let (length, mut next) = self.more?;
        buffer.clear();
        buffer.extend_from_slice(self.record.bytes());
        let mut page = vec![0; pages.page_size()];
        while buffer.len() < length {
            if next == 0 || pages.read(next, &mut page).ok()? != 1 {
                return None;
            }
            next = u32_at(&page, 0)?;
            let rest = (length - buffer.len()).min(pages.usable_size().checked_sub(4)?);
            buffer.extend_from_slice(page.get(4..4 + rest)?);
        }
        buffer.resize(length + BEHIND, 0);
        Record::at_start_of(buffer, length)
    }
}

/// The child of a page above leaves in which a row is, if it is anywhere.
fn child_with(page: &[u8], cells: usize, id: i64) -> Option<u32> {
    let cell = |at: usize| u16_at(page, INTERIOR_HEADER + 2 * at).map(usize::from);
    let (mut low, mut high) = (0, cells);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut key = page.get(cell(middle)? + 4..)?;
        if take_varint(&mut key)? as i64 >= id { high = middle } else { low = middle + 1 }
    }
    u32_at(page, if low < cells { cell(low)? } else { 8 })
}

impl Interior {
    /// The page of the current child.
    fn child(&self) -> Option<u32> {
        if self.at >= self.cells {
            return u32_at(&self.page, 8);
        }
        u32_at(&self.page, self.cell(self.at)?)
    }

    fn cell(&self, at: usize) -> Option<usize> {
        Some(usize::from(u16_at(&self.page, INTERIOR_HEADER + 2 * at)?))
    }

    /// The largest id under a child that is not the last one.
    fn key(&self, at: usize) -> Option<i64> {
        let mut bytes = self.page.get(self.cell(at)? + 4..)?;
        Some(take_varint(&mut bytes)? as i64)
    }

    /// The first child with ids above this one.
    fn first_above(&self, id: i64) -> Option<usize> {
        let (mut low, mut high) = (0, self.cells);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle)? > id { high = middle } else { low = middle + 1 }
        }
        Some(low)
    }
}

/// A leaf.
pub(super) struct Leaf<'a> {
    page: &'a [u8],
    /// The page and the bytes after it.
    with_more: &'a [u8],
    pub(super) cells: usize,
    usable_size: usize,
}

impl<'a> Leaf<'a> {
    /// The first cell with an id above this one.
    pub(super) fn first_above(&self, id: i64) -> Option<usize> {
        let (mut low, mut high) = (0, self.cells);
        // This is so for each leaf that follows another one.
        if high > 0 && self.cell(0)?.id > id {
            return Some(0);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.cell(middle)?.id > id { high = middle } else { low = middle + 1 }
        }
        Some(low)
    }

    #[inline]
    pub(super) fn cell(&self, at: usize) -> Option<Cell<'a>> {
        let start = usize::from(u16_at(self.page, LEAF_HEADER + 2 * at)?);
        // The length and id of a row are within the page, whatever comes after it.
        let mut rest = self.with_more.get(start..)?;
        let payload = take_varint(&mut rest)?;
        let id = take_varint(&mut rest)? as i64;
        if payload > PAYLOAD_MAX {
            return None;
        }
        let length = payload as usize;
        let local = local_bytes(length, self.usable_size);
        let more = match length - local {
            0 => None,
            _ => Some((length, u32_at(rest, local)?)),
        };
        let end = self.with_more.len() - rest.len() + local + if more.is_some() { 4 } else { 0 };
        let record = Record::at_start_of(rest, local).filter(|_| end <= self.page.len())?;
        Some(Cell { id, record, more })
    }
}

/// How much of a record of this length is on the page of its row.
#[inline]
fn local_bytes(length: usize, usable_size: usize) -> usize {
    let most = usable_size - 35;
    if length <= most {
        return length;
    }
    let least = (usable_size - 12) * 32 / 255 - 23;
    let local = least + (length - least) % (usable_size - 4);
    if local <= most { local } else { least }
}

impl Window {
    /// A page.
    fn get(&mut self, pages: &Pages<'_>, page: u32) -> Option<&[u8]> {
        let size = pages.page_size();
        if page.checked_sub(self.first).is_none_or(|at| at >= self.count) {
            // Following pages are read ahead only if leaves are side by side.
            let most = (READ_BYTES / size).max(1) as u32;
            let is_near = page > self.last && page - self.last <= most;
            let wanted = if is_near { most as usize } else { 1 };
            self.bytes.resize(wanted * size + BEHIND, 0);
            self.count = 0;
            let into = self.bytes.get_mut(..wanted * size)?;
            let read = pages.read(page, into).ok().filter(|read| *read > 0)?;
            (self.first, self.count) = (page, u32::try_from(read).ok()?);
        }
        self.last = page;
        self.last_page(size)
    }

    fn last_page(&self, size: usize) -> Option<&[u8]> {
        self.last_page_and_more(size)?.get(..size)
    }

    /// The page and at least [`BEHIND`] further bytes.
    fn last_page_and_more(&self, size: usize) -> Option<&[u8]> {
        let at = self.last.checked_sub(self.first).filter(|at| *at < self.count)? as usize * size;
        self.bytes.get(at..)
    }
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
