//! One batch, one transaction.

use std::ops::Range;
use std::time::Instant;

use rusqlite::{Connection, Transaction, params};

use crate::batches::{self, Commit, Extent, Ranges};
use crate::bulk_insert::Loaded;
use crate::column_values::{nullable, text_at};
use crate::drained;
use crate::earlier_entries;
use crate::error::{Context, Error, ErrorKind};
use crate::insert_entry;
use crate::insert_event;
use crate::insert_span;
use crate::late_children;
use crate::record::{
    Batch, GAUGE_NAME_BYTES_MAX, GaugeRow, LinkRow, LossRow, MarkRow, OpenSpanRow, TraceContextRow,
    WriterStatRow, cut, mark_label,
};
use crate::rollup::{Rollups, Source, Staged};
use crate::run_row::RunRow;
use crate::totals::Totals;
use crate::trace_context::TraceContext;

/// After so many rows the caller gets a chance to do something else.
const STEP_ROWS: usize = 4_096;

/// What an append did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Appended {
    /// `batch.id` of its rows; none if there were none that name it.
    pub batch_id: Option<i64>,
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
    /// Time that it took to delete old rows to make up for the batch; zero without limits.
    pub prune_ns: u64,
    /// Why old rows could not be deleted, so that the file may be larger than it should; the batch is
    /// stored all the same.
    pub prune_error: Option<Error>,
}

/// Writes the batch. If an image of it is loaded, SQLite copies that. The staged rollups and the totals
/// are valid once the transaction commits.
pub(crate) fn write(
    tx: &Transaction<'_>,
    batch: &mut Batch,
    run: &RunRow,
    commit: Commit,
    (rollups, entry_rollups): (&Rollups, &Rollups),
    last_id: u64,
    (loaded, meanwhile): (Option<&Loaded<'_>>, &mut dyn FnMut()),
) -> rusqlite::Result<(Staged, Staged, Totals)> {
    meanwhile();
    let run_id = run.id;
    let ids = (run_id, commit.id);
    if loaded.is_none() {
        // Ascending ids append at the end of the tree; any other order costs up to four times as much.
        // The rows of an image are in order.
        batch.spans.sort_by_key(|span| span.id);
        batch.events.sort_by_key(|event| event.id);
        batch.entries.sort_by_key(|entry| entry.id);
    }
    let mut totals = Totals::new(last_id);
    let mut staged = rollups.stage();
    let mut staged_entries = entry_rollups.stage();
    let mut entry_source = Source::new(entry_rollups, run_id, tx);
    let mut extent = Extent::NONE;
    let mut has_open = false;
    if !batch.spans.is_empty() {
        spans(tx, batch, ids, loaded)?;
        let mut source = Source::new(rollups, run_id, tx);
        for some in batch.spans.chunks(STEP_ROWS) {
            meanwhile();
            for span in some {
                let end_ns = span.end_ns();
                match span.counts_by_entries() {
                    false => staged.add(span, end_ns, &mut source)?,
                    true => staged_entries.add_closed(span, end_ns, &mut entry_source)?,
                }
                totals.see_span(span, end_ns);
                extent.longest_ns = extent.longest_ns.max(span.duration_ns.unwrap_or(-1));
                has_open |= span.duration_ns.is_none();
            }
        }
    }
    if !batch.late_children.is_empty() {
        let mut source = Source::new(rollups, run_id, tx);
        late_children::off_spans(tx, &batch.late_children, run_id, &mut staged, &mut source)?;
    }
    staged.write(run_id, tx)?;
    meanwhile();
    if !batch.events.is_empty() {
        events(tx, batch, ids, loaded)?;
        batch.events.iter().for_each(|event| totals.see_event(event));
    }
    if !batch.entries.is_empty() {
        entries(tx, batch, ids, loaded)?;
        meanwhile();
        for entry in &batch.entries {
            if entry.counts() {
                staged_entries.add_entry(entry, &mut entry_source)?;
            }
            totals.see_entry(entry);
        }
    }
    earlier_entries::change(tx, &batch.earlier, run_id, &mut staged_entries, &mut entry_source)?;
    let late = &batch.late_entry_times;
    late_children::off_entries(tx, late, run_id, &mut staged_entries, &mut entry_source)?;
    if has_open {
        for span in batch.spans.iter().filter(|span| span.lived_long_to_the_end()) {
            staged_entries.add_open(span, &mut entry_source)?;
        }
    }
    staged_entries.write(run_id, tx)?;
    extent.to_ns = totals.last_ns;
    links(tx, &batch.links, (run_id, Some(commit.id)), &mut totals)?;
    contexts(tx, &batch.contexts, (run_id, Some(commit.id)), &mut totals)?;
    if batches::is_followed(batch) {
        totals.last_batch_id = commit.id;
        commit_row(tx, batch, commit, extent, loaded)?;
    }
    losses(tx, &batch.losses, run_id, &mut totals)?;
    marks(tx, &batch.marks, run_id, &mut totals)?;
    gauges(tx, &batch.gauges, run_id, &mut totals)?;
    if let Some(stat) = &batch.writer_stat {
        writer_stat(tx, stat, run_id)?;
    }
    if let Some(open) = &batch.open_spans {
        tx.execute("DELETE FROM main.open_span WHERE run_id = ?1", [run_id])?;
        open_spans(tx, open, &batch.text, run_id, &mut totals)?;
    }
    drained::store(tx, &batch.drained)?;
    if let Some(until_ns) = batch.until_ns {
        totals.see_until(until_ns);
    }
    run.add(tx, &totals)?;
    if let Some(report) = &batch.report {
        run.tell(tx, report)?;
    }
    Ok((staged, staged_entries, totals))
}

/// Copies the spans of the image and inserts those that are not in it; without an image, inserts all.
fn spans(
    tx: &Transaction<'_>,
    batch: &Batch,
    ids: (i64, i64),
    loaded: Option<&Loaded<'_>>,
) -> rusqlite::Result<()> {
    let Some(loaded) = loaded else {
        return insert_span::all(tx, &mut batch.spans.iter(), ids, &batch.text);
    };
    loaded.make_pages_of_spans(tx, batch, ids)?;
    loaded.copy_spans(tx)?;
    insert_span::all(tx, &mut loaded.spans_left(batch), ids, &batch.text)
}

/// The same for events.
fn events(
    tx: &Transaction<'_>,
    batch: &Batch,
    ids: (i64, i64),
    loaded: Option<&Loaded<'_>>,
) -> rusqlite::Result<()> {
    let Some(loaded) = loaded else {
        return insert_event::all(tx, &mut batch.events.iter(), ids, &batch.text);
    };
    loaded.make_pages_of_events(tx, batch, ids)?;
    loaded.copy_events(tx)?;
    insert_event::all(tx, &mut loaded.events_left(batch), ids, &batch.text)
}

/// The same for entries.
fn entries(
    tx: &Transaction<'_>,
    batch: &Batch,
    ids: (i64, i64),
    loaded: Option<&Loaded<'_>>,
) -> rusqlite::Result<()> {
    let Some(loaded) = loaded else {
        return insert_entry::all(tx, &mut batch.entries.iter(), ids);
    };
    loaded.copy_entries(tx)?;
    insert_entry::all(tx, &mut loaded.entries_left(batch), ids)
}

/// The row of the commit itself.
fn commit_row(
    tx: &Transaction<'_>,
    batch: &Batch,
    commit: Commit,
    extent: Extent,
    loaded: Option<&Loaded<'_>>,
) -> rusqlite::Result<()> {
    if let Some(loaded) = loaded {
        return batches::insert(tx, commit, batch, extent, loaded.ranges());
    }
    let mut ranges = [Ranges::default(), Ranges::default(), Ranges::default()];
    let [spans, events, entries] = &mut ranges;
    spans.of_spans(batch.spans.iter());
    events.of_events(batch.events.iter());
    entries.of_entries(batch.entries.iter());
    batches::insert(tx, commit, batch, extent, ranges.each_ref())
}

pub(crate) fn links(
    tx: &Connection,
    links: &[LinkRow],
    (run_id, batch_id): (i64, Option<i64>),
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    // Links are a set: saying twice that one span follows from another adds nothing.
    let mut insert = tx.prepare(
        "INSERT INTO link (span_id, follows_id, run_id, batch_id) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for link in links {
        let ids = params![link.span_id as i64, link.follows_id as i64, run_id, batch_id];
        let added = insert.execute(ids)?;
        totals.see_link(link, added);
    }
    Ok(())
}

pub(crate) fn contexts(
    tx: &Connection,
    contexts: &[TraceContextRow],
    (run_id, batch_id): (i64, Option<i64>),
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if contexts.is_empty() {
        return Ok(());
    }
    // For an open span they come again with each look, and are mostly the same.
    let mut insert = tx.prepare(
        "INSERT INTO main.trace_context (root_id, span_id, run_id, trace_id, otel_span_id,
           otel_parent_id, batch_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (root_id, span_id) DO UPDATE SET trace_id = excluded.trace_id,
           otel_span_id = excluded.otel_span_id, otel_parent_id = excluded.otel_parent_id,
           batch_id = excluded.batch_id
         WHERE run_id = excluded.run_id AND (trace_id <> excluded.trace_id
           OR otel_span_id IS NOT excluded.otel_span_id
           OR otel_parent_id IS NOT excluded.otel_parent_id)",
    )?;
    for TraceContextRow { span_id, root_id, context } in contexts {
        let TraceContext { trace_id, span_id: own, parent_id } = context;
        insert.execute(params![
            *root_id as i64,
            *span_id as i64,
            run_id,
            trace_id.to_string(),
            own.map(|id| id.to_string()),
            parent_id.map(|id| id.to_string()),
            batch_id
        ])?;
        totals.see_context(*root_id, *span_id);
    }
    Ok(())
}

pub(crate) fn losses(
    tx: &Connection,
    losses: &[LossRow],
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO loss (run_id, reason, from_ns, to_ns, spans, events, thread_id, entries)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for loss in losses {
        insert.execute(params![
            run_id,
            loss.reason,
            loss.from_ns,
            loss.to_ns,
            loss.spans as i64,
            loss.events as i64,
            loss.thread_id,
            loss.entries as i64
        ])?;
        totals.see_loss(loss);
    }
    Ok(())
}

pub(crate) fn marks(
    tx: &Connection,
    marks: &[MarkRow],
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    // The row of another run is never changed, whatever id a mark has.
    let mut insert = tx.prepare(
        "INSERT INTO mark (id, run_id, at_ns, until_ns, label, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET until_ns = coalesce(excluded.until_ns, until_ns)
           WHERE run_id = excluded.run_id",
    )?;
    for mark in marks {
        let MarkRow { id, at_ns, until_ns, label, fields } = mark;
        let values = params![*id as i64, run_id, at_ns, until_ns, mark_label(label), fields];
        if insert.execute(values)? == 0 {
            return Err(key_of_another_run("mark.id"));
        }
        totals.see_mark(mark);
    }
    Ok(())
}

/// Their ids are those that come next: nothing refers to them.
pub(crate) fn gauges(
    tx: &Connection,
    gauges: &[GaugeRow],
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if gauges.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO main.gauge (run_id, name, at_ns, value, version, updates)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for gauge in gauges {
        let GaugeRow { name, at_ns, value, version, updates } = gauge;
        let name = cut(name, GAUGE_NAME_BYTES_MAX);
        let value = (!value.is_nan()).then_some(*value);
        insert.execute(params![run_id, name, at_ns, value, *version as i64, *updates as i64])?;
        totals.see_gauge(gauge);
    }
    Ok(())
}

/// The error that SQLite reports for other tables.
pub(crate) fn key_of_another_run(key: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY);
    rusqlite::Error::SqliteFailure(code, Some(format!("UNIQUE constraint failed: {key}")))
}

pub(crate) fn writer_stat(
    conn: &Connection,
    stat: &WriterStatRow,
    run_id: i64,
) -> rusqlite::Result<()> {
    // A second row for the same moment replaces the first: the counts are totals since the start.
    conn.execute(
        "INSERT OR REPLACE INTO writer_stat (run_id, at_ns, recorded, stored, dropped,
           events_recorded, events_stored, events_dropped, batches, largest_batch_ns,
           ring_high_water, wal_bytes, file_bytes, open_spans, entries_recorded, entries_stored,
           entries_dropped)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
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
            stat.open_spans as i64,
            stat.entries_recorded as i64,
            stat.entries_stored as i64,
            stat.entries_dropped
        ],
    )?;
    Ok(())
}

pub(crate) fn open_spans(
    tx: &Connection,
    open: &[OpenSpanRow],
    text: &str,
    run_id: i64,
    totals: &mut Totals,
) -> rusqlite::Result<()> {
    if open.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare(
        "INSERT INTO open_span (id, run_id, parent_id, root_id, callsite_id, thread_id, start_ns,
           busy_ns, entries, fields, seen_ns, first_entry_ns, longest_entry_ns, last_exit_ns,
           longest_thread_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
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
            span.entries as i64,
            text_at(text, &span.fields),
            seen_ns,
            span.first_entry_ns,
            span.longest_entry_ns,
            span.last_exit_ns,
            nullable(span.longest_thread_id as u64)
        ])?;
        totals.see_open_span(span, *seen_ns);
    }
    Ok(())
}

/// Refuses a batch whose rows point outside of its text, before anything is written.
pub(crate) fn check(batch: &Batch, path: &std::path::Path) -> Result<(), Error> {
    let open = batch.open_spans.iter().flatten().map(|open| &open.span);
    let spans = batch.spans.iter().chain(open).map(|span| &span.fields);
    let events = batch.events.iter().flat_map(|event| [&event.message, &event.fields]);
    for range in spans.chain(events) {
        if !is_in(&batch.text, range) {
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

/// Whether a row's text is there.
pub(crate) fn is_in(text: &str, range: &Range<usize>) -> bool {
    range.is_empty() || text.get(range.clone()).is_some()
}

/// Nanoseconds since `start`.
pub(crate) fn elapsed_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Commits what `write` wrote in a transaction of its own.
pub(crate) fn commit(tx: Transaction<'_>, path: &std::path::Path) -> Result<(), Error> {
    tx.commit().context(path, "commit")
}
