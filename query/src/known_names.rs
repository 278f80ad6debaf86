//! The names of all callsites and threads of a file, for threads that cannot ask SQLite.

use std::sync::Arc;

use rusqlite::{Row, Statement, Transaction};

use super::raw_span::RawSpan;
use super::rows::Named;
use crate::reader::{Callsite, Shared, Thread, read_thread};

/// A file with more of either has them looked up one by one, as they are met.
const NAMES_MAX: usize = 4_096;

/// Names by number.
pub(crate) struct KnownNames {
    callsites: Vec<Option<Arc<Callsite>>>,
    threads: Vec<Option<Arc<Thread>>>,
}

impl KnownNames {
    /// `None`: they are too many, or some cannot be read.
    pub(crate) fn of(tx: &Transaction<'_>) -> rusqlite::Result<Option<Self>> {
        let mut shared = Shared::default();
        let callsites = tx.prepare(&format!(
            "SELECT kind, name, target, level, module, file, line, id FROM callsite LIMIT {}",
            NAMES_MAX + 1
        ))?;
        let callsite = |row: &Row<'_>| {
            let id = row.get(7)?;
            Ok((id, shared.callsite(id, row)?))
        };
        let Some(callsites) = table(callsites, callsite)? else { return Ok(None) };
        let threads =
            tx.prepare(&format!("SELECT os_id, name, id FROM thread LIMIT {}", NAMES_MAX + 1))?;
        let thread = |row: &Row<'_>| {
            let id = row.get(2)?;
            Ok((id, read_thread(id, row)?))
        };
        let threads = table(threads, thread)?;
        Ok(threads.map(|threads| Self { callsites, threads }))
    }

    /// The names of a row, if they are known.
    #[inline]
    pub(crate) fn of_row(&self, raw: &RawSpan) -> Option<Named<'_>> {
        let thread = get(&self.threads, raw.thread_id)?;
        let longest_thread = match raw.longest_thread_id {
            Some(id) => get(&self.threads, id)?,
            None => thread,
        };
        let callsite = get(&self.callsites, raw.callsite_id)?;
        Some(Named { callsite, threads: [thread, longest_thread] })
    }
}

#[inline]
fn get<T>(table: &[Option<Arc<T>>], id: i64) -> Option<&Arc<T>> {
    table.get(usize::try_from(id).ok()?)?.as_ref()
}

fn table<T>(
    mut query: Statement<'_>,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<(i64, T)>,
) -> rusqlite::Result<Option<Vec<Option<Arc<T>>>>> {
    let mut rows = query.query([])?;
    let mut table = Vec::new();
    while let Some(row) = rows.next()? {
        // What is wrong with a row is said once a span has it.
        let Ok((id, name)) = read(row) else { return Ok(None) };
        // The store numbers from one.
        let Some(at) = usize::try_from(id).ok().filter(|at| *at <= NAMES_MAX) else {
            return Ok(None);
        };
        if at >= table.len() {
            table.resize(at + 1, None);
        }
        if let Some(place) = table.get_mut(at) {
            *place = Some(Arc::new(name));
        }
    }
    Ok(Some(table))
}
