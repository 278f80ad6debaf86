//! Rows of a query, kept for a table or written as they come.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::{Map, Value};
use spandrel_export::is_formula;
use spandrel_query::sql::{SqlRows, SqlValue};

use crate::failure::Failure;
use crate::output::{Cell, Column, Format, Stream, Table, ignore_broken_pipe, no_formula};

/// All rows, for a table or a document.
#[derive(Debug, Default)]
pub(in crate::commands) struct Collected {
    columns: Vec<Column>,
    pub(in crate::commands) rows: Vec<Vec<Cell>>,
}

impl Collected {
    /// Columns with only numbers are aligned to the right.
    pub(super) fn table(mut self) -> Table {
        for (at, column) in self.columns.iter_mut().enumerate() {
            let text = |cell: &Cell| matches!(cell, Cell::Text(_));
            column.left = self.rows.iter().filter_map(|row| row.get(at)).any(text);
        }
        let mut table = Table::new(self.columns);
        self.rows.into_iter().for_each(|row| table.push(row));
        table
    }
}

impl SqlRows for Collected {
    fn columns(&mut self, names: &[String]) -> ControlFlow<()> {
        let names = distinct(names);
        self.columns = names
            .iter()
            .map(|name| Column::right(name, &crate::output::text::clean(name)))
            .collect();
        ControlFlow::Continue(())
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> ControlFlow<()> {
        self.rows.push(values.iter().map(cell).collect());
        ControlFlow::Continue(())
    }
}

fn cell(value: &SqlValue<'_>) -> Cell {
    match value {
        SqlValue::Null => Cell::Null,
        SqlValue::Integer(number) => Cell::Number(*number),
        SqlValue::Real(number) => Cell::Shown(number.to_string(), Value::from(*number)),
        SqlValue::Text(text) => Cell::Text(text.clone().into_owned()),
        SqlValue::Blob(bytes) => Cell::Text(hex(bytes)),
    }
}

/// Names of columns as keys: none of them twice.
fn distinct(names: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut key = name.clone();
        let mut number = 2;
        while keys.contains(&key) {
            key = format!("{name}_{number}");
            number += 1;
        }
        keys.push(key);
    }
    keys
}

/// Bytes as SQL writes them, without the quotes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rows on their way.
#[derive(Debug)]
pub(super) struct Written<'a> {
    to: Stream<'a>,
    format: Format,
    keys: Vec<String>,
    line: Vec<u8>,
    rows: u64,
    /// Whether texts must not be taken for formulas.
    spreadsheet: bool,
    /// How many texts would be.
    pub(super) formulas: u64,
    failure: Option<io::Error>,
}

impl<'a> Written<'a> {
    pub(super) fn new(to: Stream<'a>, format: Format, spreadsheet: bool) -> Self {
        let (keys, line) = (Vec::new(), Vec::new());
        Self { to, format, keys, line, rows: 0, spreadsheet, formulas: 0, failure: None }
    }

    pub(super) fn finish(self) -> Result<u64, Failure> {
        if let Some(source) = self.failure {
            return match ignore_broken_pipe(Err(source)) {
                Ok(()) => Ok(self.rows),
                Err(source) => {
                    Err(Failure::cannot_read(format!("cannot write the rows: {source}")))
                }
            };
        }
        self.to.finish()?;
        Ok(self.rows)
    }

    fn separated<'f>(
        &mut self,
        fields: impl Iterator<Item = (Cow<'f, str>, bool)>,
    ) -> io::Result<()> {
        self.line.clear();
        let by = if self.format == Format::Tsv { b'\t' } else { b',' };
        let mut writer = csv::WriterBuilder::new().delimiter(by).from_writer(&mut self.line);
        for (field, is_text) in fields {
            let is_formula = is_text && is_formula(&field);
            self.formulas += u64::from(is_formula);
            if is_formula && self.spreadsheet {
                writer.write_field(no_formula(&field).as_bytes())?;
            } else {
                writer.write_field(field.as_bytes())?;
            }
        }
        writer.write_record(None::<&[u8]>)?;
        writer.flush()?;
        drop(writer);
        self.to.write_all(&self.line)
    }

    fn object(&mut self, values: &[SqlValue<'_>]) -> io::Result<()> {
        let pairs = self.keys.iter().zip(values);
        let object: Map<String, Value> =
            pairs.map(|(key, value)| (key.clone(), cell(value).value())).collect();
        serde_json::to_writer(&mut self.to, &object)?;
        self.to.write_all(b"\n")
    }

    fn went(&mut self, written: io::Result<()>) -> ControlFlow<()> {
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl SqlRows for Written<'_> {
    fn columns(&mut self, names: &[String]) -> ControlFlow<()> {
        self.keys = distinct(names);
        if self.format == Format::Ndjson {
            return ControlFlow::Continue(());
        }
        let keys = self.keys.clone();
        let written = self.separated(keys.iter().map(|key| (key.as_str().into(), true)));
        self.went(written)
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> ControlFlow<()> {
        let written = if self.format == Format::Ndjson {
            self.object(values)
        } else {
            self.separated(values.iter().map(field))
        };
        self.rows += 1;
        self.went(written)
    }
}

/// A value as a field, and whether it is a text.
fn field<'f>(value: &'f SqlValue<'_>) -> (Cow<'f, str>, bool) {
    match value {
        SqlValue::Null => ("".into(), false),
        SqlValue::Integer(number) => (number.to_string().into(), false),
        SqlValue::Real(number) => (number.to_string().into(), false),
        SqlValue::Text(text) => (text.as_ref().into(), true),
        SqlValue::Blob(bytes) => (hex(bytes).into(), true),
    }
}
