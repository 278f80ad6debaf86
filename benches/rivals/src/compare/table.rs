//! One table: the recorders once for each of four subjects.

use super::figures::{Figures, Key, Spread};
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
    ComparedSpread,
    /// The median and the largest.
    Worst,
    /// Of KiB, in MiB.
    Memory,
}

struct Column {
    heading: String,
    key: Key,
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
    let column =
        |heading: &str, key, name, style| Column { heading: heading.into(), key, name, style };
    let by_case = |key: fn(Case) -> Key, name, style| {
        Case::ALL.map(|case| column(case.heading(), key(case), name, style)).into()
    };
    let paced = |heading, name, style| column(heading, Key::Singly, name, style);
    [
        ("instructions a span", by_case(Key::Instructions, "each", Style::Compared)),
        ("ns a span, in a loop", by_case(Key::Loop, "mean_ns", Style::ComparedSpread)),
        (
            "ns of one span, paced; memory",
            vec![
                paced("p50", "p50_ns", Style::ComparedSpread),
                paced("p99", "p99_ns", Style::ComparedSpread),
                paced("p99.99", "p99_99_ns", Style::ComparedSpread),
                paced("MiB, paced", "memory_kib", Style::Memory),
                column("MiB, full speed", Key::Burst, "memory_kib", Style::Memory),
            ],
        ),
        (
            "spans lost, median (worst)",
            vec![
                paced("paced", "lost", Style::Worst),
                column("full speed", Key::Burst, "lost", Style::Worst),
                column("of which it counts", Key::Burst, "said_lost", Style::Worst),
                column("full speed, queue enlarged", Key::EnlargedBurst, "lost", Style::Worst),
                column("of which it counts", Key::EnlargedBurst, "said_lost", Style::Worst),
            ],
        ),
    ]
}

fn cell(figures: &Figures, entry: &Entry, column: &Column) -> String {
    let Some(own) = figures.spread(entry, column.key, column.name) else {
        return "-".to_owned();
    };
    let compared = || {
        let to = |other| {
            let other = figures.spread(other, column.key, column.name);
            other.map_or("-".to_owned(), |other| ratio(own.median / other.median))
        };
        format!("({} / {})", to(&spandrel::LAYER), to(FLOOR))
    };
    let Spread { median, min, max } = own;
    match column.style {
        Style::Compared => format!("{} {}", number(median), compared()),
        Style::ComparedSpread if min == max => format!("{} {}", number(median), compared()),
        Style::ComparedSpread => {
            format!("{} {}, {}..{}", number(median), compared(), number(min), number(max))
        }
        Style::Worst if min == max => number(median),
        Style::Worst => format!("{} ({})", number(median), number(max)),
        Style::Memory => number(median / 1024.0),
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
