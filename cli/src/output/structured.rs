//! Views as programs read them: raw nanoseconds, and all columns.
//!
//! The JSON document is a contract with a version, described in the documentation. Members are
//! added without notice; the version is raised when one changes its meaning or goes away.

use serde_json::{Map, Value, json};
use spandrel_export::is_formula;

use super::table::{Cell, Table};
use super::view::View;

pub(crate) const SCHEMA_VERSION: u32 = 1;

/// One document.
pub(crate) fn json(view: &View) -> serde_json::Result<String> {
    let mut document = Map::new();
    document.insert("schema_version".into(), json!(SCHEMA_VERSION));
    document.insert("command".into(), json!(view.command));
    if let Some(header) = &view.header {
        let members = header.members().into_iter().map(|(key, value)| (key.to_owned(), value));
        document.extend(members);
    }
    document.insert("truncated".into(), json!(view.table.is_truncated()));
    document.insert("total".into(), json!(view.table.total));
    document.extend(view.extra.clone());
    document.insert("rows".into(), objects(&view.table).collect());
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

/// One object a line.
pub(crate) fn ndjson(table: &Table) -> String {
    objects(table).map(|row| format!("{row}\n")).collect()
}

fn objects(table: &Table) -> impl Iterator<Item = Value> {
    table.rows.iter().map(|row| {
        let cells = table.columns.iter().zip(row);
        Value::Object(cells.map(|(column, cell)| (column.key.clone(), cell.value())).collect())
    })
}

/// Separated values with a header line. With `safe` no text is a formula for a spreadsheet.
pub(crate) fn separated(table: &Table, by: u8, safe: bool) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().delimiter(by).from_writer(Vec::new());
    let field = |text: &str| if safe { no_formula(text) } else { text.to_owned() };
    writer.write_record(table.columns.iter().map(|column| field(&column.key)))?;
    for row in &table.rows {
        writer.write_record(row.iter().map(|cell| match cell.value() {
            Value::String(text) => field(&text),
            _ => plain(cell),
        }))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// With a quotation mark in front, if a spreadsheet would take the text for a formula.
pub(crate) fn no_formula(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

/// A cell as a field of separated values: nothing for what is not known.
pub(crate) fn plain(cell: &Cell) -> String {
    match cell.value() {
        Value::Null => String::new(),
        Value::String(text) => text,
        value => value.to_string(),
    }
}
