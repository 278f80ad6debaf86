//! What is too wide for a terminal: columns that can be done without, long lines, long notes.
//!
//! Only where a terminal shows it. What goes to a pipe or a file is never cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::sheet::{Column, Sheet};

/// Blanks between two columns.
const BETWEEN: usize = 2;
/// What follows the title of the column by which rows are sorted.
const SORTED: usize = 2;

/// Hides the columns that can be done without, as many as it takes; gives their titles.
pub(super) fn columns(sheet: &mut Sheet, width: usize) -> Vec<String> {
    let widths: Vec<usize> = (0..sheet.columns.len()).map(|at| width_of(sheet, at)).collect();
    let mut hidden: Vec<usize> = Vec::new();
    let room = loop {
        let shown = || sheet.columns.iter().zip(&widths).filter(|(column, _)| column.shown);
        let all: usize = shown().map(|(_, width)| width + BETWEEN).sum();
        let spare = |(_, column): &(usize, &mut Column)| column.shown && column.spare > 0;
        let columns = sheet.columns.iter_mut().enumerate();
        let most = columns.filter(spare).max_by_key(|(_, column)| column.spare);
        match ((width + BETWEEN).checked_sub(all), most) {
            (None, Some((at, column))) => {
                column.shown = false;
                hidden.push(at);
            }
            (room, _) => break room.unwrap_or(0),
        }
    };
    show_again(sheet, &widths, &mut hidden, room);
    hidden.iter().filter_map(|at| Some(sheet.columns.get(*at)?.title.clone())).collect()
}

/// Shows hidden columns for which there is room after all, since a wider one had to go behind them.
fn show_again(sheet: &mut Sheet, widths: &[usize], hidden: &mut Vec<usize>, mut room: usize) {
    let mut at_last = hidden.len();
    while at_last > 0 {
        at_last -= 1;
        let Some(&at) = hidden.get(at_last) else { return };
        let width = widths.get(at).map_or(usize::MAX, |width| width + BETWEEN);
        if let (Some(column), true) = (sheet.columns.get_mut(at), width <= room) {
            room -= width;
            column.shown = true;
            hidden.remove(at_last);
        }
    }
}

fn width_of(sheet: &Sheet, at: usize) -> usize {
    let sorted = if sheet.sorted_by == Some(at) { SORTED } else { 0 };
    let title = sheet.columns.get(at).map_or(0, |column| column.title.width() + sorted);
    let cells = sheet.rows.iter().filter_map(|row| Some(row.get(at)?.text().width()));
    cells.max().unwrap_or(0).max(title)
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
    use super::super::sheet::Cell;
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(vec![
            Column::right("calls", "calls"),
            Column::right("max_ns", "max").spare(1),
            Column::left("target", "target").spare(2),
            Column::left("name", "span"),
        ]);
        let texts = ["10,000", "1.00 s", "shop::db", "db.query"];
        sheet.push(texts.iter().map(|text| Cell::Text((*text).into())).collect());
        sheet
    }

    #[test]
    fn what_can_be_done_without_goes_until_it_fits() {
        assert_eq!(columns(&mut sheet(), 34), [""; 0]);
        assert_eq!(columns(&mut sheet(), 33), ["target"]);
        assert_eq!(columns(&mut sheet(), 23), ["target", "max"]);
        assert_eq!(columns(&mut sheet(), 3), ["target", "max"], "the rest stays");
    }

    #[test]
    fn what_has_room_behind_a_wide_column_that_went_stays() {
        let mut sheet = sheet();
        sheet.columns[2] = Column::left("target", "target").spare(1);
        sheet.columns[1] = Column::right("max_ns", "max").spare(2);
        assert_eq!(columns(&mut sheet, 26), ["max"]);
        sheet.columns[1].shown = true;
        assert_eq!(columns(&mut sheet, 25), ["target"], "without it there is room for max");
        sheet.columns[2].shown = true;
        assert_eq!(columns(&mut sheet, 15), ["max", "target"]);
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
