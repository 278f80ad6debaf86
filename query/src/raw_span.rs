//! A row of the table `span` before anything is looked up.

use rusqlite::Row;

use super::Columns;
use crate::reader::read_status;
use spandrel_storage::Status;

/// A row as it is stored, without names. What is not read of it is `None`.
pub(crate) struct RawSpan<'a> {
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
    pub(crate) fields: Option<&'a str>,
    pub(crate) first_entry_ns: Option<i64>,
    pub(crate) longest_entry_ns: Option<i64>,
    pub(crate) last_exit_ns: Option<i64>,
    pub(crate) longest_thread_id: Option<i64>,
}

impl<'a> RawSpan<'a> {
    /// A row with its values in the order in which `Rows::selected` asks for them.
    pub(crate) fn of_row(row: &'a Row<'_>, columns: Columns) -> rusqlite::Result<Self> {
        let number = |at: usize| -> rusqlite::Result<i64> { Ok(row.get_ref(at)?.as_i64()?) };
        let maybe =
            |at: usize| -> rusqlite::Result<Option<i64>> { Ok(row.get_ref(at)?.as_i64_or_null()?) };
        let fields = match columns {
            Columns::All => row.get_ref(15)?.as_str_or_null()?,
            Columns::Entries | Columns::Numbers => None,
        };
        let [first, longest, last, longest_thread] = match columns {
            Columns::Numbers => [None; 4],
            _ => [maybe(11)?, maybe(12)?, maybe(13)?, maybe(14)?],
        };
        Ok(Self {
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
            fields,
            first_entry_ns: first,
            longest_entry_ns: longest,
            last_exit_ns: last,
            longest_thread_id: longest_thread,
        })
    }
}
