//! Keys, and what the columns and the figures of the header mean.

use super::canvas::Canvas;
use super::theme::{BOLD, FAINT, PLAIN, TITLE};
use crate::live::app::App;
use crate::live::columns::ColumnName;
use crate::live::keys::KEYS;
use crate::output::text;

/// What the first line says.
const HEADER: [(&str, &str); 10] = [
    ("● rec", "a process records; ■ ended: in order; ! killed: it is gone, without an end"),
    ("spans/s", "spans that ended, a second, over the last five whole seconds"),
    ("entries/s", "entries of spans that were recorded one by one and stored, a second, of late"),
    ("dropped", "spans and events that are missing in the file, for whatever reason"),
    ("ring", "the most of the ring that was ever in use; at 100% spans are dropped"),
    ("lag", "how old the newest row in the file is"),
    ("db", "the file with its log"),
    ("|| until", "time stands still at this moment: p goes on, the arrows move it"),
    ("trend", "spans that ended in each second of the last minute, each row on its own scale"),
    ("window", "what the figures are of; it may begin some seconds earlier, rates know that"),
];

/// Columns of the name, and of what is left free.
const BESIDE: usize = 16;

enum Line {
    Title(&'static str),
    Entry(String, String),
    Blank,
}

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let lines = lines(usize::from(canvas.width()));
    let shown = usize::from(canvas.height());
    let top = app.top.min(lines.len().saturating_sub(shown));
    for (y, line) in lines.iter().skip(top).take(shown).enumerate() {
        let y = u16::try_from(y).unwrap_or(u16::MAX);
        match line {
            Line::Title(title) => {
                canvas.put(1, y, title, TITLE);
            }
            Line::Entry(name, meaning) => {
                let x = canvas.put(2, y, name, BOLD).max(14);
                let columns = canvas.width().saturating_sub(x + 1);
                canvas.put_cut(x + 1, y, meaning, columns, PLAIN);
            }
            Line::Blank => {}
        }
    }
    if top + shown < lines.len() {
        let last = canvas.height().saturating_sub(1);
        canvas.put_right(0, last, " more: j ", canvas.width(), FAINT);
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, lines.len());
}

fn lines(columns: usize) -> Vec<Line> {
    let mut lines = vec![Line::Title("Keys")];
    // On as many lines as it takes.
    let entry = |lines: &mut Vec<Line>, name: &str, meaning: &str| {
        let wrapped = text::wrap(meaning, columns.saturating_sub(BESIDE).max(BESIDE));
        let mut name = name.to_owned();
        lines.extend(
            wrapped.lines().map(|line| Line::Entry(std::mem::take(&mut name), line.into())),
        );
    };
    KEYS.iter().for_each(|(keys, meaning)| entry(&mut lines, keys, meaning));
    lines.extend([Line::Blank, Line::Title("Columns, and the key that sorts by each")]);
    for column in ColumnName::ALL {
        let name = format!("{} {}", column.letter(), column.title());
        entry(&mut lines, &name, column.meaning());
    }
    lines.extend([Line::Blank, Line::Title("Header")]);
    HEADER.iter().for_each(|(name, meaning)| entry(&mut lines, name, meaning));
    lines.extend([Line::Blank, Line::Title("Open spans")]);
    let stalled = "older than ten times the p99 of its name, and than a second (30 s, if none of the name \
        ended in the window)";
    entry(&mut lines, "!", stalled);
    let long = "lives long: each time it was entered counts, and it is never too old";
    entry(&mut lines, &text::LONG.to_string(), long);
    lines
}
