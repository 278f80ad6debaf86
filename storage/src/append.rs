//! One batch, one transaction.

use std::ops::Range;
use std::time::Instant;

use rusqlite::{Connection, Statement, Transaction, params};

use crate::error::{Context, Error, ErrorKind};
use crate::insert_span::InsertSpans;
use crate::record::{Batch, EventRow, OpenSpanRow, SpanRow, Status, WriterStatRow};
use crate::rollup::{Rollups, Source, Staged};

/// What an append did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Appended {
    /// Time from the start of the transaction to the end of its commit.
    pub commit_ns: u64,
    /// Time of the checkpoint that followed; zero when none was due.
    pub checkpoint_ns: u64,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
    /// Size of the main file.
    pub file_bytes: u64,
    /// Why the checkpoint failed or could not empty the log; the batch is stored all the same.
    pub checkpoint_error: Option<Error>,
}

/// What a batch adds to the row of its run.
#[derive(Debug, Default)]
struct Totals {
    unfinished: i64,
    links: i64,
    dropped_spans: i64,
    dropped_events: i64,
    last_id: u64,
    last_ns: i64,
}

/// Writes the batch. The staged rollups and the largest id hold once the transaction commits.
pub(crate) fn write(
    tx: &Transaction<'_>,
    batch: &mut Batch,
    run_id: i64,
    rollups: &Rollups,
    last_id: u64,
) -> rusqlite::Result<(Staged, u64)> {
    // Ascending ids append at the end of the tree; any other order costs up to four times as much.
    batch.spans.sort_unstable_by_key(|span| span.id);
    batch.events.sort_unstable_by_key(|event| event.id);
    let mut totals = Totals { last_id, last_ns: i64::MIN, ..Totals::default() };
    let mut staged = rollups.stage();
    if !batch.spans.is_empty() {
        let mut source = Source::new(rollups, run_id, tx)?;
        spans(tx, batch, run_id, &mut staged, &mut source, &mut totals)?;
    }
    staged.write(run_id, tx)?;
    events(tx, batch, run_id, &mut totals)?;
    links(tx, batch, run_id, &mut totals)?;
    losses(tx, batch, run_id, &mut totals)?;
    if let Some(stat) = &batch.writer_stat {
        writer_stat(tx, stat, run_id)?;
    }
    if let Some(open) = &batch.open_spans {
        open_spans(tx, open, &batch.text, run_id, &mut totals)?;
    }
    update_run(tx, batch, run_id, &totals)?;
    Ok((staged, totals.last_id))
}

fn spans(
    tx: &Transaction<'_>,
    batch: &Batch,
    run_id: i64,
    staged: &mut Staged,
    source: &mut Source<'_>,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if batch.spans.is_empty() {
        return Ok(());
    }
    let mut insert = InsertSpans::new(tx, run_id);
    for chunk in insert.chunks(&batch.spans) {
        insert.execute(chunk, &batch.text)?;
        for span in chunk {
            staged.add(span, source)?;
            totals.see_span(span);
            totals.unfinished += i64::from(span.status == Status::Unfinished);
        }
    }
    Ok(())
}

fn events(
    tx: &Transaction<'_>,
    batch: &Batch,
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if batch.events.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO event (id, run_id, span_id, callsite_id, thread_id, at_ns, message, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.raw_bind_parameter(2, run_id)?;
    for event in &batch.events {
        bind_event(&mut insert, event, &batch.text)?;
        insert.raw_execute()?;
        totals.last_id = totals.last_id.max(event.id).max(event.span_id);
        totals.last_ns = totals.last_ns.max(event.at_ns);
    }
    Ok(())
}

fn bind_event(insert: &mut Statement<'_>, event: &EventRow, text: &str) -> rusqlite::Result<()> {
    insert.raw_bind_parameter(1, event.id as i64)?;
    insert.raw_bind_parameter(3, nullable(event.span_id))?;
    insert.raw_bind_parameter(4, event.callsite_id)?;
    insert.raw_bind_parameter(5, event.thread_id)?;
    insert.raw_bind_parameter(6, event.at_ns)?;
    insert.raw_bind_parameter(7, slice(text, &event.message))?;
    insert.raw_bind_parameter(8, slice(text, &event.fields))
}

fn links(
    tx: &Transaction<'_>,
    batch: &Batch,
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if batch.links.is_empty() {
        return Ok(());
    }
    // Links are a set: saying twice that one span follows from another adds nothing.
    let mut insert =
        tx.prepare("INSERT INTO link (span_id, follows_id, run_id) VALUES (?1, ?2, ?3)")?;
    for link in &batch.links {
        let added = insert.execute(params![link.span_id as i64, link.follows_id as i64, run_id])?;
        totals.links += added as i64;
        totals.last_id = totals.last_id.max(link.span_id).max(link.follows_id);
    }
    Ok(())
}

fn losses(
    tx: &Transaction<'_>,
    batch: &Batch,
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if batch.losses.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events, thread_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for loss in &batch.losses {
        insert.execute(params![
            run_id,
            loss.reason,
            loss.from_ns,
            loss.to_ns,
            loss.spans as i64,
            loss.events as i64,
            loss.thread_id
        ])?;
        totals.dropped_spans += loss.spans as i64;
        totals.dropped_events += loss.events as i64;
        totals.last_ns = totals.last_ns.max(loss.to_ns);
    }
    Ok(())
}

fn writer_stat(conn: &Connection, stat: &WriterStatRow, run_id: i64) -> rusqlite::Result<()> {
    // A second row for the same moment replaces the first: the counts are running totals.
    conn.execute(
        "INSERT OR REPLACE INTO writer_stat (run_id, at_ns, recorded, stored, dropped,
           events_recorded, events_stored, events_dropped, batches, largest_batch_ns,
           ring_high_water, wal_bytes, file_bytes, open_spans)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            run_id,
            stat.at_ns,
            stat.recorded as i64,
            stat.stored as i64,
            stat.dropped,
            stat.events_recorded as i64,
            stat.events_stored as i64,
            stat.events_dropped,
            stat.batches as i64,
            stat.largest_batch_ns as i64,
            stat.ring_high_water as i64,
            stat.wal_bytes as i64,
            stat.file_bytes as i64,
            stat.open_spans as i64
        ],
    )?;
    Ok(())
}

fn open_spans(
    tx: &Transaction<'_>,
    open: &[OpenSpanRow],
    text: &str,
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM open_span WHERE run_id = ?1", [run_id])?;
    if open.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO open_span (id, run_id, parent_id, root_id, callsite_id, thread_id, start_ns,
           busy_ns, polls, fields, seen_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for OpenSpanRow { span, seen_ns } in open {
        insert.execute(params![
            span.id as i64,
            run_id,
            nullable(span.parent_id),
            span.root_id as i64,
            span.callsite_id,
            span.thread_id,
            span.start_ns,
            span.busy_ns,
            span.polls as i64,
            slice(text, &span.fields),
            seen_ns
        ])?;
        totals.see_span(span);
        totals.last_ns = totals.last_ns.max(*seen_ns);
    }
    Ok(())
}

fn update_run(
    conn: &Connection,
    batch: &Batch,
    run_id: i64,
    totals: &Totals,
) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE run SET last_id = max(last_id, ?2), last_ns = max(last_ns, ?3), spans = spans + ?4,
           unfinished = unfinished + ?5, events = events + ?6, links = links + ?7,
           dropped_spans = dropped_spans + ?8, dropped_events = dropped_events + ?9
         WHERE id = ?1",
        params![
            run_id,
            totals.last_id as i64,
            totals.last_ns,
            batch.spans.len() as i64,
            totals.unfinished,
            batch.events.len() as i64,
            totals.links,
            totals.dropped_spans,
            totals.dropped_events
        ],
    )?;
    Ok(())
}

impl Totals {
    fn see_span(&mut self, span: &SpanRow) {
        self.last_id = self.last_id.max(span.id).max(span.parent_id).max(span.root_id);
        let end_ns = span.start_ns.saturating_add(span.duration_ns.unwrap_or(0));
        self.last_ns = self.last_ns.max(end_ns);
    }
}

/// Refuses a batch whose rows point outside of its text, before anything is written.
pub(crate) fn check(batch: &Batch, path: &std::path::Path) -> Result<(), Error> {
    let open = batch.open_spans.iter().flatten().map(|open| &open.span);
    let spans = batch.spans.iter().chain(open).map(|span| &span.fields);
    let events = batch.events.iter().flat_map(|event| [&event.message, &event.fields]);
    for range in spans.chain(events) {
        if !range.is_empty() && batch.text.get(range.clone()).is_none() {
            let message = format!(
                "a row points at the text {}..{} of {} bytes; the batch cannot be stored",
                range.start,
                range.end,
                batch.text.len()
            );
            return Err(Error::new(ErrorKind::InvalidBatch, path, message));
        }
    }
    Ok(())
}

pub(crate) fn slice<'a>(text: &'a str, range: &Range<usize>) -> Option<&'a str> {
    text.get(range.clone()).filter(|text| !text.is_empty())
}

pub(crate) fn nullable(id: u64) -> Option<i64> {
    (id != 0).then_some(id as i64)
}

/// Nanoseconds since `start`.
pub(crate) fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Commits what `write` wrote in a transaction of its own.
pub(crate) fn commit(tx: Transaction<'_>, path: &std::path::Path) -> Result<(), Error> {
    tx.commit().context(path, "commit")
}
