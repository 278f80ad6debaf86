//! A batch as a SQLite database in memory.
//!
//! Inserting a row through a statement costs SQLite some 4,500 instructions: it takes thirteen
//! parameters, checks their types and puts a record together. Copying the row from another table
//! with the same columns costs a third of that, since the record is copied as it is. So the batch is
//! written down as that other table, in SQLite's [file format], for SQLite to read.
//!
//! ```text
//!  page 1            page 2       page 3       page 4            page 5
//! +----------------+------------+------------+-----------------+-------------+
//! | header, tables | span: leaf | span: leaf | span: interior  | event: leaf |
//! +----------------+------------+------------+-----------------+-------------+
//!        |                                     ^ root of span    ^ root of event
//!        +-------------------------------------+-----------------+
//! ```
//!
//! The table `entry` comes behind `event` in the same way.
//!
//! An image is made by this process for itself, of rows that were checked. Texts that do not fit
//! into a page would take chains of pages; rows with such texts are left out, and named.
//!
//! [file format]: https://sqlite.org/fileformat2.html

mod page;
mod record;
mod room;
mod schema;

pub(crate) use self::room::Room;
pub(crate) use self::schema::PAGES_IN_CACHE;

use std::ops::Range;

use self::page::{Pages, Tree};
use self::record::Encoder;
use crate::batches::Ranges;
use crate::memory::MemoryUse;
use crate::record::{Batch, EntryRow, EventRow, SpanRow};

/// A database in memory with those of the tables `span`, `event` and `entry` that have rows.
#[derive(Debug)]
pub(crate) struct PageImage {
    pages: Pages,
    encoder: Encoder,
    /// Keys and indexes of rows that are not in order.
    order: Vec<u128>,
    pub(crate) spans: Rows,
    pub(crate) events: Rows,
    pub(crate) entries: Rows,
}

/// What was done with the rows of a table.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// How many are in the image.
    pub(crate) copied: usize,
    /// Indexes in the batch of those that are not.
    pub(crate) left: Vec<u32>,
    /// The same of rows that are not because each is to be the last one of a page of the file.
    pub(crate) page_ends: Vec<u32>,
    /// The ranges of all of them.
    pub(crate) ranges: Ranges,
}

impl PageImage {
    /// `page_size` is a power of two from 2,048 to 65,536.
    pub(crate) fn new(page_size: usize) -> Self {
        Self {
            pages: Pages::new(page_size),
            encoder: Encoder::new(),
            order: Vec::new(),
            spans: Rows::default(),
            events: Rows::default(),
            entries: Rows::default(),
        }
    }

    /// The image of a batch whose rows have their texts in it, for this commit; `None` if it cannot be
    /// made. `rooms` are of spans and events that come between others in the file.
    pub(crate) fn build(
        &mut self,
        batch: &Batch,
        (run_id, batch_id): (i64, i64),
        rooms: [Option<Room>; 2],
    ) -> Option<&[u8]> {
        self.encoder.set_batch(batch_id);
        self.pages.clear();
        self.spans.clear();
        self.events.clear();
        self.entries.clear();
        let spans = (!batch.spans.is_empty()).then(|| self.add_spans(batch, run_id, rooms[0]));
        let events = (!batch.events.is_empty()).then(|| self.add_events(batch, run_id, rooms[1]));
        let entries = (!batch.entries.is_empty()).then(|| self.add_entries(batch, run_id));
        self.end([spans, events, entries])
    }

    /// Memory for the image, and for making it.
    pub(crate) fn memory(&self) -> MemoryUse {
        self.pages.memory() + MemoryUse::of(&self.order)
    }

    /// Bytes of the image that was built last.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.bytes().len()
    }

    /// An image of all tables, without rows.
    pub(crate) fn build_empty(&mut self) -> Option<&[u8]> {
        self.pages.clear();
        let spans = self.add_spans(&Batch::default(), 0, None);
        let events = self.add_events(&Batch::default(), 0, None);
        let entries = self.add_entries(&Batch::default(), 0);
        self.end([spans, events, entries].map(Some))
    }

    /// Returns the number of the root page.
    fn add_spans(&mut self, batch: &Batch, run_id: i64, room: Option<Room>) -> u32 {
        let Self { pages, encoder, order, spans, .. } = self;
        let first = pages.end();
        let mut tree = pages.begin_tree();
        let is_sorted = in_order(
            &batch.spans,
            order,
            |span| span.id as i64,
            |at, span: &SpanRow| {
                let cell = encoder.span(span, run_id, &batch.text);
                spans.note(pages.push(&mut tree, &cell), at);
            },
        );
        match is_sorted {
            true => spans.ranges.of_spans(batch.spans.iter()),
            false => spans.ranges.of_spans(rows_in(order, &batch.spans)),
        }
        let leaves = first..pages.end();
        let root = pages.end_tree(tree);
        if let Some(room) = room {
            let order = (!is_sorted).then_some(&**order);
            spans.make_room(pages, leaves, room, |id| {
                index_of(id, &batch.spans, order, |row| row.id)
            });
        }
        root
    }

    fn add_events(&mut self, batch: &Batch, run_id: i64, room: Option<Room>) -> u32 {
        let Self { pages, encoder, order, events, .. } = self;
        let first = pages.end();
        let mut tree = pages.begin_tree();
        let is_sorted = in_order(
            &batch.events,
            order,
            |event| event.id as i64,
            |at, event: &EventRow| {
                let cell = encoder.event(event, run_id, &batch.text);
                events.note(pages.push(&mut tree, &cell), at);
            },
        );
        match is_sorted {
            true => events.ranges.of_events(batch.events.iter()),
            false => events.ranges.of_events(rows_in(order, &batch.events)),
        }
        let leaves = first..pages.end();
        let root = pages.end_tree(tree);
        if let Some(room) = room {
            let order = (!is_sorted).then_some(&**order);
            events.make_room(pages, leaves, room, |id| {
                index_of(id, &batch.events, order, |row| row.id)
            });
        }
        root
    }

    fn add_entries(&mut self, batch: &Batch, run_id: i64) -> u32 {
        let Self { pages, encoder, order, entries, .. } = self;
        let mut tree = pages.begin_tree();
        let is_sorted = in_order(
            &batch.entries,
            order,
            |entry| entry.id as i64,
            |at, entry: &EntryRow| {
                let cell = encoder.entry(entry, run_id);
                entries.note(pages.push(&mut tree, &cell), at);
            },
        );
        match is_sorted {
            true => entries.ranges.of_entries(batch.entries.iter()),
            false => entries.ranges.of_entries(rows_in(order, &batch.entries)),
        }
        pages.end_tree(tree)
    }

    /// Writes the first page, which contains the root pages of the tables: of spans, events and entries.
    fn end(&mut self, roots: [Option<u32>; 3]) -> Option<&[u8]> {
        let Self { pages, encoder, .. } = self;
        let mut tables = Tree::in_first_page(pages);
        let mut fits = true;
        let [spans, events, entries] = roots;
        for (rowid, name, root, sql) in [
            (1, "span", spans, &*schema::SPAN),
            (2, "event", events, &*schema::EVENT),
            (3, "entry", entries, &*schema::ENTRY),
        ] {
            if let Some(root) = root {
                fits &= pages.push(&mut tables, &encoder.table(rowid, name, root, sql));
            }
        }
        fits &= pages.end_tree(tables) == 1;
        pages.put_header(&schema::header(pages.size(), pages.count()));
        fits.then(|| pages.bytes())
    }
}

impl Rows {
    fn clear(&mut self) {
        self.copied = 0;
        self.left.clear();
        self.page_ends.clear();
        self.ranges.clear();
    }

    /// Takes the rows out of these pages with which pages of the file are to end.
    #[cold]
    fn make_room(
        &mut self,
        pages: &mut Pages,
        leaves: Range<usize>,
        room: Room,
        index_of: impl Fn(i64) -> Option<u32>,
    ) {
        let mut ends = room::page_ends(pages, leaves, room);
        // Each of them is in the batch.
        ends.retain(|end| match index_of(end.rowid) {
            Some(at) => {
                self.page_ends.push(at);
                true
            }
            None => false,
        });
        room::take_out(pages, &ends);
        self.copied -= ends.len();
    }

    #[inline]
    fn note(&mut self, fits: bool, at: u32) {
        if fits {
            self.copied += 1;
        } else {
            self.left.push(at);
        }
    }
}

/// Finds the order of the rows by their keys. Sorts only keys and indexes, each pair as one number: rows
/// are large, and numbers are compared without a branch. Returns whether the rows were in order already.
#[inline]
fn in_order<T>(
    rows: &[T],
    order: &mut Vec<u128>,
    key: impl Fn(&T) -> i64,
    mut each: impl FnMut(u32, &T),
) -> bool {
    if rows.is_sorted_by_key(&key) {
        rows.iter().enumerate().for_each(|(at, row)| each(at as u32, row));
        return true;
    }
    order.clear();
    order.extend(rows.iter().enumerate().map(|(at, row)| {
        // With the sign inverted, negative keys come first.
        let key = key(row) ^ i64::MIN;
        u128::from(key as u64) << 32 | at as u128
    }));
    sort_nearly_sorted(order);
    for key in &*order {
        let at = *key as u32;
        if let Some(row) = rows.get(at as usize) {
            each(at, row);
        }
    }
    false
}

/// Sorts keys that are mostly near their final positions: spans come as they close, so children come
/// before their parents.
fn sort_nearly_sorted(keys: &mut [u128]) {
    // Fewer steps than sorting keys in random order takes.
    let mut steps = 8 * keys.len();
    for at in 1..keys.len() {
        let key = keys[at];
        let mut to = at;
        while to > 0 && keys[to - 1] > key && steps > 0 {
            keys[to] = keys[to - 1];
            to -= 1;
            steps -= 1;
        }
        keys[to] = key;
        if steps == 0 {
            return keys.sort_unstable();
        }
    }
}

/// Where the row with this id is, which may be in the order that was found last.
fn index_of<T>(
    id: i64,
    rows: &[T],
    order: Option<&[u128]>,
    key: impl Fn(&T) -> u64,
) -> Option<u32> {
    let Some(order) = order else {
        return rows.binary_search_by_key(&id, |row| key(row) as i64).ok().map(|at| at as u32);
    };
    let key = u128::from((id ^ i64::MIN) as u64);
    let at = order.binary_search_by_key(&key, |key| key >> 32).ok()?;
    order.get(at).map(|key| *key as u32)
}

/// The rows in the order that was found last.
fn rows_in<'a, T>(order: &'a [u128], rows: &'a [T]) -> impl Iterator<Item = &'a T> {
    order.iter().filter_map(|key| rows.get(*key as u32 as usize))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::compat::{deserialize, reads_images};

    fn batch(rows: u64) -> Batch {
        let text = "{\"a\":1}".repeat(40);
        let span = |n: u64| SpanRow {
            // Inverts the last bits: not in order.
            id: n ^ 7,
            parent_id: n / 2,
            root_id: n,
            callsite_id: -(n as i64),
            thread_id: 1 << (n % 63),
            start_ns: -(1 << (n % 63)),
            duration_ns: (!n.is_multiple_of(3)).then_some(n as i64),
            busy_ns: Some(i64::MIN + n as i64),
            self_ns: None,
            self_busy_ns: n.is_multiple_of(13).then_some(1 << (n % 59)),
            entries: u64::from(n.is_multiple_of(2)),
            // None, one word, or more than a word.
            first_entry_ns: (!n.is_multiple_of(5)).then_some(1 << (n % 63)),
            longest_entry_ns: n.is_multiple_of(7).then_some(1 << (n % 61)),
            longest_thread_id: if n.is_multiple_of(11) { n as i64 } else { 0 },
            status: crate::Status::Ok,
            fields: 0..(n as usize * 8 % text.len()),
            ..SpanRow::default()
        };
        let entry = |n: u64| EntryRow {
            id: n ^ 5,
            span_id: 1 << (n % 63),
            callsite_id: 3,
            thread_id: n as i64,
            start_ns: -(1 << (n % 63)),
            duration_ns: (1 << (n % 61)) - 1,
            around_id: if n.is_multiple_of(3) { 0 } else { n },
            self_ns: (!n.is_multiple_of(5)).then_some(n as i64),
            earlier_entries: if n.is_multiple_of(7) { n } else { 0 },
            earlier_ns: i64::MIN + n as i64,
        };
        Batch {
            spans: (1..=rows).map(span).collect(),
            entries: (1..=rows).map(entry).collect(),
            text,
            ..Batch::default()
        }
    }

    fn open(image: &[u8]) -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        deserialize(&mut conn, "main", image).unwrap();
        conn
    }

    #[test]
    fn sqlite_finds_images_of_all_depths_sound() {
        if !reads_images() {
            return;
        }
        for page_size in [2_048, 4_096, 65_536] {
            for rows in [0, 1, 2, 30, 500, 20_000] {
                let mut image = PageImage::new(page_size);
                let batch = batch(rows);
                let conn = open(image.build(&batch, (1, 7), [None; 2]).unwrap());
                let verdict: String =
                    conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(verdict, "ok", "{rows} rows in pages of {page_size}");
                if rows == 0 {
                    continue;
                }
                let sql = "SELECT count(*), sum(entries), min(id), max(root_id) FROM span";
                let found: [i64; 4] = conn
                    .query_row(sql, [], |row| {
                        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
                    })
                    .unwrap();
                let first = batch.spans.iter().map(|span| span.id).min().unwrap();
                assert_eq!(found.map(|number| number as u64), [rows, rows / 2, first, rows]);
                assert_eq!((image.spans.copied as u64, image.spans.left.len()), (rows, 0));
                let sql = "SELECT count(*), count(around_id), count(self_ns)
                    FROM entry WHERE batch_id = 7 AND earlier_ns IS NULL = (earlier_entries IS NULL)";
                let found: [i64; 3] = conn
                    .query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
                    .unwrap();
                let counted = |not: u64| (rows - rows / not) as i64;
                assert_eq!(found, [rows as i64, counted(3), counted(5)]);
                assert_eq!((image.entries.copied as u64, image.entries.left.len()), (rows, 0));
            }
        }
    }

    #[test]
    fn keys_are_sorted_however_far_they_are_from_where_they_belong() {
        let sorted: Vec<u128> = (0..1_000).map(|key| key << 32 | 7).collect();
        for distance in [1, 2, 3, 8, 9, 40, 500, 1_000] {
            for turned in [true, false] {
                let mut keys = sorted.clone();
                keys.chunks_mut(distance).for_each(|some| match turned {
                    true => some.reverse(),
                    false => some.rotate_left(1),
                });
                sort_nearly_sorted(&mut keys);
                assert_eq!(keys, sorted, "{distance}");
            }
        }
        sort_nearly_sorted(&mut []);
    }

    #[test]
    fn an_image_is_found_by_key_through_all_levels() {
        if !reads_images() {
            return;
        }
        let mut image = PageImage::new(2_048);
        let batch = batch(20_000);
        let conn = open(image.build(&batch, (1, 7), [None; 2]).unwrap());
        let mut find = conn.prepare("SELECT root_id FROM span WHERE id = ?1").unwrap();
        for span in &batch.spans {
            let root: i64 = find.query_row([span.id as i64], |row| row.get(0)).unwrap();
            assert_eq!(root as u64, span.root_id);
        }
        let mut find = conn.prepare("SELECT span_id, thread_id FROM entry WHERE id = ?1").unwrap();
        for entry in &batch.entries {
            let found: (i64, i64) =
                find.query_row([entry.id as i64], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(found, (entry.span_id as i64, entry.thread_id));
        }
    }

    #[test]
    fn no_page_has_a_single_child() {
        if !reads_images() {
            return;
        }
        // A row in each leaf, and at most 136 children in a page of 2,048 bytes.
        for rows in [135, 136, 137, 138, 272, 273, 136 * 136 + 1] {
            let mut image = PageImage::new(2_048);
            let mut batch = batch(rows);
            batch.text = "x".repeat(1_800);
            batch.spans.iter_mut().for_each(|span| span.fields = 0..1_800);
            let conn = open(image.build(&batch, (1, 7), [None; 2]).unwrap());
            let sql = "SELECT count(*) FROM span WHERE length(fields) = 1800";
            let found: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found as u64, rows);
        }
    }

    #[test]
    fn rows_that_are_too_long_for_a_page_are_named() {
        let mut image = PageImage::new(2_048);
        let mut batch = batch(100);
        batch.text = "x".repeat(70_000);
        batch.spans[3].fields = 0..70_000;
        batch.spans[50].fields = 0..2_048;
        assert!(image.build(&batch, (1, 7), [None; 2]).is_some());
        assert_eq!((image.spans.copied, &*image.spans.left), (98, &[3, 50][..]));
        // The next image does not remember them.
        assert!(image.build(&Batch::default(), (1, 7), [None; 2]).is_some());
        batch.spans.truncate(1);
        assert!(image.build(&batch, (1, 7), [None; 2]).is_some());
        assert_eq!((image.spans.copied, image.spans.left.len()), (1, 0));
    }
}
