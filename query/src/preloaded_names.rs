//! The names of all callsites of a file and all threads of a run, read beforehand for threads that cannot ask SQLite.

use std::sync::Arc;

use rusqlite::{Params, Row, Statement, Transaction};

use super::raw_span::RawSpan;
use super::rows::Named;
use crate::reader::{Callsite, Shared, Thread, read_thread};

/// If there are more of either, nothing is read beforehand.
const NAMES_MAX: usize = 4_096;

/// All names, by number.
pub(crate) struct PreloadedNames {
    callsites: Table<Callsite>,
    threads: Table<Thread>,
}

/// Names from a first number on: those of a run have consecutive numbers.
struct Table<T> {
    first: i64,
    names: Vec<Option<Arc<T>>>,
}

impl<T> Table<T> {
    #[inline]
    fn get(&self, id: i64) -> Option<&Arc<T>> {
        self.names.get(usize::try_from(id.wrapping_sub(self.first)).ok()?)?.as_ref()
    }
}

impl PreloadedNames {
    /// `None` if there are too many, or some cannot be read.
    pub(crate) fn of(tx: &Transaction<'_>, run_id: i64) -> rusqlite::Result<Option<Self>> {
        let mut shared = Shared::default();
        let callsites = tx.prepare(&format!(
            "SELECT kind, name, target, level, module, file, line, id FROM callsite ORDER BY id LIMIT {}",
            NAMES_MAX + 1
        ))?;
        let callsite = |row: &Row<'_>| {
            let id = row.get(7)?;
            Ok((id, shared.callsite(id, row)?))
        };
        let Some(callsites) = table(callsites, [], callsite)? else { return Ok(None) };
        let threads = tx.prepare(&format!(
            "SELECT os_id, name, id FROM thread WHERE run_id = ?1 ORDER BY id LIMIT {}",
            NAMES_MAX + 1
        ))?;
        let thread = |row: &Row<'_>| {
            let id = row.get(2)?;
            Ok((id, read_thread(id, row)?))
        };
        let threads = table(threads, [run_id], thread)?;
        Ok(threads.map(|threads| Self { callsites, threads }))
    }

    /// The names of a row, if they are known.
    #[inline]
    pub(crate) fn of_row(&self, raw: &RawSpan) -> Option<Named<'_>> {
        let thread = self.threads.get(raw.thread_id)?;
        let longest_thread = match raw.longest_thread_id {
            Some(id) => self.threads.get(id)?,
            None => thread,
        };
        let callsite = self.callsites.get(raw.callsite_id)?;
        Some(Named { callsite, threads: [thread, longest_thread] })
    }
}

fn table<T>(
    mut query: Statement<'_>,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<(i64, T)>,
) -> rusqlite::Result<Option<Table<T>>> {
    let mut rows = query.query(params)?;
    let mut table = Table { first: 0, names: Vec::new() };
    while let Some(row) = rows.next()? {
        // An error in a row is reported when a span needs it.
        let Ok((id, name)) = read(row) else { return Ok(None) };
        if table.names.is_empty() {
            table.first = id;
        }
        let at = usize::try_from(id.wrapping_sub(table.first)).ok();
        let Some(at) = at.filter(|at| *at < NAMES_MAX) else { return Ok(None) };
        if at >= table.names.len() {
            table.names.resize(at + 1, None);
        }
        if let Some(place) = table.names.get_mut(at) {
            *place = Some(Arc::new(name));
        }
    }
    Ok(Some(table))
}
