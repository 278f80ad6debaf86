//! A part of a profile as a profile.
//!
//! The rows go through a [`Store`], like those of a recording: so the rollups are made from the spans that are there,
//! and the file is like any other. Ids, times, uuid and label stay the same; callsites and threads are those that
//! occur, with new numbers.
//!
//! What was not selected counts as pruned, so that the run is not taken for complete. Parents, and spans that links
//! go to, may be missing as in a pruned profile; self times stay what they were with all children. A run without an
//! end has none in the copy either.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params, params_from_iter};

use super::Written;
use super::error::ExportError;
use super::source::{EventRef, Source};
use spandrel_query::SpanContext;
use spandrel_query::internals::Names;
use spandrel_query::{Callsite, Thread};
use spandrel_query::{Columns, SpanRef};
use spandrel_storage::Error;
use spandrel_storage::Store;
use spandrel_storage::StoreOptions;
use spandrel_storage::TraceContext;
use spandrel_storage::internals::Context;
use spandrel_storage::internals::column_names;
use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EntryRow, EventRow, LinkRow, SpanRow, Text, TraceContextRow,
};

/// Rows of a transaction.
const BATCH_ROWS: usize = 20_000;

/// Bytes of text from which on a transaction ends.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Copies the spans of `source`, and what belongs to them, into a new profile at `path`, which must be
/// absent or empty.
///
/// # Errors
///
/// When the profile cannot be read, or the copy not written; a part of it may then be there.
///
/// # Blocking
///
/// Reads all spans of the run, and writes those that are chosen.
pub fn copy(source: &mut Source<'_>, path: &Path) -> Result<Written, ExportError> {
    let mut store = Store::open(path, &StoreOptions::default())?;
    store.begin_run(&source.run.info)?;
    let mut copy = Copy {
        store,
        batch: Batch::default(),
        callsites: HashMap::new(),
        threads: HashMap::new(),
        written: Written::default(),
        is_part: !source.is_whole(),
    };
    source.spans(Columns::All, |span| copy.span(span))?;
    source.events(|event| copy.event(event))?;
    source.links(|link| {
        let row = LinkRow { span_id: link.span_id, follows_id: link.follows_id };
        copy.batch.links.push(row);
        copy.written.links += 1;
        copy.append_full()
    })?;
    copy.entries(source)?;
    copy.threads_of_losses(source)?;
    copy.append()?;
    let Copy { store, threads, mut written, .. } = copy;
    store.close()?;
    finish(source, path, &threads, &written)?;
    written.marks = source.reader.marks(source.run.id)?.len() as u64;
    written.left_out = source.left_out(&written)?;
    written.bytes = path.metadata().context(path, "look at the copy")?.len();
    Ok(written)
}

struct Copy {
    store: Store,
    batch: Batch,
    /// From numbers in the profile to numbers in the copy.
    callsites: HashMap<i64, i64>,
    threads: HashMap<i64, i64>,
    written: Written,
    /// Whether not all spans are copied.
    is_part: bool,
}

impl Copy {
    fn span(&mut self, span: &SpanRef<'_>) -> Result<(), ExportError> {
        let (callsite_id, thread_id) = (self.callsite(span.callsite), self.thread(span.thread));
        let longest_thread_id = match span.longest_thread.id == span.thread.id {
            true => 0,
            false => self.thread(span.longest_thread),
        };
        let fields = self.text(span.fields);
        self.batch.spans.push(SpanRow {
            id: span.id,
            parent_id: span.parent_id.unwrap_or(0),
            root_id: span.root_id,
            callsite_id,
            thread_id,
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            busy_ns: span.busy_ns,
            self_ns: span.self_ns,
            self_busy_ns: span
                .self_busy_ns
                .filter(|own| span.self_ns.is_none() || Some(*own) != span.busy_ns),
            entries: span.entries,
            first_entry_ns: span.first_entry_ns,
            longest_entry_ns: span.longest_entry_ns.filter(|_| span.entries != 1),
            last_exit_ns: span.last_exit_ns.filter(|_| span.entries != 1),
            longest_thread_id,
            status: span.status,
            fields,
        });
        // The ids of a span without ids of its own come from another span, which may be left out.
        if let Some(context) = &span.context
            && (context.begins || context.span_id.is_some() || self.is_part)
        {
            let SpanContext { trace_id, span_id, parent_id, begins, .. } = *context;
            let parent_id = parent_id.filter(|_| begins);
            let context = TraceContext { trace_id, span_id, parent_id };
            let row = TraceContextRow { span_id: span.id, root_id: span.root_id, context };
            self.batch.contexts.push(row);
        }
        self.written.spans += 1;
        self.append_full()
    }

    fn event(&mut self, event: &EventRef<'_>) -> Result<(), ExportError> {
        let (callsite_id, thread_id) = (self.callsite(&event.callsite), self.thread(&event.thread));
        let (message, fields) = (self.text(event.message), self.text(event.fields));
        self.batch.events.push(EventRow {
            id: event.id,
            span_id: event.span_id.unwrap_or(0),
            callsite_id,
            thread_id,
            at_ns: event.at_ns,
            message,
            fields,
        });
        self.written.events += 1;
        self.append_full()
    }

    fn text(&mut self, text: Option<&str>) -> Text {
        let from = self.batch.text.len();
        self.batch.text.push_str(text.unwrap_or_default());
        from..self.batch.text.len()
    }

    fn callsite(&mut self, callsite: &Callsite) -> i64 {
        if let Some(id) = self.callsites.get(&callsite.id) {
            return *id;
        }
        let levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        let level = levels.into_iter().find(|level| **level == *callsite.level);
        let is_event = *callsite.kind == *CallsiteKind::Event.as_str();
        let id = self.store.intern_callsite(&CallsiteInfo {
            kind: if is_event { CallsiteKind::Event } else { CallsiteKind::Span },
            name: callsite.name.clone(),
            target: callsite.target.to_string(),
            // There are no other levels.
            level: level.unwrap_or("TRACE"),
            module: callsite.module.as_deref().map(str::to_owned),
            file: callsite.file.as_deref().map(str::to_owned),
            line: callsite.line,
        });
        self.callsites.insert(callsite.id, id);
        id
    }

    fn thread(&mut self, thread: &Thread) -> i64 {
        if let Some(id) = self.threads.get(&thread.id) {
            return *id;
        }
        let number = self.threads.len() as u32 + 1;
        let id = self.store.intern_thread(number, thread.os_id, thread.name.as_deref());
        self.threads.insert(thread.id, id);
        id
    }

    fn entries(&mut self, source: &mut Source<'_>) -> Result<(), ExportError> {
        self.written.entries = source.chosen_entries(|entry| {
            let row = EntryRow {
                callsite_id: self.callsite(&entry.callsite),
                thread_id: self.thread(&entry.thread),
                ..entry.row
            };
            self.batch.entries.push(row);
            self.append_full()
        })?;
        Ok(())
    }

    /// Threads that lost something may have nothing else.
    fn threads_of_losses(&mut self, source: &Source<'_>) -> Result<(), ExportError> {
        let losses = source.reader.losses(source.run.id)?;
        let tx = source.reader.begin()?;
        let read = |id| Names::new(&tx)?.thread(id);
        for id in losses.iter().filter_map(|loss| loss.thread_id) {
            let thread = read(id).context(source.reader.path(), "read a thread")?;
            self.thread(&thread);
        }
        Ok(())
    }

    fn append_full(&mut self) -> Result<(), ExportError> {
        let batch = &self.batch;
        let rows = batch.spans.len() + batch.events.len() + batch.links.len() + batch.entries.len();
        if rows < BATCH_ROWS && batch.text.len() < BATCH_BYTES {
            return Ok(());
        }
        self.append()
    }

    /// Stores what has gathered, and callsites and threads even if that is nothing.
    fn append(&mut self) -> Result<(), ExportError> {
        self.store.append(&mut self.batch)?;
        self.batch.clear();
        Ok(())
    }
}

/// Copies what a [`Store`] would not take as it is, and updates the row of the run.
fn finish(
    source: &Source<'_>,
    path: &Path,
    threads: &HashMap<i64, i64>,
    written: &Written,
) -> Result<(), ExportError> {
    let doing = "finish the copy";
    let mut conn = Connection::open(path).context(path, doing)?;
    let tx = conn.transaction().context(path, doing)?;
    for table in ["loss", "mark", "gauge", "writer_stat"] {
        rows(source, &tx, path, table, threads)?;
    }
    let run = source.run;
    let stored = |all: u64, pruned: u64, copied: u64| {
        let all = all.max(pruned.saturating_add(copied));
        (all as i64, all.saturating_sub(copied) as i64)
    };
    let (spans, pruned_spans) = stored(run.spans, run.pruned_spans, written.spans);
    let (events, pruned_events) = stored(run.events, run.pruned_events, written.events);
    let (entries, pruned_entries) = stored(run.entries, run.pruned_entries, written.entries);
    tx.execute(
        "UPDATE run SET ended_unix_ns = ?1, report = ?2, spans = ?3, events = ?4,
           pruned_spans = ?5, pruned_events = ?6, unfinished = max(unfinished, ?7),
           links = max(links, ?8), dropped_spans = ?9, dropped_events = ?10,
           last_ns = max(last_ns, ?11), entries = ?12, pruned_entries = ?13,
           dropped_entries = ?14",
        params![
            run.ended_unix_ns,
            run.report,
            spans,
            events,
            pruned_spans,
            pruned_events,
            run.unfinished as i64,
            run.links as i64,
            run.dropped_spans as i64,
            run.dropped_events as i64,
            run.last_ns,
            entries,
            pruned_entries,
            run.dropped_entries as i64,
        ],
    )
    .context(path, doing)?;
    tx.commit().context(path, doing)?;
    conn.close().map_err(|(_, error)| Error::sqlite(path, doing, error))?;
    Ok(())
}

/// Copies the rows of a table, whatever its columns, with the numbers of the copy.
fn rows(
    source: &Source<'_>,
    to: &Connection,
    path: &Path,
    table: &str,
    threads: &HashMap<i64, i64>,
) -> Result<(), ExportError> {
    let from_path = source.reader.path();
    let tx = source.reader.begin()?;
    let read = |error| Error::sqlite(from_path, "read the rows to copy", error);
    let write = |error| Error::sqlite(path, "write the copied rows", error);
    let sql = format!("SELECT * FROM {table} WHERE run_id = ?1");
    let mut query = tx.prepare(&sql).map_err(read)?;
    let columns = column_names(&query).map_err(read)?;
    let places = vec!["?"; columns.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
    let mut insert = to.prepare(&sql).map_err(write)?;
    let mut rows = query.query([source.run.id]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        let mut values = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let value = row.get_ref(at).map_err(read)?;
            values.push(match (column.as_str(), value) {
                // The copy has one run.
                ("run_id", _) => 1.into(),
                ("thread_id", ValueRef::Integer(id)) => {
                    threads.get(&id).map_or(rusqlite::types::Value::Null, |id| (*id).into())
                }
                _ => row.get(at).map_err(read)?,
            });
        }
        insert.execute(params_from_iter(values)).map_err(write)?;
    }
    Ok(())
}
