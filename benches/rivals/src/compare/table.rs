//! One table: the recorders once for each of four subjects.

use super::figures::{self, Figures, Key};
use super::text::{number, ratio};
use crate::case::Case;
use crate::recorder::Entry;
use crate::recorders::{self, FLOOR, spandrel};

/// Columns beside that of the names.
const COLUMNS: usize = 5;

/// How a figure is written.
#[derive(Clone, Copy)]
enum Style {
    /// With the ratios to spandrel's layer and to the floor.
    Compared,
    /// Also with the smallest and the largest of the rounds.
    Spread,
    /// The median and the largest.
    Worst,
    /// Of KiB, in MiB.
    Memory,
}

struct Column {
    heading: String,
    key: fn(&Entry, Case) -> Key,
    case: Case,
    name: &'static str,
    style: Style,
}

/// The table in Markdown.
pub fn markdown(figures: &Figures) -> String {
    let mut rows = vec![vec![String::new(); COLUMNS + 1]];
    for (subject, columns) in subjects() {
        let bold = |text: &str| if text.is_empty() { String::new() } else { format!("**{text}**") };
        let headings = columns.iter().map(|column| bold(&column.heading));
        rows.push(std::iter::once(bold(subject)).chain(headings).collect());
        for entry in recorders::ALL {
            let cells = columns.iter().map(|column| cell(figures, entry, column));
            rows.push(std::iter::once(entry.name.to_owned()).chain(cells).collect());
        }
    }
    aligned(rows)
}

fn subjects() -> [(&'static str, Vec<Column>); 4] {
    let column = |heading: &str, key, name, style| Column {
        heading: heading.into(),
        key,
        case: Case::Tree,
        name,
        style,
    };
    let by_case = |key: fn(&Entry, Case) -> Key, name, style| {
        Case::ALL.map(|case| Column { case, ..column(case.heading(), key, name, style) }).into()
    };
    let paced = |heading, name, style| column(heading, |_, _| Key::Singly, name, style);
    let burst = |heading, name, style| column(heading, |_, _| Key::Burst, name, style);
    let enlarged = |heading, name| column(heading, |_, _| Key::EnlargedBurst, name, Style::Worst);
    [
        (
            "instructions a span",
            by_case(|_, case| Key::Instructions(case), "each", Style::Compared),
        ),
        ("ns a span, in a loop", by_case(|_, case| Key::Loop(case), "mean_ns", Style::Spread)),
        (
            "ns of one span; memory",
            vec![
                paced("p50, paced", "p50_ns", Style::Spread),
                paced("p99", "p99_ns", Style::Spread),
                paced("p99.99", "p99_99_ns", Style::Spread),
                column(
                    "mean, trees, no rests",
                    |entry, _| Key::roomiest_burst(entry),
                    "mean_ns",
                    Style::Spread,
                ),
                burst("MiB, trees, no rests", "memory_kib", Style::Memory),
            ],
        ),
        (
            "spans lost",
            vec![
                paced("paced", "lost", Style::Worst),
                burst("trees, no rests", "lost", Style::Worst),
                burst("of which it counts", "said_lost", Style::Worst),
                enlarged("the same, queue enlarged", "lost"),
                enlarged("of which it counts", "said_lost"),
            ],
        ),
    ]
}

fn cell(figures: &Figures, entry: &Entry, column: &Column) -> String {
    let median = |entry| figures.spread(entry, (column.key)(entry, column.case), column.name);
    let Some(own) = median(entry) else {
        return "-".to_owned();
    };
    let compared = || {
        let to =
            |other| median(other).map_or("-".to_owned(), |other| ratio(own.median / other.median));
        format!("({} / {})", to(&spandrel::LAYER), to(FLOOR))
    };
    let figures::Spread { median: middle, min, max } = own;
    match column.style {
        Style::Compared => format!("{} {}", number(middle), compared()),
        Style::Spread if min == max => format!("{} {}", number(middle), compared()),
        Style::Spread => {
            format!("{} {}, {}..{}", number(middle), compared(), number(min), number(max))
        }
        Style::Worst if min == max => number(middle),
        Style::Worst => format!("{} ({})", number(middle), number(max)),
        Style::Memory => number(middle / 1024.0),
    }
}

/// Cells as wide as the widest of their column, so that it can be read without being rendered.
fn aligned(rows: Vec<Vec<String>>) -> String {
    let widths: Vec<usize> = (0..=COLUMNS)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max())
        .map(|width| width.unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (row_at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
        if row_at == 0 {
            for width in &widths {
                text.push_str(&format!("|{:-<1$}", "", width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}
