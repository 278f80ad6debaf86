//! Fits output into a terminal: hides columns, cuts long lines, breaks long notes.
//!
//! Only on a terminal. What goes to a pipe or a file is never cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::table::{Cell, Column, Table};

/// Blanks between two columns.
const BETWEEN: usize = 2;
/// What follows the title of the column by which rows are sorted.
const SORTED: usize = 2;
/// Least columns of a text: with fewer it could not be recognised.
const TEXT_MIN: usize = 10;

/// Hides as many columns as necessary, the least important first, and returns their titles. If that is
/// not enough, texts before figures are shortened.
pub(super) fn columns(table: &mut Table, width: usize) -> Vec<String> {
    let widths: Vec<usize> = (0..table.columns.len()).map(|at| width_of(table, at)).collect();
    let mut hidden: Vec<usize> = Vec::new();
    let room = loop {
        let shown = || table.columns.iter().zip(&widths).filter(|(column, _)| column.shown);
        let all: usize = shown().map(|(_, width)| width + BETWEEN).sum();
        let can_go = |(_, column): &(usize, &mut Column)| column.shown && column.drop_rank > 0;
        let columns = table.columns.iter_mut().enumerate();
        let most = columns.filter(can_go).max_by_key(|(_, column)| column.drop_rank);
        match ((width + BETWEEN).checked_sub(all), most) {
            (None, Some((at, column))) => {
                column.shown = false;
                hidden.push(at);
            }
            (room, _) => break room.unwrap_or(0),
        }
    };
    show_again(table, &widths, &mut hidden, room);
    shorten(table, width);
    hidden.iter().filter_map(|at| Some(table.columns.get(*at)?.title.clone())).collect()
}

/// Shows hidden columns again that fit after a wider one was hidden.
fn show_again(table: &mut Table, widths: &[usize], hidden: &mut Vec<usize>, mut room: usize) {
    let mut at_last = hidden.len();
    while at_last > 0 {
        at_last -= 1;
        let Some(&at) = hidden.get(at_last) else { return };
        let width = widths.get(at).map_or(usize::MAX, |width| width + BETWEEN);
        if let (Some(column), true) = (table.columns.get_mut(at), width <= room) {
            room -= width;
            column.shown = true;
            hidden.remove(at_last);
        }
    }
}

fn width_of(table: &Table, at: usize) -> usize {
    let (texts, others) = widths_of(table, at);
    texts.max(others)
}

/// How wide a column is for the texts of the profile in it, and for everything else.
fn widths_of(table: &Table, at: usize) -> (usize, usize) {
    let sorted = if table.sorted_by == Some(at) { SORTED } else { 0 };
    let title = table.columns.get(at).map_or(0, |column| column.title.width() + sorted);
    let (mut texts, mut others) = (0, title);
    for cell in table.rows.iter().filter_map(|row| row.get(at)) {
        let widest = if matches!(cell, Cell::Text(_)) { &mut texts } else { &mut others };
        *widest = cell.text().width().max(*widest);
    }
    (texts, others)
}

/// Cuts the longest texts before figures in their middles until the figures fit: otherwise the end of
/// the line would be cut, and a figure with it. Names often differ in their ends, so those stay.
fn shorten(table: &mut Table, width: usize) {
    let columns = table.columns.iter().enumerate();
    let shown: Vec<(usize, &Column)> = columns.filter(|(_, column)| column.shown).collect();
    let Some(last) = shown.iter().rposition(|(_, column)| !column.left) else { return };
    let (before, behind) = shown.split_at(last);
    let before: Vec<_> = before.iter().map(|(at, _)| (*at, widths_of(table, *at))).collect();
    // Texts behind the figures are cut where the line ends.
    let behind = behind.iter().map(|(at, column)| match column.left {
        true => width_of(table, *at).min(TEXT_MIN) + BETWEEN,
        false => width_of(table, *at) + BETWEEN,
    });
    let room = (width + BETWEEN).saturating_sub(behind.sum());
    let needed = |cap: usize| -> usize {
        before.iter().map(|(_, (texts, others))| cap.min(*texts).max(*others) + BETWEEN).sum()
    };
    let longest = before.iter().map(|(_, (texts, _))| *texts).max().unwrap_or(0);
    let cap = (TEXT_MIN..=longest).rev().find(|cap| needed(*cap) <= room).unwrap_or(TEXT_MIN);
    let places: Vec<usize> = before.iter().map(|(at, _)| *at).collect();
    for row in &mut table.rows {
        for at in &places {
            if let Some(cell @ Cell::Text(_)) = row.get_mut(*at)
                && cell.text().width() > cap
            {
                *cell = Cell::Text(without_middle(&cell.text(), cap));
            }
        }
    }
}

/// The beginning and the end of a text, `columns` wide.
fn without_middle(text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let fitting = |chars: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut used = 0;
        let fits = |c: &char| {
            used += c.width().unwrap_or(0);
            used <= room
        };
        chars.take_while(fits).collect()
    };
    let start = fitting(&mut text.chars(), room - room / 2);
    let end = fitting(&mut text.chars().rev(), room / 2);
    start.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

/// Cuts lines that are too long, with a `…` where something is missing. Styles are kept.
pub(super) fn lines(page: &str, width: usize) -> String {
    page.split_inclusive('\n').map(|line| cut(line, width)).collect()
}

fn cut(line: &str, width: usize) -> String {
    let text = line.strip_suffix('\n').unwrap_or(line);
    if anstream::adapter::strip_str(text).to_string().width() <= width {
        return line.to_owned();
    }
    let (mut kept, mut used, mut style, mut is_full) = (String::new(), 0, false, false);
    for c in text.chars() {
        // A style: from the escape to the letter that ends it.
        if style || c == '\u{1b}' {
            style = !c.is_ascii_alphabetic();
            kept.push(c);
            continue;
        }
        let wide = c.width().unwrap_or(0);
        if !is_full && used + wide < width {
            kept.push(c);
            used += wide;
        } else if !is_full {
            is_full = true;
            kept.push('…');
        }
    }
    kept.push_str(&line[text.len()..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::super::table::Cell;
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::right("calls", "calls"),
            Column::right("max_ns", "max").drop_rank(1),
            Column::left("target", "target").drop_rank(2),
            Column::left("name", "span"),
        ]);
        let texts = ["10,000", "1.00 s", "shop::db", "db.query"];
        table.push(texts.iter().map(|text| Cell::Text((*text).into())).collect());
        table
    }

    #[test]
    fn what_can_be_done_without_goes_until_it_fits() {
        assert_eq!(columns(&mut table(), 34), [""; 0]);
        assert_eq!(columns(&mut table(), 33), ["target"]);
        assert_eq!(columns(&mut table(), 23), ["target", "max"]);
        assert_eq!(columns(&mut table(), 3), ["target", "max"], "the rest stays");
    }

    #[test]
    fn what_has_room_behind_a_wide_column_that_went_stays() {
        let mut table = table();
        table.columns[2] = Column::left("target", "target").drop_rank(1);
        table.columns[1] = Column::right("max_ns", "max").drop_rank(2);
        assert_eq!(columns(&mut table, 26), ["max"]);
        table.columns[1].shown = true;
        assert_eq!(columns(&mut table, 25), ["target"], "without it there is room for max");
        table.columns[2].shown = true;
        assert_eq!(columns(&mut table, 15), ["max", "target"]);
    }

    #[test]
    fn texts_before_figures_are_shortened_in_their_middles_and_figures_are_not() {
        let mut table = Table::new(vec![
            Column::left("name", "span"),
            Column::left("at", "at"),
            Column::right("calls", "calls"),
            Column::left("fields", "fields"),
        ]);
        let at = || Cell::Shown("2025-10-09 08:53:20".into(), 0.into());
        for name in ["shop::cart::apply", "日本語日本語日本語"] {
            table.push(vec![
                Cell::Text(name.into()),
                at(),
                Cell::Count(1_234_567),
                Cell::Text("k=v ".repeat(20)),
            ]);
        }
        let cells = |table: &Table, at: usize| {
            table.rows.iter().map(|row| row[at].text()).collect::<Vec<_>>()
        };
        let mut wide = table.clone();
        columns(&mut wide, 62);
        assert_eq!(cells(&wide, 0), cells(&table, 0));
        columns(&mut table, 54);
        assert_eq!(cells(&table, 0), ["shop:…pply", "日本…本語"]);
        assert_eq!(cells(&table, 1), cells(&wide, 1));
        assert_eq!(cells(&table, 3), cells(&wide, 3));
        columns(&mut table, 3);
        assert_eq!(cells(&table, 0), ["shop:…pply", "日本…本語"], "as short as can be");
    }

    #[test]
    fn lines_are_cut_by_what_is_seen_of_them() {
        assert_eq!(lines("12345\n123456\n", 5), "12345\n1234…\n");
        assert_eq!(lines("\u{1b}[1m123\u{1b}[0m456", 5), "\u{1b}[1m123\u{1b}[0m4…");
        assert_eq!(lines("\u{1b}[1m123456\u{1b}[0m\n", 5), "\u{1b}[1m1234…\u{1b}[0m\n");
        assert_eq!(lines("日本語", 5), "日本…");
        assert_eq!(lines("日本語", 6), "日本語");
    }
}
