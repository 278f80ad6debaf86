//! Views as people read them.

use anstyle::Style;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::Format;
use super::sheet::{Column, Sheet};
use super::text;
use super::view::{Header, View};

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The view as text with styles; whoever writes it takes them out where there are no colours.
pub(crate) fn render(view: &View, format: Format, quiet: bool, all_columns: bool) -> String {
    let mut page = String::new();
    let header = view.header.as_ref().map(Header::lines).unwrap_or_default();
    let above: Vec<&String> = header.iter().chain(&view.preamble).collect();
    if !quiet && !above.is_empty() {
        for line in above {
            page.push_str(&format!("{HEADING}{line}{HEADING:#}\n"));
        }
        page.push('\n');
    }
    match (&view.drawing, format) {
        (Some(drawing), Format::Md) => page.push_str(&format!("```text\n{drawing}```\n")),
        (Some(drawing), _) => page.push_str(drawing),
        (None, _) => page.push_str(&table(&view.sheet, format, all_columns)),
    }
    if let Some(cut) = cut(&view.sheet) {
        page.push_str(&format!("{FAINT}{cut}{FAINT:#}\n"));
    }
    if !quiet && !view.notes.is_empty() {
        page.push('\n');
        for note in &view.notes {
            page.push_str(note);
            page.push('\n');
        }
    }
    page
}

/// That there are more rows.
pub(crate) fn cut(sheet: &Sheet) -> Option<String> {
    let (shown, total) = (text::count(sheet.rows.len() as u64), text::count(sheet.total));
    sheet.is_truncated().then(|| format!("{shown} of {total} shown; -n 0 shows all."))
}

/// The rows as a table.
pub(crate) fn table(sheet: &Sheet, format: Format, all_columns: bool) -> String {
    if sheet.rows.is_empty() {
        return "nothing matched\n".into();
    }
    let shown = |column: &&Column| all_columns || column.shown;
    let columns: Vec<usize> = (0..sheet.columns.len())
        .filter(|at| sheet.columns.get(*at).as_ref().is_some_and(shown))
        .collect();
    let mut table = Table::new();
    table.load_style(if format == Format::Md { presets::ASCII_MARKDOWN } else { presets::NOTHING });
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().filter_map(|at| {
        let column = sheet.columns.get(*at)?;
        let mark = if sheet.sorted_by == Some(*at) { " ▼" } else { "" };
        Some(format!("{}{mark}", column.title))
    }));
    for row in &sheet.rows {
        table.add_row(columns.iter().filter_map(|at| Some(cell(&row.get(*at)?.text(), format))));
    }
    for (position, at) in columns.iter().enumerate() {
        let left = sheet.columns.get(*at).is_some_and(|column| column.left);
        if let Some(column) = table.column_mut(position) {
            column.set_padding((if position == 0 { 0 } else { 1 }, 1));
            column.set_cell_alignment(if left {
                CellAlignment::Left
            } else {
                CellAlignment::Right
            });
        }
    }
    let mut lines = String::new();
    for line in table.lines() {
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn cell(text: &str, format: Format) -> String {
    if format == Format::Md { text.replace('|', "\\|").replace('<', "&lt;") } else { text.into() }
}
