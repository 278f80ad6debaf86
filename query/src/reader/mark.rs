//! Named moments and sections.

use super::Reader;
use spandrel_storage::Error;

/// A named moment or section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// Its number in the file; grows with the time of writing.
    pub id: i64,
    /// The run it belongs to.
    pub run_id: i64,
    /// The moment, or the start of the section, nanoseconds since the start of the run.
    pub at_ns: i64,
    /// End of the section; `None` for a moment.
    pub until_ns: Option<i64>,
    /// What it is called.
    pub label: String,
    /// Its fields, a JSON object.
    pub fields: Option<String>,
}

impl Reader {
    /// The marks of a run, in the order of time.
    pub fn marks(&self, run_id: i64) -> Result<Vec<Mark>, Error> {
        self.query("read the marks", |tx| {
            let mut query = tx.prepare(
                "SELECT id, run_id, at_ns, until_ns, label, fields FROM mark
                 WHERE run_id = ?1 ORDER BY at_ns, id",
            )?;
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Mark {
                    id: row.get(0)?,
                    run_id: row.get(1)?,
                    at_ns: row.get(2)?,
                    until_ns: row.get(3)?,
                    label: row.get(4)?,
                    fields: row.get(5)?,
                })
            };
            query.query_map([run_id], read)?.collect()
        })
    }
}
