//! Views for people.

use anstyle::Style;
use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::Format;
use super::fit;
use super::table::{Column, Table};
use super::text;
use super::view::{Header, View};

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// How a view is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RenderOptions {
    pub(crate) format: Format,
    /// Only the output itself.
    pub(crate) quiet: bool,
    /// Whether also columns that are hidden otherwise.
    pub(crate) all_columns: bool,
    /// Whether the user has chosen the columns.
    pub(crate) chosen: bool,
    /// Columns of the terminal, if it is one.
    pub(crate) width: Option<usize>,
}

/// The view as text with styles; they are removed later if there are no colours.
pub(crate) fn render(view: &mut View, manner: RenderOptions) -> String {
    let RenderOptions { format, quiet, all_columns, chosen, width } = manner;
    let mut page = String::new();
    let cut_lines = |text: &str| width.map_or_else(|| text.into(), |width| fit::lines(text, width));
    let is_markdown = format == Format::Md;
    let wrapped = |line: &str| match width {
        _ if is_markdown => {
            text::for_markdown(&anstream::adapter::strip_str(line).to_string(), true)
        }
        None => line.to_owned(),
        Some(width) => text::wrap(line, width),
    };
    let header = view.header.as_ref().map(Header::lines).unwrap_or_default();
    let above: Vec<&String> = header.iter().chain(&view.preamble).collect();
    if !quiet && !above.is_empty() {
        for line in above {
            page.push_str(&format!("{HEADING}{}{HEADING:#}\n", wrapped(line)));
        }
        page.push('\n');
    }
    match (&view.drawing, format) {
        (Some(drawing), Format::Md) => {
            let fence = text::fence(drawing);
            page.push_str(&format!("{fence}text\n{drawing}{fence}\n"));
        }
        (Some(drawing), _) if view.is_chart => page.push_str(&cut_lines(drawing)),
        (Some(drawing), _) => {
            drawing.lines().for_each(|line| page.push_str(&(wrapped(line) + "\n")));
        }
        (None, _) if all_columns || chosen => {
            page.push_str(&aligned(&view.table, format, all_columns));
        }
        (None, _) => {
            let hidden = width.map(|width| fit::columns(&mut view.table, width));
            let rows = aligned(&view.table, format, false);
            // A list of texts is continued on the next line; with rows of numbers that would be
            // unreadable.
            if view.table.columns.iter().all(|column| column.left || !column.shown) {
                rows.lines().for_each(|line| page.push_str(&(wrapped(line) + "\n")));
            } else {
                page.push_str(&cut_lines(&rows));
            }
            if let Some(hidden) = hidden.filter(|hidden| !hidden.is_empty()) {
                let line = format!("no room for {}; -v shows all columns", hidden.join(", "));
                page.push_str(&format!("{FAINT}{}{FAINT:#}\n", wrapped(&line)));
            }
        }
    }
    if let Some(cut) = cut(&view.table) {
        page.push_str(&format!("{FAINT}{cut}{FAINT:#}\n"));
    }
    if view.table.rows.is_empty() && view.header.as_ref().is_some_and(Header::is_of_nothing) {
        let note = "the run has no spans and no events; `spandrel doctor` says if that is a fault";
        view.notes.insert(0, note.to_owned());
    }
    if !quiet && !view.notes.is_empty() {
        page.push('\n');
        for note in &view.notes {
            page.push_str(&wrapped(note));
            page.push('\n');
        }
    }
    page
}

/// A note that there are more rows.
pub(crate) fn cut(table: &Table) -> Option<String> {
    let (shown, total) = (text::count(table.rows.len() as u64), text::count(table.total));
    table.is_truncated().then(|| format!("{shown} of {total} shown; -n 0 shows all."))
}

pub(crate) fn aligned(table: &Table, format: Format, all_columns: bool) -> String {
    if table.rows.is_empty() {
        return "nothing matched\n".into();
    }
    let shown = |column: &&Column| all_columns || column.shown;
    let columns: Vec<usize> = (0..table.columns.len())
        .filter(|at| table.columns.get(*at).as_ref().is_some_and(shown))
        .collect();
    let mut aligned = comfy_table::Table::new();
    aligned.load_style(if format == Format::Md {
        presets::ASCII_MARKDOWN
    } else {
        presets::NOTHING
    });
    aligned.set_content_arrangement(ContentArrangement::Disabled);
    aligned.set_header(columns.iter().filter_map(|at| {
        let column = table.columns.get(*at)?;
        let mark = if table.sorted_by == Some(*at) { " ▼" } else { "" };
        Some(format!("{}{mark}", cell(&column.title, format)))
    }));
    for row in &table.rows {
        aligned.add_row(columns.iter().filter_map(|at| Some(cell(&row.get(*at)?.text(), format))));
    }
    for (position, at) in columns.iter().enumerate() {
        let left = table.columns.get(*at).is_some_and(|column| column.left);
        if let Some(column) = aligned.column_mut(position) {
            column.set_padding((if position == 0 { 0 } else { 1 }, 1));
            column.set_cell_alignment(if left {
                CellAlignment::Left
            } else {
                CellAlignment::Right
            });
        }
    }
    let mut lines = String::new();
    for line in aligned.lines() {
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn cell(text: &str, format: Format) -> String {
    if format == Format::Md { text::for_markdown(text, false) } else { text.into() }
}
