//! The rows of a profile database, read with SQLite alone: no code of the project in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, Params, Row};
use serde_json::value::RawValue;

/// A read-only connection.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
}

/// A row of `span` with its callsite.
#[derive(Debug, Clone)]
pub struct Span {
    pub id: i64,
    pub run_id: i64,
    pub parent_id: Option<i64>,
    pub root_id: i64,
    pub name: String,
    pub level: String,
    pub thread_id: i64,
    pub start_ns: i64,
    pub duration_ns: Option<i64>,
    pub busy_ns: i64,
    pub self_ns: Option<i64>,
    pub entries: i64,
    pub status: String,
    pub fields: Fields,
}

/// When a span was entered, as the views say it: NULLs of the table are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entries {
    pub first_ns: Option<i64>,
    pub longest_ns: Option<i64>,
    pub last_exit_ns: Option<i64>,
    /// The thread of the longest entry.
    pub thread_id: i64,
}

/// A row of `event` with its callsite.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: i64,
    pub span_id: Option<i64>,
    pub level: String,
    pub target: String,
    pub thread_id: i64,
    pub at_ns: i64,
    pub message: Option<String>,
    pub fields: Fields,
}

/// A row of `loss`.
#[derive(Debug, Clone)]
pub struct Loss {
    pub reason: String,
    pub from_ns: i64,
    pub to_ns: i64,
    pub spans: i64,
    pub events: i64,
    pub entries: i64,
    pub thread_id: Option<i64>,
}

/// Column `fields`: each value as the digits and letters that stand in the file.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub BTreeMap<String, Box<RawValue>>);

impl Fields {
    fn parse(json: Option<String>) -> Self {
        let Some(json) = json else { return Self::default() };
        match serde_json::from_str(&json) {
            Ok(fields) => Self(fields),
            Err(error) => panic!("fields are not a JSON object: {error}: {json}"),
        }
    }

    /// A value as it stands in the JSON text.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    /// A value that must be a JSON string.
    pub fn text(&self, name: &str) -> String {
        let raw = self.raw(name).unwrap_or_else(|| panic!("no field {name} in {self:?}"));
        serde_json::from_str(raw).unwrap_or_else(|_| panic!("{name} is not a string: {raw}"))
    }

    /// A value that must be a whole number.
    pub fn number(&self, name: &str) -> i64 {
        let raw = self.raw(name).unwrap_or_else(|| panic!("no field {name} in {self:?}"));
        raw.parse().unwrap_or_else(|_| panic!("{name} is not a whole number: {raw}"))
    }

    /// The names, `$truncated` left out.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| *name != "$truncated").collect()
    }

    /// What was cut or left out: the field, and its length before.
    pub fn cut(&self) -> BTreeMap<String, Option<u64>> {
        self.raw("$truncated").map_or_else(BTreeMap::new, |raw| {
            serde_json::from_str(raw).unwrap_or_else(|error| panic!("$truncated {raw}: {error}"))
        })
    }
}

impl Span {
    /// When it ended, or when it began if it never did.
    pub fn end_ns(&self) -> i64 {
        self.start_ns + self.duration_ns.unwrap_or(0)
    }

    /// The number that a test gave it in its field `n`.
    pub fn n(&self) -> i64 {
        self.fields.number("n")
    }
}

impl Database {
    /// When the span with this id was entered.
    pub fn entries_of(&self, id: i64) -> Entries {
        let sql = "SELECT first_entry_ns,
              CASE WHEN entries = 1 THEN coalesce(longest_entry_ns, busy_ns) ELSE longest_entry_ns END,
              CASE WHEN entries = 1 THEN coalesce(last_exit_ns, first_entry_ns + busy_ns)
                ELSE last_exit_ns END,
              coalesce(longest_thread_id, thread_id)
            FROM span WHERE id = ?1";
        let read = |row: &Row<'_>| {
            Ok(Entries {
                first_ns: row.get(0)?,
                longest_ns: row.get(1)?,
                last_exit_ns: row.get(2)?,
                thread_id: row.get(3)?,
            })
        };
        self.connection.query_row(sql, [id], read).unwrap()
    }

    /// Opens a file that must be there.
    pub fn open(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        connection.busy_timeout(Duration::from_secs(20)).expect("a number");
        Self { path: path.to_owned(), connection }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All rows of a query.
    pub fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let wrong = |error: rusqlite::Error| -> ! { panic!("{sql}: {error}") };
        let mut statement = self.connection.prepare(sql).unwrap_or_else(|error| wrong(error));
        let rows = statement.query_map(params, row).unwrap_or_else(|error| wrong(error));
        rows.map(|row| row.unwrap_or_else(|error| wrong(error))).collect()
    }

    /// The one value of a query that has one row and one column.
    pub fn value<T: FromSql>(&self, sql: &str) -> T {
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// A query that counts.
    pub fn count(&self, sql: &str) -> u64 {
        u64::try_from(self.value::<i64>(sql)).expect("a count is not negative")
    }

    /// All spans, by id.
    pub fn spans(&self) -> Vec<Span> {
        self.rows(
            "SELECT s.*, c.name, c.level FROM span AS s JOIN callsite AS c ON c.id = s.callsite_id
             WHERE c.kind = 'span' ORDER BY s.id",
            [],
            |row| {
                Ok(Span {
                    id: row.get("id")?,
                    run_id: row.get("run_id")?,
                    parent_id: row.get("parent_id")?,
                    root_id: row.get("root_id")?,
                    name: row.get("name")?,
                    level: row.get("level")?,
                    thread_id: row.get("thread_id")?,
                    start_ns: row.get("start_ns")?,
                    duration_ns: row.get("duration_ns")?,
                    busy_ns: row.get("busy_ns")?,
                    self_ns: row.get("self_ns")?,
                    entries: row.get("entries")?,
                    status: row.get("status")?,
                    fields: Fields::parse(row.get("fields")?),
                })
            },
        )
    }

    /// The one span of this name.
    pub fn span(&self, name: &str) -> Span {
        let mut found: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans named {name}: {found:#?}");
        found.remove(0)
    }

    /// All events, by id.
    pub fn events(&self) -> Vec<Event> {
        self.rows(
            "SELECT e.*, c.level, c.target FROM event AS e
             JOIN callsite AS c ON c.id = e.callsite_id WHERE c.kind = 'event' ORDER BY e.id",
            [],
            |row| {
                Ok(Event {
                    id: row.get("id")?,
                    span_id: row.get("span_id")?,
                    level: row.get("level")?,
                    target: row.get("target")?,
                    thread_id: row.get("thread_id")?,
                    at_ns: row.get("at_ns")?,
                    message: row.get("message")?,
                    fields: Fields::parse(row.get("fields")?),
                })
            },
        )
    }

    /// The one event with this message.
    pub fn event(&self, message: &str) -> Event {
        let mut found: Vec<_> = self.events();
        found.retain(|event| event.message.as_deref() == Some(message));
        assert_eq!(found.len(), 1, "events that say {message}: {found:#?}");
        found.remove(0)
    }

    /// The name of the parent of the one span of this name, which shares its root.
    pub fn parent_of(&self, name: &str) -> Option<String> {
        let span = self.span(name);
        let parent = self.by_id(span.parent_id?);
        assert_eq!(span.root_id, parent.root_id, "the root of {name}");
        Some(parent.name)
    }

    /// The name of the span that the one event with this message is in.
    pub fn place_of(&self, message: &str) -> Option<String> {
        Some(self.by_id(self.event(message).span_id?).name)
    }

    /// How many spans of a name have which status.
    pub fn statuses(&self) -> Vec<(String, String, i64)> {
        let sql = "SELECT name, status, count(*) FROM spans GROUP BY name, status ORDER BY name";
        self.rows(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    }

    fn by_id(&self, id: i64) -> Span {
        self.spans().into_iter().find(|span| span.id == id).expect("the span's row")
    }

    /// All links: the later span and the one it follows.
    pub fn links(&self) -> Vec<(i64, i64)> {
        self.rows("SELECT span_id, follows_id FROM link ORDER BY 1, 2", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// All losses of all runs.
    pub fn losses(&self) -> Vec<Loss> {
        self.losses_where("TRUE")
    }

    pub(crate) fn losses_where(&self, condition: &str) -> Vec<Loss> {
        self.rows(&format!("SELECT * FROM loss WHERE {condition} ORDER BY id"), [], |row| {
            Ok(Loss {
                reason: row.get("reason")?,
                from_ns: row.get("from_ns")?,
                to_ns: row.get("to_ns")?,
                spans: row.get("spans")?,
                events: row.get("events")?,
                entries: row.get("entries")?,
                thread_id: row.get("thread_id")?,
            })
        })
    }

    /// Number of the last run.
    pub fn last_run(&self) -> i64 {
        self.value("SELECT max(id) FROM run")
    }
}

/// Such rows, to compare with [`Database::statuses`].
pub fn statuses(rows: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    rows.iter().map(|(name, status, n)| ((*name).into(), (*status).into(), *n)).collect()
}
