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
use crate::memory::MemoryUse;
use crate::page_image::{PAGES_IN_CACHE, PageImage, Rows};
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
}

/// The image of a batch, attached and ready to be copied.
#[derive(Debug)]
pub(crate) struct Loaded<'a> {
    spans: &'a Rows,
    events: &'a Rows,
    entries: &'a Rows,
}

impl BulkInsert {
    /// Checks whether SQLite copies cells; if not, all batches go through statements.
    pub(crate) fn new(conn: &mut Connection, rows_min: usize) -> rusqlite::Result<Self> {
        let mut bulk_insert = Self { image: PageImage::new(PAGE_SIZE), rows_min, usable: true };
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
    pub(crate) fn load(
        &mut self,
        conn: &mut Connection,
        batch: &Batch,
        run_id: i64,
        batch_id: i64,
    ) -> Option<Loaded<'_>> {
        let rows = batch.spans.len() + batch.events.len() + batch.entries.len();
        let fits = batch.text.len() <= TEXT_BYTES_MAX && u32::try_from(rows).is_ok();
        if !self.usable || rows < self.rows_min.max(1) || !fits {
            return None;
        }
        let image = self.image.build(batch, run_id, batch_id)?;
        // Probably out of memory. Statements need less.
        deserialize(conn, SCHEMA, image).ok()?;
        let PageImage { spans, events, entries, .. } = &self.image;
        Some(Loaded { spans, events, entries })
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
        assert!(bulk_insert.load(&mut conn, &Batch::default(), 1, 1).is_none());
        let count = "SELECT count(*) FROM span";
        assert_eq!(conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
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
