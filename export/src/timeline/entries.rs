//! The entries of a source in the order of time, each with the arrows from the entry before it and to the
//! next one of the same span.
//!
//! They are stored in order of end, those of several threads mixed: an entry of an hour comes after all that began
//! meanwhile. So they are sorted in a temporary database.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Rows, Statement, params};

use super::super::error::ExportError;
use super::super::id_set::IdSet;
use super::super::lanes::{Entry, Slice, What};
use super::super::source::{NamedEntry, Source};
use super::super::spool::temporary;
use spandrel_query::{Callsite, Thread};
use spandrel_storage::internals::FastHashMap;

/// Arrows between the entries of one span at most. A viewer has no use for those of a system that ran a
/// million times.
pub(crate) const ARROWS_MAX: u32 = 100;

const TABLE: &str = "CREATE TABLE entry (id INTEGER PRIMARY KEY, span_id INTEGER NOT NULL,
    callsite_id INTEGER NOT NULL, thread_id INTEGER NOT NULL, start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL, around_id INTEGER, self_ns INTEGER, earlier_entries INTEGER NOT NULL,
    earlier_ns INTEGER NOT NULL)";

const INSERT: &str = "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// An outer entry begins first; it is stored last, so it has the greater id.
const SORTED: &str =
    "SELECT id, span_id, callsite_id, thread_id, start_ns, end_ns, around_id, self_ns,
      earlier_entries, earlier_ns
    FROM entry ORDER BY start_ns, end_ns DESC, id DESC";

const NEXT: &str = "SELECT id, start_ns, end_ns FROM entry
    WHERE span_id = ?1 AND (start_ns, id) > (?2, ?3) ORDER BY start_ns, id LIMIT 1";

/// The chosen entries of a run.
pub(crate) struct Entries {
    conn: Connection,
    /// Spans with entries.
    entered: IdSet,
    /// Spans with more than one entry.
    again: IdSet,
    callsites: FastHashMap<i64, Arc<Callsite>>,
    threads: FastHashMap<i64, Arc<Thread>>,
    pub(crate) count: u64,
}

/// An entry.
pub(crate) struct Recorded {
    pub(crate) id: u64,
    pub(crate) from_ns: i64,
    pub(crate) to_ns: i64,
    pub(crate) callsite: Arc<Callsite>,
    pub(crate) thread: Arc<Thread>,
    pub(crate) entry: Entry,
}

impl Recorded {
    pub(super) fn slice(&self) -> Slice<'_> {
        Slice {
            from_ns: self.from_ns,
            to_ns: Some(self.to_ns),
            callsite: &self.callsite,
            thread: &self.thread,
            what: What::Entry(&self.entry),
        }
    }
}

impl Entries {
    /// Those that are chosen; `None` for a run that has no entries at all.
    pub(crate) fn find(source: &mut Source<'_>) -> Result<Option<Self>, ExportError> {
        if source.run.entries == 0 {
            return Ok(None);
        }
        source.choose()?;
        let mut found = Self {
            conn: temporary()?,
            entered: IdSet::default(),
            again: IdSet::default(),
            callsites: FastHashMap::default(),
            threads: FastHashMap::default(),
            count: 0,
        };
        found.conn.execute_batch(TABLE).map_err(ExportError::Spool)?;
        found.fill(source)?;
        // Needed for arrows only.
        let index = "CREATE INDEX by_span ON entry (span_id, start_ns, id)";
        if !found.again.is_empty() {
            found.conn.execute_batch(index).map_err(ExportError::Spool)?;
        }
        Ok(Some(found))
    }

    fn fill(&mut self, source: &mut Source<'_>) -> Result<(), ExportError> {
        let Self { conn, entered, again, callsites, threads, count } = self;
        let mut insert = conn.prepare(INSERT).map_err(ExportError::Spool)?;
        source.chosen_entries(|NamedEntry { row, callsite, thread }| {
            if entered.contains(row.span_id) {
                again.insert(row.span_id);
            } else {
                entered.insert(row.span_id);
            }
            callsites.entry(row.callsite_id).or_insert_with(|| callsite.clone());
            threads.entry(row.thread_id).or_insert_with(|| thread.clone());
            *count += 1;
            let around_id = Some(row.around_id as i64).filter(|id| *id != 0);
            let end_ns = row.start_ns.saturating_add(row.duration_ns.max(0));
            let inserted = insert.execute(params![
                row.id as i64,
                row.span_id as i64,
                row.callsite_id,
                row.thread_id,
                row.start_ns,
                end_ns,
                around_id,
                row.self_ns,
                row.earlier_entries as i64,
                row.earlier_ns,
            ]);
            inserted.map(drop).map_err(ExportError::Spool)
        })?;
        Ok(())
    }

    /// Whether a span has entries here.
    pub(crate) fn has(&self, span_id: u64) -> bool {
        self.entered.contains(span_id)
    }

    /// Whether a span has more than one entry here.
    pub(crate) fn has_several(&self, span_id: u64) -> bool {
        self.again.contains(span_id)
    }

    /// The statement for a [`Cursor`].
    pub(crate) fn sorted(&self) -> Result<Statement<'_>, ExportError> {
        self.conn.prepare(SORTED).map_err(ExportError::Spool)
    }
}

/// Reads entries in order of time.
pub(crate) struct Cursor<'e> {
    entries: &'e Entries,
    rows: Rows<'e>,
    find_next: Statement<'e>,
    /// The number of arrows so far for each span that has further entries.
    arrows: FastHashMap<u64, u32>,
    /// Pending arrows: their numbers by the entry that they lead to.
    arriving: FastHashMap<u64, u64>,
    /// The last number of an arrow.
    number: u64,
    next: Option<Recorded>,
}

impl<'e> Cursor<'e> {
    /// Stands before the first entry; arrows get numbers above `number`.
    pub(crate) fn new(
        entries: &'e Entries,
        sorted: &'e mut Statement<'_>,
        number: u64,
    ) -> Result<Self, ExportError> {
        let mut cursor = Self {
            entries,
            rows: sorted.query([]).map_err(ExportError::Spool)?,
            find_next: entries.conn.prepare(NEXT).map_err(ExportError::Spool)?,
            arrows: FastHashMap::default(),
            arriving: FastHashMap::default(),
            number,
            next: None,
        };
        cursor.step()?;
        Ok(cursor)
    }

    /// The next entry, without its arrows.
    pub(super) fn peek(&self) -> Option<&Recorded> {
        self.next.as_ref()
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self) -> Result<Option<Recorded>, ExportError> {
        let Some(mut recorded) = self.next.take() else { return Ok(None) };
        self.step()?;
        if self.entries.has_several(recorded.entry.span_id) {
            recorded.entry.arrives = self.arriving.remove(&recorded.id);
            recorded.entry.leaves = self.arrow_from(&recorded)?;
        }
        Ok(Some(recorded))
    }

    fn step(&mut self) -> Result<(), ExportError> {
        let read = |row: &Row<'_>| -> rusqlite::Result<Option<Recorded>> {
            let id = |at| row.get::<_, i64>(at).map(|id| id as u64);
            let callsite = self.entries.callsites.get(&row.get(2)?);
            let thread = self.entries.threads.get(&row.get(3)?);
            let (Some(callsite), Some(thread)) = (callsite, thread) else { return Ok(None) };
            Ok(Some(Recorded {
                id: id(0)?,
                from_ns: row.get(4)?,
                to_ns: row.get(5)?,
                callsite: callsite.clone(),
                thread: thread.clone(),
                entry: Entry {
                    span_id: id(1)?,
                    around_id: row.get::<_, Option<i64>>(6)?.map(|id| id as u64),
                    self_ns: row.get(7)?,
                    earlier: (id(8)?, row.get(9)?),
                    ..Entry::default()
                },
            }))
        };
        self.next = match self.rows.next().map_err(ExportError::Spool)? {
            Some(row) => read(row).map_err(ExportError::Spool)?,
            None => None,
        };
        Ok(())
    }

    /// The number of the arrow to the next entry of the same span, if there is one and an arrow can show it:
    /// from left to right, from what has some length to what has.
    fn arrow_from(&mut self, from: &Recorded) -> Result<Option<u64>, ExportError> {
        let span_id = from.entry.span_id;
        let count = self.arrows.entry(span_id).or_default();
        if *count >= ARROWS_MAX {
            return Ok(None);
        }
        let after = params![span_id as i64, from.from_ns, from.id as i64];
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get(2)?));
        let next = self.find_next.query_row(after, read).optional().map_err(ExportError::Spool)?;
        let Some((id, start_ns, end_ns)) = next else {
            self.arrows.remove(&span_id);
            return Ok(None);
        };
        // Times before the start of the run are drawn at the start.
        let at = |ns: i64| ns.max(0);
        let has_length = |start_ns, end_ns| at(start_ns) < at(end_ns);
        let is_drawn = at(from.from_ns) < at(start_ns)
            && has_length(from.from_ns, from.to_ns)
            && has_length(start_ns, end_ns);
        if !is_drawn {
            return Ok(None);
        }
        *count += 1;
        self.number += 1;
        self.arriving.insert(id, self.number);
        Ok(Some(self.number))
    }
}
