//! Rows and columns: what a view shows to people as a table, and gives to programs as they are.

use std::cmp::Ordering;

use serde_json::Value;
use spandrel_query::OrderRows as _;
use spandrel_query::Thread;

use super::text;
use crate::failure::{Failure, did_you_mean};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Not known, or not measured.
    Null,
    /// A name or another text of the profile; cleaned where people see it.
    Text(String),
    /// How many.
    Count(u64),
    /// Any other whole number.
    Number(i64),
    /// A length of time, nanoseconds.
    Ns(i64),
    Bytes(u64),
    Share(f64),
    /// Yes or no.
    Bool(bool),
    Span(u64),
    /// The id of a trace: that of its root.
    Trace(u64),
    /// The fields of a span, or another JSON value.
    Json(Value),
    /// For people another text than for programs.
    Shown(String, Value),
}

impl Cell {
    /// What people see.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => "-".into(),
            Self::Text(text) => text::clean(text),
            Self::Count(count) => text::count(*count),
            Self::Number(number) => number.to_string(),
            Self::Ns(ns) => text::duration(*ns),
            Self::Bytes(bytes) => text::bytes(*bytes),
            Self::Share(share) => text::share(*share),
            Self::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
            Self::Span(id) => format!("s{id}"),
            Self::Trace(id) => format!("t{id}"),
            Self::Json(Value::Object(fields)) => {
                let pairs = fields.iter().map(|(key, value)| match value {
                    Value::String(value) => format!("{key}={value}"),
                    value => format!("{key}={value}"),
                });
                text::clean(&pairs.collect::<Vec<_>>().join(" "))
            }
            Self::Json(value) => text::clean(&value.to_string()),
            Self::Shown(shown, _) => shown.clone(),
        }
    }

    /// What programs get.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::from(text.as_str()),
            Self::Count(number)
            | Self::Bytes(number)
            | Self::Span(number)
            | Self::Trace(number) => Value::from(*number),
            Self::Number(number) | Self::Ns(number) => Value::from(*number),
            Self::Share(share) => Value::from(*share),
            Self::Bool(yes) => Value::from(*yes),
            Self::Json(value) | Self::Shown(_, value) => value.clone(),
        }
    }

    /// What is not known is less than anything that is.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (one, other) => match (one.value().as_f64(), other.value().as_f64()) {
                (Some(one), Some(other)) => one.total_cmp(&other),
                _ => one.text().cmp(&other.text()),
            },
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&Thread> for Cell {
    fn from(thread: &Thread) -> Self {
        match &thread.name {
            Some(name) => Self::Text(name.clone()),
            None => Self::Shown(format!("thread {}", thread.os_id), Value::Null),
        }
    }
}

impl From<Option<String>> for Cell {
    /// A text that may not be known.
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<Option<i64>> for Cell {
    /// A length of time that may not be known.
    fn from(ns: Option<i64>) -> Self {
        ns.map_or(Self::Null, Self::Ns)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name for programs, `--sort` and `--columns`; the unit comes last.
    pub(crate) key: String,
    /// Its title for people.
    pub(crate) title: String,
    /// Whether people see it without asking: `--columns` and `--verbose` show all.
    pub(crate) shown: bool,
    /// Texts stand on the left, numbers on the right.
    pub(crate) left: bool,
    /// Where there is no room, those with higher numbers go first; 0: never.
    pub(crate) drop_rank: u8,
}

impl Column {
    /// A column of numbers.
    pub(crate) fn right(key: &str, title: &str) -> Self {
        Self { key: key.into(), title: title.into(), shown: true, left: false, drop_rank: 0 }
    }

    /// A column of texts.
    pub(crate) fn left(key: &str, title: &str) -> Self {
        Self { left: true, ..Self::right(key, title) }
    }

    /// Can be done without where there is no room: the higher, the sooner.
    #[must_use]
    pub(crate) fn drop_rank(self, drop_rank: u8) -> Self {
        Self { drop_rank, ..self }
    }

    /// Only for those who ask for it, and for programs.
    #[must_use]
    pub(crate) fn hidden(self) -> Self {
        self.shown_if(false)
    }

    /// The same unless that is so.
    #[must_use]
    pub(crate) fn shown_if(self, shown: bool) -> Self {
        Self { shown, ..self }
    }
}

/// A table with a row for each item. A line is a column: how it is called and shown, and what a row has in it.
macro_rules! table_of {
    (for $row:pat in $rows:expr, { $($before:tt)* } $($column:expr => $cell:expr,)*) => {{
        let mut table = $crate::output::Table::new(vec![$($column),*]);
        for $row in $rows {
            $($before)*
            table.push(vec![$($cell),*]);
        }
        table
    }};
}

pub(crate) use table_of;

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// How many rows there are, those that are not here included.
    pub(crate) total: u64,
    /// The column that the rows are sorted by, for people to see.
    pub(crate) sorted_by: Option<usize>,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns, ..Self::default() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
        self.total += 1;
    }

    /// Puts further columns behind the others, with what each row has in them.
    pub(crate) fn append(&mut self, columns: Vec<Column>, cells: impl Iterator<Item = Vec<Cell>>) {
        self.columns.extend(columns);
        self.rows.iter_mut().zip(cells).for_each(|(row, cells)| row.extend(cells));
    }

    /// Some of the rows are missing.
    pub(crate) fn is_truncated(&self) -> bool {
        (self.rows.len() as u64) < self.total
    }

    fn column(&self, key: &str) -> Result<usize, Failure> {
        let found = |column: &Column| column.key == key || column.title == key;
        // "dur" means "duration_ns": a key may be cut where that is not ambiguous.
        let mut beginning = self.columns.iter().enumerate().filter(|(_, c)| c.key.starts_with(key));
        if let Some(at) = self.columns.iter().position(found) {
            return Ok(at);
        }
        match (beginning.next(), beginning.next()) {
            (Some((at, _)), None) => Ok(at),
            _ => {
                let keys: Vec<_> = self.columns.iter().map(|column| column.key.as_str()).collect();
                let message = format!("there is no column {key:?}");
                let near = did_you_mean(key, keys.iter().copied());
                Err(Failure::usage(message)
                    .hint(format!("{near}the columns are {}", keys.join(", "))))
            }
        }
    }

    /// Sorts by a column's key, with `:asc` or `:desc` behind it; numbers fall, texts rise.
    pub(crate) fn sort(&mut self, by: &str) -> Result<(), Failure> {
        let (key, order) = by.split_once(':').map_or((by, None), |(key, way)| (key, Some(way)));
        let at = self.column(key)?;
        let falling = match order {
            None => self.columns.get(at).is_some_and(|column| !column.left),
            Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                let message = format!("cannot sort {other:?}");
                return Err(Failure::usage(message).hint(format!("{key}:asc or {key}:desc")));
            }
        };
        self.rows.order_by(|one, other| match (one.get(at), other.get(at)) {
            (Some(one), Some(other)) if falling => other.compare(one),
            (Some(one), Some(other)) => one.compare(other),
            _ => Ordering::Equal,
        });
        self.sorted_by = Some(at);
        // What rows are ranked by is to be seen, though it is not otherwise.
        self.columns.iter_mut().skip(at).take(1).for_each(|column| column.shown = true);
        Ok(())
    }

    /// Keeps the columns of these keys, in this order, and shows them.
    pub(crate) fn select(&mut self, keys: &[String]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let kept = keys.iter().map(|key| self.column(key)).collect::<Result<Vec<_>, _>>()?;
        self.sorted_by = self.sorted_by.and_then(|at| kept.iter().position(|kept| *kept == at));
        self.columns = kept
            .iter()
            .filter_map(|at| self.columns.get(*at).cloned())
            .map(|column| Column { shown: true, ..column })
            .collect();
        for row in &mut self.rows {
            *row = kept.iter().filter_map(|at| row.get(*at).cloned()).collect();
        }
        Ok(())
    }

    /// Keeps the first rows; 0 keeps all.
    pub(crate) fn truncate(&mut self, limit: usize) {
        if limit > 0 {
            self.rows.truncate(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table =
            Table::new(vec![Column::left("name", "span"), Column::right("dur_ns", "dur")]);
        for (name, ns) in [("b", 2), ("a", 30), ("c", 1)] {
            table.push(vec![Cell::Text(name.into()), Cell::Ns(ns)]);
        }
        table
    }

    fn names(table: &Table) -> String {
        table.rows.iter().map(|row| row[0].text()).collect()
    }

    #[test]
    fn numbers_fall_and_texts_rise() {
        let mut table = table();
        table.sort("dur").unwrap();
        assert_eq!(names(&table), "abc");
        table.sort("dur_ns:asc").unwrap();
        assert_eq!(names(&table), "cba");
        table.sort("span").unwrap();
        assert_eq!(names(&table), "abc");
        assert!(table.sort("x").unwrap_err().hint.unwrap().contains("name, dur_ns"));
        assert!(table.sort("name:up").is_err());
    }

    #[test]
    fn columns_are_chosen_and_rows_are_cut() {
        let mut table = table();
        table.select(&["dur_ns".into(), "name".into()]).unwrap();
        assert_eq!(table.rows[0], [Cell::Ns(2), Cell::Text("b".into())]);
        table.truncate(0);
        assert!(!table.is_truncated());
        table.truncate(2);
        assert!(table.is_truncated());
        assert!(table.select(&["no".into()]).is_err());
    }
}
