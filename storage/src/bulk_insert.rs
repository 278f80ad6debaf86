//! Large batches: SQLite copies the rows from an image that is made of the batch.
//!
//! `INSERT INTO main.span SELECT * FROM batch.span` is compiled to a loop that copies whole cells when
//! the tables agree: the same columns, types, NOT NULL, STRICT and defaults, no index on the target that
//! the source does not have, no trigger, no foreign key in force, and a conflict that ends the
//! transaction or the statement (`xferOptimization` in SQLite's `insert.c`). Whether SQLite does so is
//! checked when a store is opened. If it does not, for example because an index was added, all batches go
//! through statements; so does a batch that no image can be made of.
//!
//! The image can be changed only outside of a transaction. It is read-only, so that SQLite can use it in
//! place. For this reason transactions do not begin as IMMEDIATE, which would lock every attached
//! database.

use rusqlite::{Connection, Transaction};

use crate::batches::Ranges;
use crate::compat::deserialize;
use crate::insert_event;
use crate::insert_span;
use crate::memory::MemoryUse;
use crate::page_image::{PAGES_IN_CACHE, PageImage, Room, Rows};
use crate::record::{Batch, EntryRow, EventRow, SpanRow};

/// The name under which the image is attached.
const SCHEMA: &str = "batch";
/// With larger pages there are fewer of them to look up. SQLite allocates twenty at once for each image.
const PAGE_SIZE: usize = 32_768;
/// Batches with longer texts go through statements: an image takes memory twice.
const TEXT_BYTES_MAX: usize = 16 << 20;

const COPY_SPANS: &str = "INSERT OR ROLLBACK INTO main.span SELECT * FROM batch.span";
const COPY_EVENTS: &str = "INSERT OR ROLLBACK INTO main.event SELECT * FROM batch.event";
const COPY_ENTRIES: &str = "INSERT OR ROLLBACK INTO main.entry SELECT * FROM batch.entry";

#[derive(Debug)]
pub(crate) struct BulkInsert {
    image: PageImage,
    rows_min: usize,
    usable: bool,
    /// The size of the file's pages.
    page_size: usize,
}

/// The image of a batch, attached and ready to be copied.
#[derive(Debug)]
pub(crate) struct Loaded<'a> {
    spans: &'a Rows,
    events: &'a Rows,
    entries: &'a Rows,
    page_size: usize,
}

impl BulkInsert {
    /// Checks whether SQLite copies cells; if not, all batches go through statements.
    pub(crate) fn new(conn: &mut Connection, rows_min: usize) -> rusqlite::Result<Self> {
        let page_size = conn.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?;
        let page_size = page_size as usize;
        let image = PageImage::new(PAGE_SIZE);
        let mut bulk_insert = Self { image, rows_min, usable: true, page_size };
        conn.execute(&format!("ATTACH ':memory:' AS {SCHEMA}"), [])?;
        if !bulk_insert.would_copy(conn).unwrap_or(false) {
            bulk_insert.give_up(conn)?;
        }
        Ok(bulk_insert)
    }

    fn would_copy(&mut self, conn: &mut Connection) -> rusqlite::Result<bool> {
        let Some(image) = self.image.build_empty() else { return Ok(false) };
        deserialize(conn, SCHEMA, image)?;
        for (table, copy) in [("span", COPY_SPANS), ("event", COPY_EVENTS), ("entry", COPY_ENTRIES)]
        {
            if !same_columns(conn, table)? || !copies_cells(conn, copy)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes and attaches the image of a batch, outside of a transaction. `None` if the batch is to be
    /// inserted through statements, because that is cheaper, or because there can be no image.
    ///
    /// `has_others` says whether the file may have rows with larger ids, of runs beside this one.
    pub(crate) fn load(
        &mut self,
        conn: &mut Connection,
        batch: &Batch,
        (run_id, batch_id): (i64, i64),
        has_others: bool,
    ) -> Option<Loaded<'_>> {
        let rows = batch.spans.len() + batch.events.len() + batch.entries.len();
        let fits = batch.text.len() <= TEXT_BYTES_MAX && u32::try_from(rows).is_ok();
        if !self.usable || rows < self.rows_min.max(1) || !fits {
            return None;
        }
        let rooms = match has_others {
            true => self.rooms(conn, batch),
            false => [None; 2],
        };
        let image = self.image.build(batch, (run_id, batch_id), rooms)?;
        // Probably out of memory. Statements need less.
        deserialize(conn, SCHEMA, image).ok()?;
        let PageImage { spans, events, entries, .. } = &self.image;
        Some(Loaded { spans, events, entries, page_size: self.page_size })
    }

    /// Where in the file the spans and the events come, if that is not at the end.
    fn rooms(&self, conn: &Connection, batch: &Batch) -> [Option<Room>; 2] {
        let room = |table: &str, last: Option<u64>| -> Option<Room> {
            let last = last? as i64;
            let sql = format!(
                "SELECT coalesce((SELECT max(id) FROM main.{table} WHERE id < ?1), ?2)
                 WHERE EXISTS (SELECT 1 FROM main.{table} WHERE id > ?1)"
            );
            // If it cannot be read, it will not be written either.
            let above = conn.query_row(&sql, [last, i64::MIN], |row| row.get(0)).ok()?;
            Some(Room { above, page_size: self.page_size })
        };
        let Batch { spans, events, .. } = batch;
        [
            room("span", spans.iter().map(|span| span.id).max()),
            room("event", events.iter().map(|event| event.id).max()),
        ]
    }

    /// Memory for images: ours, SQLite's copy, and the pages that it keeps of that.
    pub(crate) fn memory(&self) -> MemoryUse {
        if !self.usable {
            return self.image.memory();
        }
        let kept = PAGE_SIZE * PAGES_IN_CACHE as usize;
        self.image.memory() + MemoryUse::whole(self.image.bytes() + kept)
    }

    /// From now on all batches go through statements.
    pub(crate) fn give_up(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        self.usable = false;
        // Statements read the schemas of all databases, so a fault of this one would affect them.
        conn.execute(&format!("DETACH {SCHEMA}"), [])?;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }
}

impl Loaded<'_> {
    /// Makes pages for spans that come between others, each with the last one of them.
    pub(crate) fn make_pages_of_spans(
        &self,
        tx: &Transaction<'_>,
        batch: &Batch,
        (run_id, batch_id): (i64, i64),
    ) -> rusqlite::Result<()> {
        let lasts = || self.spans.page_ends.iter().filter_map(|at| batch.spans.get(*at as usize));
        if lasts().next().is_none() {
            return Ok(());
        }
        let sql = "INSERT OR ROLLBACK INTO main.span (id, run_id, root_id, callsite_id, thread_id,
             start_ns, entries, status, fields)
           VALUES (?1, 0, 0, 0, 0, 0, 0, '', ?2)";
        fill_pages(tx, sql, lasts().map(|span| span.id), self.longest_text(19))?;
        let mut short = insert_span::Insert::new(tx, "REPLACE", run_id, Some(batch_id))?;
        lasts().try_for_each(|span| short.row(span, &batch.text))
    }

    /// The same for events.
    pub(crate) fn make_pages_of_events(
        &self,
        tx: &Transaction<'_>,
        batch: &Batch,
        (run_id, batch_id): (i64, i64),
    ) -> rusqlite::Result<()> {
        let lasts = || self.events.page_ends.iter().filter_map(|at| batch.events.get(*at as usize));
        if lasts().next().is_none() {
            return Ok(());
        }
        let sql = "INSERT OR ROLLBACK INTO main.event (id, run_id, callsite_id, thread_id, at_ns, message)
           VALUES (?1, 0, 0, 0, 0, ?2)";
        fill_pages(tx, sql, lasts().map(|event| event.id), self.longest_text(9))?;
        let mut short = insert_event::Insert::new(tx, "REPLACE", run_id, Some(batch_id))?;
        lasts().try_for_each(|event| short.row(event, &batch.text))
    }

    /// How long a text is in a record that fills a page, if there is nothing else in it.
    fn longest_text(&self, columns: usize) -> usize {
        // Each column has a type of one byte, the text of up to three; and the length of all that is said first.
        let payload_max = Room { above: 0, page_size: self.page_size }.payload_max();
        payload_max.saturating_sub(1 + columns + 2)
    }

    /// Copies the spans of the image into the file.
    pub(crate) fn copy_spans(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        copy(tx, COPY_SPANS, self.spans.copied)
    }

    /// Copies the events of the image into the file.
    pub(crate) fn copy_events(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        copy(tx, COPY_EVENTS, self.events.copied)
    }

    /// Copies the entries of the image into the file.
    pub(crate) fn copy_entries(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        copy(tx, COPY_ENTRIES, self.entries.copied)
    }

    /// Where the rows are: spans, events and entries.
    pub(crate) fn ranges(&self) -> [&Ranges; 3] {
        [self.spans, self.events, self.entries].map(|rows| &rows.ranges)
    }

    /// The spans that are not in the image.
    pub(crate) fn spans_left<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = &'b SpanRow> {
        self.spans.left.iter().filter_map(|at| batch.spans.get(*at as usize))
    }

    /// The events that are not in the image.
    pub(crate) fn events_left<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = &'b EventRow> {
        self.events.left.iter().filter_map(|at| batch.events.get(*at as usize))
    }

    /// The entries that are not in the image.
    pub(crate) fn entries_left<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = &'b EntryRow> {
        self.entries.left.iter().filter_map(|at| batch.entries.get(*at as usize))
    }
}

/// Inserts a row for each of these ids, with a text of that length.
fn fill_pages(
    tx: &Transaction<'_>,
    sql: &str,
    mut ids: impl Iterator<Item = u64>,
    length: usize,
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare(sql)?;
    insert.raw_bind_parameter(2, " ".repeat(length))?;
    ids.try_for_each(|id| {
        insert.raw_bind_parameter(1, id as i64)?;
        insert.raw_execute().map(drop)
    })
}

fn copy(tx: &Transaction<'_>, sql: &str, rows: usize) -> rusqlite::Result<()> {
    match tx.execute(sql, [])? {
        copied if copied == rows => Ok(()),
        copied => Err(rusqlite::Error::StatementChangedRows(copied)),
    }
}

fn same_columns(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let columns = |schema: &str| -> rusqlite::Result<Vec<String>> {
        conn.prepare("SELECT name FROM pragma_table_info(?1, ?2)")?
            .query_map([table, schema], |row| row.get(0))?
            .collect()
    };
    Ok(columns("main")? == columns(SCHEMA)?)
}

fn copies_cells(conn: &Connection, sql: &str) -> rusqlite::Result<bool> {
    let mut explain = conn.prepare(&format!("EXPLAIN {sql}"))?;
    let codes: Vec<String> = explain.query_map([], |row| row.get(1))?.collect::<Result<_, _>>()?;
    let has = |code: &str| codes.iter().any(|found| found == code);
    Ok(has("RowCell") && !has("Column") && !has("MakeRecord"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::reads_images;
    use crate::schema;

    fn file(extra: &str) -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        let tx = conn.transaction().unwrap();
        schema::create(&tx).unwrap();
        tx.execute_batch(extra).unwrap();
        tx.commit().unwrap();
        conn
    }

    /// If a newer SQLite did not copy cells any more, it would only be slower, and nobody would notice.
    #[test]
    fn sqlite_copies_cells_into_a_file_of_ours() {
        let mut conn = file("");
        assert_eq!(BulkInsert::new(&mut conn, 1).unwrap().is_usable(), reads_images());
    }

    #[test]
    fn sqlite_keeps_few_pages_of_an_image_beside_it() {
        if !reads_images() {
            return;
        }
        let mut conn = file("");
        let mut bulk_insert = BulkInsert::new(&mut conn, 1).unwrap();
        for _ in 0..2 {
            deserialize(&mut conn, SCHEMA, bulk_insert.image.build_empty().unwrap()).unwrap();
            conn.query_row("SELECT count(*) FROM batch.span", [], |_| Ok(())).unwrap();
            let sql = "PRAGMA batch.cache_size";
            let pages: u32 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(pages, PAGES_IN_CACHE);
        }
    }

    #[test]
    fn an_image_that_cannot_be_read_does_no_harm_once_it_is_given_up() {
        if !reads_images() {
            return;
        }
        let mut conn = file("");
        let mut bulk_insert = BulkInsert::new(&mut conn, 1).unwrap();
        let mut image = bulk_insert.image.build_empty().unwrap().to_vec();
        // Then the root of the table span is not a page of a table.
        image[PAGE_SIZE] = 0xFF;
        deserialize(&mut conn, SCHEMA, &image).unwrap();
        let tx = conn.transaction().unwrap();
        copy(&tx, COPY_SPANS, 0).unwrap_err();
        drop(tx);
        bulk_insert.give_up(&conn).unwrap();
        assert!(bulk_insert.load(&mut conn, &Batch::default(), (1, 1), false).is_none());
        let count = "SELECT count(*) FROM span";
        assert_eq!(conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }

    /// A table in which rows with the largest and the smallest ids are already.
    fn file_with_others(table: &str, columns: &str) -> Connection {
        let conn = file("");
        let sql = format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500)
             INSERT INTO main.{table} (id, {columns}) SELECT n, {0} FROM n
             UNION ALL SELECT n + (1 << 40), {0} FROM n",
            columns
                .split(',')
                .map(|name| if name.contains("status") { "'ok'" } else { "7" })
                .collect::<Vec<_>>()
                .join(", ")
        );
        conn.execute_batch(&sql).unwrap();
        conn
    }

    /// How many rows each leaf has, in the order of ids.
    fn leaves(conn: &Connection, table: &str) -> Option<Vec<i64>> {
        // It is not in every SQLite.
        let sql = "SELECT ncell FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path";
        let mut select = conn.prepare(sql).ok()?;
        let leaves = select.query_map([table], |row| row.get(0)).unwrap();
        Some(leaves.collect::<rusqlite::Result<_>>().unwrap())
    }

    /// How many rows are to be in each page, if these are the last ones of them.
    fn planned(ends: &[u32]) -> Vec<i64> {
        let begins = [0].into_iter().chain(ends.iter().map(|end| end + 1));
        ends.iter().zip(begins).map(|(end, begin)| i64::from(end + 1 - begin)).collect()
    }

    #[test]
    fn rows_between_others_fill_pages_that_are_made_for_them() {
        if !reads_images() {
            return;
        }
        let text = "x".repeat(30_000);
        // Short ones, and some that are longer than a page.
        let length = |n: u64| if n % 700 == 77 { 30_000 } else { n as usize % 50 };
        let spans = |n: u64| SpanRow {
            id: 10_000 + 2 * n,
            root_id: 10_000,
            status: crate::Status::Ok,
            fields: 0..length(n),
            ..SpanRow::default()
        };
        let events = |n: u64| EventRow {
            id: 10_000 + 2 * n,
            span_id: 0,
            callsite_id: 1,
            thread_id: 1,
            at_ns: 1,
            message: 0..length(n),
            fields: 0..0,
        };
        let batch = Batch {
            spans: (0..3_000).map(spans).collect(),
            events: (0..3_000).map(events).collect(),
            text,
            ..Batch::default()
        };
        let columns = "run_id, root_id, callsite_id, thread_id, start_ns, entries, status";
        let mut conn = file_with_others("span", columns);
        let mut bulk_insert = BulkInsert::new(&mut conn, 1).unwrap();
        let loaded = bulk_insert.load(&mut conn, &batch, (1, 1), true).unwrap();
        // They are at the end of their table.
        assert!(loaded.events.page_ends.is_empty());
        let tx = conn.transaction().unwrap();
        loaded.make_pages_of_spans(&tx, &batch, (1, 1)).unwrap();
        loaded.copy_spans(&tx).unwrap();
        tx.commit().unwrap();
        let expected = planned(&loaded.spans.page_ends);
        assert!(expected.len() > 20, "{expected:?}");
        assert_eq!(expected.iter().sum::<i64>(), 3_000);
        if let Some(leaves) = leaves(&conn, "span") {
            assert!(leaves.windows(expected.len()).any(|some| some == expected), "{leaves:?}");
        }

        let mut conn = file_with_others("event", "run_id, callsite_id, thread_id, at_ns");
        let mut bulk_insert = BulkInsert::new(&mut conn, 1).unwrap();
        let loaded = bulk_insert.load(&mut conn, &batch, (1, 1), true).unwrap();
        assert!(loaded.spans.page_ends.is_empty());
        let tx = conn.transaction().unwrap();
        loaded.make_pages_of_events(&tx, &batch, (1, 1)).unwrap();
        loaded.copy_events(&tx).unwrap();
        tx.commit().unwrap();
        let expected = planned(&loaded.events.page_ends);
        assert!(expected.len() > 10, "{expected:?}");
        if let Some(leaves) = leaves(&conn, "event") {
            assert!(leaves.windows(expected.len()).any(|some| some == expected), "{leaves:?}");
        }
        // Of a run that is the only one nobody asks where its rows come.
        let loaded = bulk_insert.load(&mut conn, &batch, (1, 2), false).unwrap();
        assert!(loaded.events.page_ends.is_empty());
    }

    #[test]
    fn tables_that_are_not_as_we_made_them_get_their_rows_through_statements() {
        for change in [
            "CREATE INDEX theirs ON span (start_ns)",
            "CREATE INDEX theirs ON event (at_ns)",
            "CREATE INDEX theirs ON entry (start_ns)",
            "ALTER TABLE entry ADD COLUMN theirs TEXT",
            "ALTER TABLE span ADD COLUMN theirs TEXT",
            "DROP VIEW events; ALTER TABLE event RENAME COLUMN message TO theirs",
            "CREATE TRIGGER theirs AFTER INSERT ON span BEGIN DELETE FROM mark; END",
        ] {
            let mut conn = file(change);
            assert!(!BulkInsert::new(&mut conn, 1).unwrap().is_usable(), "{change}");
            conn.execute("SELECT * FROM batch.span", []).unwrap_err();
        }
    }
}
