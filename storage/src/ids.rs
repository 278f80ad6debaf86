//! The largest numbers in a file, so that new rows get numbers that are not in use.
//!
//! The row of a run tells the largest id of the run, but that is not enough: the row may have been
//! deleted while other rows of the run were left. So all tables are searched, including the columns that
//! refer to other tables: if the row of a run, callsite or thread is gone, its number must not be given
//! to another one. Of tables without an index only the newest rows are searched; numbers grow with time,
//! so the largest ones are there.

use rusqlite::{Connection, Row};

/// How many of the newest rows of a table are searched; this takes some milliseconds for all tables.
const NEWEST: u32 = 16_384;
/// The same for rollups, whose rows are a hundred times as long as others.
const NEWEST_ROLLUPS: u32 = 256;

/// The largest number of each kind, 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LastIds {
    /// Of spans and events, references to spans without a row included.
    pub(crate) id: i64,
    pub(crate) run: i64,
    pub(crate) callsite: i64,
    pub(crate) thread: i64,
    pub(crate) batch: i64,
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Id,
    Run,
    Callsite,
    Thread,
    Batch,
}

use Kind::{Batch, Callsite, Id, Run, Thread};

/// A table, its columns that hold numbers, and the column by which its newest rows are found and how many
/// of them are searched: `None` if an index finds the largest number, or if the table has few rows.
type Columns = (&'static str, &'static [(&'static str, Kind)], Option<(&'static str, u32)>);

const TABLES: [Columns; 19] = [
    ("run", &[("id", Run), ("last_id", Id), ("first_id - 1", Id), ("last_batch_id", Batch)], None),
    ("callsite", &[("id", Callsite)], None),
    ("thread", &[("id", Thread), ("run_id", Run)], Some(("id", NEWEST))),
    (
        "span",
        &[
            ("id", Id),
            ("parent_id", Id),
            ("root_id", Id),
            ("run_id", Run),
            ("callsite_id", Callsite),
            ("thread_id", Thread),
            ("batch_id", Batch),
        ],
        Some(("id", NEWEST)),
    ),
    (
        "event",
        &[
            ("id", Id),
            ("span_id", Id),
            ("run_id", Run),
            ("callsite_id", Callsite),
            ("thread_id", Thread),
            ("batch_id", Batch),
        ],
        Some(("id", NEWEST)),
    ),
    (
        "link",
        &[("span_id", Id), ("follows_id", Id), ("run_id", Run), ("batch_id", Batch)],
        Some(("rowid", NEWEST)),
    ),
    (
        "trace_context",
        &[("root_id", Id), ("span_id", Id), ("run_id", Run), ("batch_id", Batch)],
        Some(("root_id", NEWEST)),
    ),
    (
        "entry",
        &[
            ("id", Id),
            ("span_id", Id),
            ("around_id", Id),
            ("run_id", Run),
            ("callsite_id", Callsite),
            ("thread_id", Thread),
            ("batch_id", Batch),
        ],
        Some(("id", NEWEST)),
    ),
    ("batch", &[("id", Batch), ("run_id", Run)], Some(("id", NEWEST))),
    ("batch_range", &[("batch_id", Batch), ("last_id", Id)], Some(("batch_id", NEWEST))),
    ("mark", &[("run_id", Run)], Some(("id", NEWEST))),
    ("gauge", &[("run_id", Run)], Some(("id", NEWEST))),
    ("rollup", &[("run_id", Run)], None),
    (
        "rollup",
        &[("callsite_id", Callsite)],
        Some(("run_id DESC, at_ns DESC, callsite_id", NEWEST_ROLLUPS)),
    ),
    ("entry_rollup", &[("run_id", Run)], None),
    (
        "entry_rollup",
        &[("callsite_id", Callsite)],
        Some(("run_id DESC, at_ns DESC, callsite_id", NEWEST_ROLLUPS)),
    ),
    ("writer_stat", &[("run_id", Run)], None),
    (
        "open_span",
        &[
            ("id", Id),
            ("parent_id", Id),
            ("root_id", Id),
            ("run_id", Run),
            ("callsite_id", Callsite),
            ("thread_id", Thread),
        ],
        None,
    ),
    ("loss", &[("run_id", Run), ("thread_id", Thread)], Some(("id", NEWEST))),
];

impl LastIds {
    /// Searches all tables.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut last = Self::default();
        for (table, columns, newest) in TABLES {
            last.ask(conn, table, columns, newest)?;
        }
        Ok(last)
    }

    fn ask(
        &mut self,
        conn: &Connection,
        table: &str,
        columns: &[(&str, Kind)],
        newest: Option<(&str, u32)>,
    ) -> rusqlite::Result<()> {
        let largest: Vec<_> = (0..columns.len()).map(|at| format!("max(c{at})")).collect();
        let named: Vec<_> =
            columns.iter().enumerate().map(|(at, (name, _))| format!("{name} AS c{at}")).collect();
        let (largest, named) = (largest.join(", "), named.join(", "));
        let sql = match newest {
            Some((order, rows)) => format!(
                "SELECT {largest} FROM (SELECT {named} FROM main.{table} ORDER BY {order} DESC \
                 LIMIT {rows})"
            ),
            None => format!("SELECT {largest} FROM (SELECT {named} FROM main.{table})"),
        };
        let read = |row: &Row<'_>| -> rusqlite::Result<()> {
            for (at, (_, kind)) in columns.iter().enumerate() {
                let number = row.get::<_, Option<i64>>(at)?.unwrap_or(0);
                let last = match kind {
                    Id => &mut self.id,
                    Run => &mut self.run,
                    Callsite => &mut self.callsite,
                    Thread => &mut self.thread,
                    Batch => &mut self.batch,
                };
                *last = number.max(*last);
            }
            Ok(())
        };
        conn.query_row(&sql, [], read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn every_column_that_holds_a_number_of_ours_is_asked() {
        let mut conn = Connection::open_in_memory().unwrap();
        let tx = conn.transaction().unwrap();
        schema::create(&tx).unwrap();
        tx.commit().unwrap();
        assert_eq!(LastIds::read(&conn).unwrap(), LastIds::default());
        for table in schema::TABLES {
            let mut columns = conn.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            let names: Vec<String> = columns
                .query_map([table], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for name in names {
                let ours = matches!(
                    name.as_str(),
                    "run_id"
                        | "callsite_id"
                        | "thread_id"
                        | "span_id"
                        | "follows_id"
                        | "parent_id"
                        | "root_id"
                        | "around_id"
                        | "last_id"
                        | "batch_id"
                        | "last_batch_id"
                ) || (name == "id"
                    && matches!(
                        table,
                        "run"
                            | "callsite"
                            | "thread"
                            | "span"
                            | "event"
                            | "entry"
                            | "open_span"
                            | "batch"
                    ));
                let asked = TABLES.iter().any(|(asked, columns, _)| {
                    *asked == table && columns.iter().any(|(column, _)| *column == name)
                });
                assert_eq!(asked, ours, "{table}.{name}");
            }
        }
    }
}
