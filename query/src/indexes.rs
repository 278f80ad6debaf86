//! Which indexes and sum tables a profile has.

use rusqlite::Connection;
pub(crate) use spandrel_storage::internals::indexes::{
    BY_DURATION, BY_ROOT, BY_SPAN, INDEXES, PATH_SUMS, PATHS, ROOTS_BY_DURATION, SUMS, ZONES,
    drop_all, drop_index, drop_path_sums, drop_zones,
};

use crate::sum_tables::{
    PATH_SUMS_SQL, PATHS_SQL, PATHS_SQL_BEFORE, SUMS_SQL, SUMS_SQL_BEFORE, ZONES_SQL,
};

/// Which indexes a profile has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Indexes {
    /// Windows of time: their ids, and sums.
    pub windows: bool,
    /// Flame graphs: sums by path.
    pub paths: bool,
    /// The slowest spans of a callsite.
    pub durations: bool,
    /// The slowest traces.
    pub roots: bool,
    /// The spans of a trace.
    pub traces: bool,
    /// The events in a span.
    pub events: bool,
}

impl Indexes {
    /// Whether all are there.
    pub fn are_complete(&self) -> bool {
        self.windows && self.paths && self.durations && self.roots && self.traces && self.events
    }

    /// The names in the file of those that are there.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.windows, ZONES),
            (self.paths, PATHS),
            (self.durations, BY_DURATION),
            (self.roots, ROOTS_BY_DURATION),
            (self.traces, BY_ROOT),
            (self.events, BY_SPAN),
        ];
        all.into_iter().filter_map(|(is_there, name)| is_there.then_some(name))
    }
}

/// Looks for them. An index of the same name with another definition does not count.
pub(crate) fn present(conn: &Connection) -> rusqlite::Result<Indexes> {
    let mut find =
        conn.prepare("SELECT count(*) FROM sqlite_schema WHERE name = ?1 AND sql = ?2")?;
    let mut has = |name: &str, sql: &str| -> rusqlite::Result<bool> {
        Ok(find.query_row([name, sql], |row| row.get::<_, i64>(0))? > 0)
    };
    let [durations, roots, traces, events] = INDEXES.map(|(name, sql)| has(name, sql));
    Ok(Indexes {
        windows: has(ZONES, ZONES_SQL)? && (has(SUMS, SUMS_SQL)? || has(SUMS, SUMS_SQL_BEFORE)?),
        paths: (has(PATHS, PATHS_SQL)? || has(PATHS, PATHS_SQL_BEFORE)?)
            && has(PATH_SUMS, PATH_SUMS_SQL)?,
        durations: durations?,
        roots: roots?,
        traces: traces?,
        events: events?,
    })
}

/// Whether the sums of zones are apart for spans whose entries count.
pub(crate) fn knows_long_spans(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND sql = ?2)";
    conn.query_row(sql, [SUMS, SUMS_SQL], |row| row.get(0))
}

/// Whether the paths are apart for spans whose entries count.
pub(crate) fn knows_long_paths(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND sql = ?2)";
    conn.query_row(sql, [PATHS, PATHS_SQL], |row| row.get(0))
}
