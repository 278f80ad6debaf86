//! From rows of SQLite to spans with names.
//!
//! Reading a value costs three calls of SQLite, and a look into a hash table for a name as much again. So only the
//! requested columns are read, and the names of callsites and threads, which the store numbers from one, stand in a
//! table by number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{Connection, Params, Statement, Transaction};

use super::id_range::Range;
use super::raw_span::RawSpan;
use super::span_pages::{Ended, PageQuery, Pause, ReadAheadEvent, SpanPages};
use super::workers::ReadAhead;
use super::{Columns, SpanContext, SpanRef};
use crate::reader::{
    Callsite, Lineage, LookUp, Shared, Span, Thread, last_exit, longest_entry, self_busy,
};
use spandrel_storage::Status;

/// Names that are kept in a table, some 200 bytes each; a program can have any number of threads.
const NAMES_MAX: usize = 1 << 20;
/// Names of higher numbers: only a forged file has them.
const OTHERS_MAX: usize = 16_384;

/// Reads spans of one run; caches names beyond a transaction.
pub(crate) struct Rows {
    run_id: i64,
    columns: Columns,
    callsites: NameCache<Callsite>,
    threads: NameCache<Thread>,
    /// Threads of longest entries.
    workers: NameCache<Thread>,
    shared: Shared,
}

impl Rows {
    pub(crate) fn new(run_id: i64, columns: Columns) -> Self {
        Self {
            run_id,
            columns,
            callsites: NameCache::default(),
            threads: NameCache::default(),
            workers: NameCache::default(),
            shared: Shared::default(),
        }
    }

    pub(crate) fn run_id(&self) -> i64 {
        self.run_id
    }

    /// The columns that a statement must select, in this order.
    pub(crate) fn selected(&self) -> &'static str {
        match self.columns {
            Columns::All => {
                "id, parent_id, root_id, callsite_id, thread_id, start_ns, duration_ns, busy_ns,
                 self_ns, entries, status, first_entry_ns, longest_entry_ns, last_exit_ns,
                 longest_thread_id, self_busy_ns, fields"
            }
            Columns::Entries => {
                "id, parent_id, root_id, callsite_id, thread_id, start_ns, duration_ns, busy_ns,
                 self_ns, entries, status, first_entry_ns, longest_entry_ns, last_exit_ns,
                 longest_thread_id, self_busy_ns"
            }
            Columns::Numbers => {
                "id, parent_id, root_id, callsite_id, thread_id, start_ns, duration_ns, busy_ns,
                 self_ns, entries, status"
            }
        }
    }

    /// Calls `each` for each row of a statement.
    pub(crate) fn read(
        &mut self,
        tx: &Transaction<'_>,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let mut names = LookUp::new(tx)?;
        let mut query = tx.prepare(sql)?;
        self.each(query.query(params)?, &mut names, &mut each)
    }

    /// The same for a statement whose parameters are bound.
    pub(crate) fn read_bound(
        &mut self,
        query: &mut Statement<'_>,
        names: &mut LookUp<'_>,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        self.each(query.raw_query(), names, &mut each)
    }

    /// Calls `each` for each row of a statement on entries, as a call of its span.
    pub(crate) fn read_entries(
        &mut self,
        tx: &Transaction<'_>,
        sql: &str,
        params: impl Params,
        owners: &mut impl OwnerLookup,
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let mut names = LookUp::new(tx)?;
        let mut query = tx.prepare(sql)?;
        let mut rows = query.query(params)?;
        while let Some(row) = rows.next()? {
            let mut entry = crate::Entry::read(row)?;
            let owner = owners.owner(&mut entry)?;
            let thread = self.threads.get(entry.thread_id, |id| names.thread(id))?;
            let shared = &mut self.shared;
            let callsite =
                self.callsites.get(entry.callsite_id, |id| names.callsite(id, shared))?;
            let duration_ns = Some(entry.duration_ns);
            let call = SpanRef {
                id: entry.span_id,
                run_id: self.run_id,
                parent_id: owner.and_then(|owner| owner.parent_id),
                root_id: owner.map_or(entry.span_id, |owner| owner.root_id),
                callsite,
                thread,
                start_ns: entry.start_ns,
                duration_ns,
                busy_ns: duration_ns,
                self_ns: entry.self_ns,
                self_busy_ns: entry.self_ns,
                entries: owner.map_or(1, |owner| owner.entries),
                first_entry_ns: owner.and_then(|owner| owner.first_entry_ns),
                longest_entry_ns: duration_ns,
                last_exit_ns: owner.and_then(|owner| owner.last_exit_ns),
                longest_thread: thread,
                status: owner.map_or(Status::Ok, |owner| owner.status),
                fields: owner.and_then(|owner| owner.fields.as_deref()),
                entry: Some(&entry),
                context: owner.and_then(|owner| owner.context),
            };
            if each(&call).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Calls `each` for the first rows of a range, read from the pages of the file.
    pub(crate) fn read_pages(
        &mut self,
        table: &SpanPages<'_>,
        conn: &Connection,
        range: &mut Range,
        (rows_max, query): (u32, &PageQuery<'_>),
        mut each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<Ended> {
        let mut names = LookUp::new(conn)?;
        table.rows().read(range, rows_max, query, |raw, fields| {
            Ok(each(&self.named(raw, fields, &mut names)?))
        })
    }

    /// The same for all rows of a range, read ahead by other threads; `each` is told from time to time how many rows
    /// were read. `None` if threads are not worth it.
    pub(crate) fn read_ahead(
        &mut self,
        (table, ahead): (&SpanPages<'_>, &ReadAhead),
        conn: &Connection,
        range: &mut Range,
        query: &PageQuery<'_>,
        each: &mut impl RowConsumer,
    ) -> rusqlite::Result<Option<Ended>> {
        let mut names = LookUp::new(conn)?;
        table.read_ahead(ahead, range, query, |told| match told {
            ReadAheadEvent::Row(raw, fields) => Ok(each.row(&self.named(raw, fields, &mut names)?)),
            ReadAheadEvent::LookedAt(rows, pause) => Ok(each.looked_at(rows, pause)),
        })
    }

    fn each(
        &mut self,
        mut rows: rusqlite::Rows<'_>,
        names: &mut LookUp<'_>,
        each: &mut impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        while let Some(row) = rows.next()? {
            let (raw, fields) = RawSpan::of_row(row, self.columns)?;
            if each(&self.named(&raw, fields, names)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn named<'a>(
        &'a mut self,
        raw: &RawSpan,
        fields: Option<&'a str>,
        names: &mut LookUp<'_>,
    ) -> rusqlite::Result<SpanRef<'a>> {
        let context = match self.columns {
            Columns::All => names.context(Lineage {
                id: raw.id,
                parent_id: raw.parent_id,
                root_id: raw.root_id,
            })?,
            Columns::Entries | Columns::Numbers => None,
        };
        let thread = self.threads.get(raw.thread_id, |id| names.thread(id))?;
        let longest_thread = match raw.longest_thread_id {
            Some(id) => self.workers.get(id, |id| names.thread(id))?,
            None => thread,
        };
        let shared = &mut self.shared;
        let callsite = self.callsites.get(raw.callsite_id, |id| names.callsite(id, shared))?;
        let named = Named { callsite, threads: [thread, longest_thread] };
        Ok(named.span(raw, (self.run_id, self.columns), fields, context))
    }
}

/// The names that a row refers to by number.
pub(crate) struct Named<'a> {
    pub(crate) callsite: &'a Arc<Callsite>,
    /// The thread that created the span, and the thread of its longest entry.
    pub(crate) threads: [&'a Arc<Thread>; 2],
}

impl<'a> Named<'a> {
    /// A row of a run as a span.
    #[inline]
    pub(crate) fn span(
        &self,
        raw: &RawSpan,
        (run_id, columns): (i64, Columns),
        fields: Option<&'a str>,
        context: Option<SpanContext>,
    ) -> SpanRef<'a> {
        let (entries, busy_ns) = (raw.entries as u64, raw.busy_ns);
        let [first, longest, last] = [raw.first_entry_ns, raw.longest_entry_ns, raw.last_exit_ns];
        let [thread, longest_thread] = self.threads;
        SpanRef {
            id: raw.id as u64,
            run_id,
            parent_id: raw.parent_id.map(|id| id as u64),
            root_id: raw.root_id as u64,
            callsite: self.callsite,
            thread,
            start_ns: raw.start_ns,
            duration_ns: raw.duration_ns,
            busy_ns,
            self_ns: raw.self_ns,
            self_busy_ns: match columns {
                Columns::Numbers => None,
                _ => self_busy((entries, first), busy_ns, raw.self_ns, raw.self_busy_ns),
            },
            entries,
            first_entry_ns: first,
            longest_entry_ns: longest_entry(entries, busy_ns, longest),
            last_exit_ns: last_exit(entries, busy_ns, first, last),
            longest_thread,
            status: raw.status,
            fields,
            entry: None,
            context,
        }
    }
}

/// Takes rows that are read ahead.
pub(crate) trait RowConsumer {
    /// A row.
    fn row(&mut self, span: &SpanRef<'_>) -> ControlFlow<()>;

    /// This many rows were read since the last call, those handed out included.
    fn looked_at(&mut self, rows: u64, pause: &Pause) -> ControlFlow<()>;
}

/// Looks up the spans of entries.
pub(crate) trait OwnerLookup {
    /// The span of an entry, if more of it is needed than the entry has, and if it is stored. May change the entry.
    fn owner(&mut self, entry: &mut crate::Entry) -> rusqlite::Result<Option<&Span>>;
}

/// Names by number.
struct NameCache<T> {
    /// The small numbers.
    table: Vec<Option<Arc<T>>>,
    /// The others.
    others: HashMap<i64, Arc<T>>,
}

impl<T> Default for NameCache<T> {
    fn default() -> Self {
        Self { table: Vec::new(), others: HashMap::new() }
    }
}

impl<T> NameCache<T> {
    fn get(
        &mut self,
        id: i64,
        look_up: impl FnOnce(i64) -> rusqlite::Result<Arc<T>>,
    ) -> rusqlite::Result<&Arc<T>> {
        match usize::try_from(id).ok().filter(|at| *at < NAMES_MAX) {
            Some(at) => {
                if at >= self.table.len() {
                    self.table.resize(at + 1, None);
                }
                match &mut self.table[at] {
                    Some(known) => Ok(known),
                    unknown => Ok(unknown.insert(look_up(id)?)),
                }
            }
            None => {
                if self.others.len() >= OTHERS_MAX && !self.others.contains_key(&id) {
                    self.others.clear();
                }
                match self.others.entry(id) {
                    Entry::Occupied(known) => Ok(known.into_mut()),
                    Entry::Vacant(unknown) => Ok(unknown.insert(look_up(id)?)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_once_and_their_number_is_bounded() {
        let mut kept = NameCache::default();
        let mut looked_up = 0;
        let mut get = |kept: &mut NameCache<i64>, id: i64| {
            let found = kept.get(id, |id| {
                looked_up += 1;
                Ok(Arc::new(id))
            });
            assert_eq!(**found.unwrap(), id);
            looked_up
        };
        let last = NAMES_MAX as i64;
        for id in [1, last - 1, last, -1, i64::MAX, 1, -1, i64::MIN, i64::MAX] {
            get(&mut kept, id);
        }
        assert_eq!(get(&mut kept, 1), 6);
        for id in 0..40_000 {
            get(&mut kept, id << 20);
        }
        assert!(kept.others.len() <= OTHERS_MAX && kept.table.len() <= NAMES_MAX);
    }
}
