//! A row of the table `span` before anything is looked up.

use rusqlite::Row;

use super::Columns;
use crate::reader::read_status;
use spandrel_storage::Status;

/// The stored numbers of a row, without names and fields. Columns that were not read are `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawSpan {
    pub(crate) id: i64,
    pub(crate) parent_id: Option<i64>,
    pub(crate) root_id: i64,
    pub(crate) callsite_id: i64,
    pub(crate) thread_id: i64,
    pub(crate) start_ns: i64,
    pub(crate) duration_ns: Option<i64>,
    pub(crate) busy_ns: Option<i64>,
    pub(crate) self_ns: Option<i64>,
    pub(crate) entries: i64,
    pub(crate) status: Status,
    pub(crate) first_entry_ns: Option<i64>,
    pub(crate) longest_entry_ns: Option<i64>,
    pub(crate) last_exit_ns: Option<i64>,
    pub(crate) longest_thread_id: Option<i64>,
    pub(crate) self_busy_ns: Option<i64>,
}

impl RawSpan {
    /// Reads a row and its fields; columns as `Rows::selected` lists them.
    pub(crate) fn of_row<'a>(
        row: &'a Row<'_>,
        columns: Columns,
    ) -> rusqlite::Result<(Self, Option<&'a str>)> {
        let number = |at: usize| -> rusqlite::Result<i64> { Ok(row.get_ref(at)?.as_i64()?) };
        let maybe =
            |at: usize| -> rusqlite::Result<Option<i64>> { Ok(row.get_ref(at)?.as_i64_or_null()?) };
        let fields = match columns {
            Columns::All => row.get_ref(16)?.as_str_or_null()?,
            Columns::Entries | Columns::Numbers => None,
        };
        let [first, longest, last, longest_thread, self_busy_ns] = match columns {
            Columns::Numbers => [None; 5],
            _ => [maybe(11)?, maybe(12)?, maybe(13)?, maybe(14)?, maybe(15)?],
        };
        let span = Self {
            id: number(0)?,
            parent_id: maybe(1)?,
            root_id: number(2)?,
            callsite_id: number(3)?,
            thread_id: number(4)?,
            start_ns: number(5)?,
            duration_ns: maybe(6)?,
            busy_ns: maybe(7)?,
            self_ns: maybe(8)?,
            entries: number(9)?,
            status: read_status(row, 10)?,
            first_entry_ns: first,
            longest_entry_ns: longest,
            last_exit_ns: last,
            longest_thread_id: longest_thread,
            self_busy_ns,
        };
        Ok((span, fields))
    }
}
