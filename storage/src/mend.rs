//! Makes a batch that the schema refuses into one that it accepts.
//!
//! A batch is stored as a whole or not at all. If it is refused because of what is in it, such as an id
//! that exists already, trying again would never end. So each row is tried by itself, in a transaction
//! that is rolled back; refused rows are taken out of the batch and counted. The rest is then appended
//! like any other batch.
//!
//! If a row of *another* run has an id, that is not our fault: somebody has put it there, with SQL or by
//! merging files. Then our row gets another id, and so do all rows that refer to it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::append::{self, is_in};
use crate::error::is_refused;
use crate::ids::LastIds;
use crate::insert_entry;
use crate::insert_event;
use crate::insert_span;
use crate::intern::{Interner, Renamed};
use crate::record::{Batch, EventRow, SpanRow};
use crate::totals::Totals;

/// How many spans with changed ids are remembered, for rows that refer to them; with more, such rows are
/// refused.
const MOVED_MAX: usize = 131_072;
/// A row whose id is smaller than a span's by more than this is not its child: ids grow with time,
/// except for the blocks of ids that threads have.
const BLOCKS: u64 = 65_536;

/// What was taken out of a batch, and what was changed in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mended {
    /// Spans that are refused, without the unfinished ones.
    pub spans: u64,
    /// Unfinished spans that are refused.
    pub unfinished: u64,
    /// Events that are refused.
    pub events: u64,
    /// Links that are refused.
    pub links: u64,
    /// Entries that are refused.
    pub entries: u64,
    /// Marks, and ends of sections, that are refused.
    pub marks: u64,
    /// Samples of gauges that are refused.
    pub gauges: u64,
    /// Losses, open spans and rows about the writer that are refused: none of the recorded data.
    pub others: u64,
    /// Rows that have got another number, because a row of another run had theirs.
    pub renumbered: u64,
}

impl Mended {
    /// Whether the batch was not changed.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        *self == Self::default()
    }
}

/// Makes ids above a given one that no further span or event will have.
pub type FreshIds<'a> = &'a mut dyn FnMut(u64) -> Option<u64>;

/// Ids of this run that were changed in the file.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    spans: HashMap<u64, u64>,
    entries: HashMap<u64, u64>,
    marks: HashMap<u64, u64>,
}

impl Moved {
    /// The id that a span has in the file.
    pub(crate) fn span(&self, id: u64) -> u64 {
        self.spans.get(&id).copied().unwrap_or(id)
    }

    /// Changes all references in a batch to the ids in the file.
    pub(crate) fn apply(&self, batch: &mut Batch) {
        if self.spans.is_empty() && self.entries.is_empty() && self.marks.is_empty() {
            return;
        }
        let open = batch.open_spans.iter_mut().flatten().map(|open| &mut open.span);
        for span in batch.spans.iter_mut().chain(open) {
            span.parent_id = self.span(span.parent_id);
            span.root_id = self.span(span.root_id);
        }
        for event in &mut batch.events {
            event.span_id = self.span(event.span_id);
        }
        for link in &mut batch.links {
            link.span_id = self.span(link.span_id);
            link.follows_id = self.span(link.follows_id);
        }
        for entry in &mut batch.entries {
            entry.span_id = self.span(entry.span_id);
            entry.around_id = self.span(entry.around_id);
        }
        for earlier in &mut batch.earlier {
            for id in [&mut earlier.first_id, &mut earlier.last_id] {
                *id = self.entries.get(id).copied().unwrap_or(*id);
            }
        }
        for late in &mut batch.late_entry_times {
            late.id = self.entries.get(&late.id).copied().unwrap_or(late.id);
        }
        for late in &mut batch.late_children {
            late.parent_id = self.span(late.parent_id);
        }
        for context in &mut batch.contexts {
            context.span_id = self.span(context.span_id);
            context.root_id = self.span(context.root_id);
        }
        for mark in &mut batch.marks {
            mark.id = self.marks.get(&mark.id).copied().unwrap_or(mark.id);
        }
    }
}

/// What is needed to try the rows of a batch.
pub(crate) struct Trial<'a, 'f> {
    pub(crate) tx: &'a Transaction<'a>,
    pub(crate) run_id: i64,
    pub(crate) moved: &'a mut Moved,
    pub(crate) fresh: FreshIds<'f>,
}

impl Trial<'_, '_> {
    /// Takes out of the batch, or changes, what the schema refuses. The caller rolls the transaction
    /// back.
    pub(crate) fn mend(
        &mut self,
        batch: &mut Batch,
        interner: &mut Interner,
    ) -> rusqlite::Result<Mended> {
        let last = LastIds::read(self.tx)?;
        let renamed = interner.mend(self.tx, &last)?;
        rename(batch, &renamed);
        let mut mended = Mended {
            renumbered: (renamed.callsites.len() + renamed.threads.len()) as u64,
            ..Mended::default()
        };
        self.spans(batch, &last, &mut mended)?;
        self.events(batch, &last, &mut mended)?;
        self.entries(batch, &last, &mut mended)?;
        self.others(batch, &mut mended)?;
        self.moved.apply(batch);
        Ok(mended)
    }

    fn spans(
        &mut self,
        batch: &mut Batch,
        last: &LastIds,
        mended: &mut Mended,
    ) -> rusqlite::Result<()> {
        let tx = self.tx;
        let Batch { spans, text, .. } = batch;
        let mut insert = insert_span::Insert::new(tx, "ABORT", self.run_id, None)?;
        let mut failed = Ok(());
        spans.retain_mut(|span| {
            let before = mended.renumbered;
            match self.span(span, text, &mut insert, last, mended) {
                Ok(true) => true,
                Ok(false) => {
                    mended.renumbered = before;
                    if !span.status.has_closed() {
                        mended.unfinished += 1;
                    } else {
                        mended.spans += 1;
                    }
                    false
                }
                Err(error) => {
                    failed = Err(error);
                    true
                }
            }
        });
        failed
    }

    /// Whether the schema accepts a span, with another id if necessary.
    fn span(
        &mut self,
        span: &mut SpanRow,
        text: &str,
        insert: &mut insert_span::Insert<'_>,
        last: &LastIds,
        mended: &mut Mended,
    ) -> rusqlite::Result<bool> {
        if !is_in(text, &span.fields) {
            return Ok(false);
        }
        if !is_refused(insert.row(span, text))? {
            return Ok(true);
        }
        if !self.is_anothers("span", span.id)? || self.moved.spans.len() >= MOVED_MAX {
            return Ok(false);
        }
        let Some(id) = (self.fresh)(u64::try_from(last.id).unwrap_or(0)) else { return Ok(false) };
        let old = std::mem::replace(&mut span.id, id);
        if is_refused(insert.row(span, text))? {
            return Ok(false);
        }
        self.moved.spans.insert(old, id);
        mended.renumbered += 1;
        Ok(true)
    }

    fn events(
        &mut self,
        batch: &mut Batch,
        last: &LastIds,
        mended: &mut Mended,
    ) -> rusqlite::Result<()> {
        let tx = self.tx;
        let Batch { events, text, .. } = batch;
        let mut insert = insert_event::Insert::new(tx, "ABORT", self.run_id, None)?;
        let mut failed = Ok(());
        events.retain_mut(|event| match self.event(event, text, &mut insert, last, mended) {
            Ok(taken) => {
                mended.events += u64::from(!taken);
                taken
            }
            Err(error) => {
                failed = Err(error);
                true
            }
        });
        failed
    }

    /// The same for an event, to which nothing refers.
    fn event(
        &mut self,
        event: &mut EventRow,
        text: &str,
        insert: &mut insert_event::Insert<'_>,
        last: &LastIds,
        mended: &mut Mended,
    ) -> rusqlite::Result<bool> {
        if !is_in(text, &event.message) || !is_in(text, &event.fields) {
            return Ok(false);
        }
        if !is_refused(insert.row(event, text))? {
            return Ok(true);
        }
        if !self.is_anothers("event", event.id)? {
            return Ok(false);
        }
        let Some(id) = (self.fresh)(u64::try_from(last.id).unwrap_or(0)) else { return Ok(false) };
        event.id = id;
        let taken = !is_refused(insert.row(event, text))?;
        mended.renumbered += u64::from(taken);
        Ok(taken)
    }

    /// An entry gets another id if somebody has taken its own.
    fn entries(
        &mut self,
        batch: &mut Batch,
        last: &LastIds,
        mended: &mut Mended,
    ) -> rusqlite::Result<()> {
        for entry in &mut batch.entries {
            if self.is_anothers("entry", entry.id)?
                && let Some(id) = (self.fresh)(u64::try_from(last.id).unwrap_or(0))
            {
                let old = std::mem::replace(&mut entry.id, id);
                if self.moved.entries.len() < MOVED_MAX {
                    self.moved.entries.insert(old, id);
                }
                mended.renumbered += 1;
            }
        }
        let mut insert = insert_entry::Insert::new(self.tx, "ABORT", self.run_id, None)?;
        mended.entries += remove_refused(self.tx, &mut batch.entries, |rows| {
            rows.iter().try_for_each(|entry| insert.row(entry))
        })?;
        Ok(())
    }

    /// Rows without ids of their own, or with ids that nothing refers to.
    fn others(&mut self, batch: &mut Batch, mended: &mut Mended) -> rusqlite::Result<()> {
        let (tx, run_id) = (self.tx, self.run_id);
        let totals = &mut Totals::new(0);
        let ids = (run_id, None);
        let refused =
            remove_refused(tx, &mut batch.links, |rows| append::links(tx, rows, ids, totals))?;
        mended.links += refused;
        mended.others += remove_refused(tx, &mut batch.contexts, |rows| {
            append::contexts(tx, rows, ids, totals)
        })?;
        self.marks(batch, mended)?;
        mended.gauges +=
            remove_refused(tx, &mut batch.gauges, |rows| append::gauges(tx, rows, run_id, totals))?;
        mended.others +=
            remove_refused(tx, &mut batch.losses, |rows| append::losses(tx, rows, run_id, totals))?;
        if let Some(open) = &mut batch.open_spans {
            tx.execute("DELETE FROM main.open_span WHERE run_id = ?1", [run_id])?;
            let text = &batch.text;
            let before = open.len();
            open.retain(|open| is_in(text, &open.span.fields));
            mended.others += (before - open.len()) as u64;
            mended.others += remove_refused(tx, open, |rows| {
                append::open_spans(tx, rows, text, run_id, totals)
            })?;
        }
        if let Some(stat) = &batch.writer_stat
            && is_refused(append::writer_stat(tx, stat, run_id))?
        {
            batch.writer_stat = None;
            mended.others += 1;
        }
        Ok(())
    }

    fn marks(&mut self, batch: &mut Batch, mended: &mut Mended) -> rusqlite::Result<()> {
        let (tx, run_id) = (self.tx, self.run_id);
        let totals = &mut Totals::new(0);
        let mut next: i64 =
            tx.query_row("SELECT coalesce(max(id), 0) FROM main.mark", [], |row| row.get(0))?;
        next = batch.marks.iter().map(|mark| mark.id as i64).fold(next, i64::max);
        for mark in &mut batch.marks {
            if self.is_anothers("mark", mark.id)? && self.moved.marks.len() < MOVED_MAX {
                // Far above, so that further marks do not collide with those that were moved.
                next = next.saturating_add(1 << 20);
                self.moved.marks.insert(mark.id, next as u64);
                mark.id = next as u64;
                mended.renumbered += 1;
            }
        }
        mended.marks +=
            remove_refused(tx, &mut batch.marks, |rows| append::marks(tx, rows, run_id, totals))?;
        Ok(())
    }

    /// Whether a row of another run has this id.
    fn is_anothers(&self, table: &str, id: u64) -> rusqlite::Result<bool> {
        let sql = format!("SELECT run_id FROM main.{table} WHERE id = ?1");
        let run: Option<i64> = self.tx.query_row(&sql, [id as i64], |row| row.get(0)).optional()?;
        Ok(run.is_some_and(|run| run != self.run_id))
    }
}

/// Removes the rows that are refused, and returns how many. If none is, one pass is enough.
fn remove_refused<T>(
    conn: &Connection,
    rows: &mut Vec<T>,
    mut insert: impl FnMut(&[T]) -> rusqlite::Result<()>,
) -> rusqlite::Result<u64> {
    conn.execute_batch("SAVEPOINT remove_refused")?;
    let refused = is_refused(insert(rows))?;
    conn.execute_batch(if refused {
        "ROLLBACK TO remove_refused; RELEASE remove_refused"
    } else {
        "RELEASE remove_refused"
    })?;
    if !refused {
        return Ok(0);
    }
    let before = rows.len();
    let mut failed = Ok(());
    rows.retain(|row| match is_refused(insert(std::slice::from_ref(row))) {
        Ok(refused) => !refused,
        Err(error) => {
            failed = Err(error);
            true
        }
    });
    failed.map(|()| (before - rows.len()) as u64)
}

fn rename(batch: &mut Batch, renamed: &Renamed) {
    if renamed.callsites.is_empty() && renamed.threads.is_empty() {
        return;
    }
    let callsite = |id: &mut i64| *id = renamed.callsites.get(id).copied().unwrap_or(*id);
    let thread = |id: &mut i64| *id = renamed.threads.get(id).copied().unwrap_or(*id);
    let open = batch.open_spans.iter_mut().flatten().map(|open| &mut open.span);
    for span in batch.spans.iter_mut().chain(open) {
        callsite(&mut span.callsite_id);
        thread(&mut span.thread_id);
    }
    for event in &mut batch.events {
        callsite(&mut event.callsite_id);
        thread(&mut event.thread_id);
    }
    for entry in &mut batch.entries {
        callsite(&mut entry.callsite_id);
        thread(&mut entry.thread_id);
    }
    batch.late_children.iter_mut().for_each(|late| thread(&mut late.thread_id));
    batch.losses.iter_mut().filter_map(|loss| loss.thread_id.as_mut()).for_each(thread);
}

/// Corrects rows of this run that were stored before the span that they refer to got another id.
pub(crate) fn mend_references(
    tx: &Transaction<'_>,
    run_id: i64,
    moved: &Moved,
) -> rusqlite::Result<()> {
    let Some(first) = moved.spans.keys().min() else { return Ok(()) };
    let from = first.saturating_sub(BLOCKS) as i64;
    for (table, columns) in [
        ("span", &["parent_id", "root_id"][..]),
        ("event", &["span_id"]),
        ("entry", &["span_id", "around_id"]),
        ("link", &["span_id", "follows_id"]),
    ] {
        for column in columns {
            let key = if table == "link" { "span_id" } else { "id" };
            let mut select = tx.prepare(&format!(
                "SELECT rowid, {column} FROM main.{table}
                 WHERE {key} >= ?1 AND run_id = ?2 AND {column} IS NOT NULL"
            ))?;
            let mut wrong = Vec::new();
            let mut rows = select.query([from, run_id])?;
            while let Some(row) = rows.next()? {
                let (rowid, id): (i64, i64) = (row.get(0)?, row.get(1)?);
                if let Some(now) = moved.spans.get(&(id as u64)) {
                    wrong.push((rowid, *now as i64));
                }
            }
            let mut update =
                tx.prepare(&format!("UPDATE main.{table} SET {column} = ?2 WHERE rowid = ?1"))?;
            for (rowid, now) in wrong {
                update.execute([rowid, now])?;
            }
        }
    }
    mend_contexts(tx, run_id, from, moved)?;
    widen_ranges(tx, run_id, from, moved)
}

/// The same for rows whose key consists of such ids.
fn mend_contexts(
    tx: &Transaction<'_>,
    run_id: i64,
    from: i64,
    moved: &Moved,
) -> rusqlite::Result<()> {
    let mut select = tx.prepare(
        "SELECT root_id, span_id FROM main.trace_context WHERE root_id >= ?1 AND run_id = ?2",
    )?;
    let ids = select
        .query_map([from, run_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, i64)>, _>>()?;
    let now = |id: i64| moved.span(id as u64) as i64;
    let mut update = tx.prepare(
        "UPDATE OR REPLACE main.trace_context SET root_id = ?3, span_id = ?4
         WHERE root_id = ?1 AND span_id = ?2",
    )?;
    for (root, span) in ids {
        if (now(root), now(span)) != (root, span) {
            update.execute([root, span, now(root), now(span)])?;
        }
    }
    Ok(())
}

/// Ids only become larger here; the ranges of their commits have to contain them.
fn widen_ranges(
    tx: &Transaction<'_>,
    run_id: i64,
    from: i64,
    moved: &Moved,
) -> rusqlite::Result<()> {
    let Some(largest) = moved.spans.values().max() else { return Ok(()) };
    tx.execute(
        "UPDATE main.batch_range
         SET last_id = max(last_id, ?3)
         WHERE kind IN ('link', 'root') AND last_id >= ?1 AND batch_id IN (SELECT id FROM main.batch WHERE run_id = ?2)",
        [from, run_id, *largest as i64],
    )
    .map(drop)
}
