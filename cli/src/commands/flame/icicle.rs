//! A flame graph as text: a row a level, a cell a frame.

use anstyle::{Ansi256Color, AnsiColor, Style};
use spandrel_query::StackTree;
use unicode_width::UnicodeWidthChar;

use super::Width;
use super::layout::{FlameFrame, Layout};
use crate::output::text;

const FAINT: Style = Style::new().dimmed();
/// Light backgrounds, on which black is easy to read.
const PALETTE: [u8; 8] = [223, 216, 222, 187, 151, 152, 189, 182];

/// The columns of one row; the second column of a wide character holds nothing.
struct Row {
    letters: Vec<Option<char>>,
    colours: Vec<Option<u8>>,
}

impl Row {
    fn new(width: usize) -> Self {
        Self { letters: vec![Some(' '); width], colours: vec![None; width] }
    }

    fn put(&mut self, at: usize, letter: char) {
        if let Some(place) = self.letters.get_mut(at) {
            *place = Some(letter);
        }
    }

    /// A frame, from its first column to the first one of the next.
    fn cell(&mut self, from: usize, to: usize, label: &str, colour: u8) {
        self.put(from, '│');
        self.put(to, '│');
        let mut at = from + 1;
        for letter in label.chars() {
            let columns = letter.width().unwrap_or(0);
            if columns == 0 || at + columns > to {
                continue;
            }
            self.put(at, letter);
            for hidden in self.letters.iter_mut().skip(at + 1).take(columns - 1) {
                *hidden = None;
            }
            at += columns;
        }
        for place in self.colours.iter_mut().take(to).skip(from + 1) {
            *place = Some(colour);
        }
    }

    fn render(&self) -> String {
        let mut line = String::new();
        let columns: Vec<_> = self.letters.iter().zip(&self.colours).collect();
        for run in columns.chunk_by(|one, other| one.1 == other.1) {
            let text: String = run.iter().filter_map(|(letter, _)| **letter).collect();
            match run.first().and_then(|(_, colour)| **colour) {
                Some(colour) => {
                    let style = Style::new()
                        .bg_color(Some(Ansi256Color(colour).into()))
                        .fg_color(Some(AnsiColor::Black.into()));
                    line.push_str(&format!("{style}{text}{style:#}"));
                }
                None => line.push_str(&text),
            }
        }
        line.trim_end().to_owned() + "\n"
    }
}

/// All rows, `columns` wide.
pub(super) fn draw(tree: &StackTree, layout: &Layout, weight: Width, columns: usize) -> String {
    let columns = columns.max(20);
    let total = weight.text(layout.total);
    let mut page =
        format!("{FAINT}width: {}, {total} in all; children beneath{FAINT:#}\n", weight.in_words());
    // Below the deepest frame that is drawn, one row says that there are more.
    let cells = layout.cells.iter().filter(|cell| cell.width * columns as f64 >= 2.0);
    let last = cells.map(|cell| cell.depth + 2).max().unwrap_or(1);
    for depth in 0..layout.levels().min(last) {
        let cells = layout.cells.iter().filter(|cell| cell.depth == depth);
        page.push_str(&row(tree, cells, weight, columns).render());
    }
    let left_out = layout.levels().saturating_sub(last);
    if left_out > 0 {
        page.push_str(&format!(
            "{FAINT}{} too narrow to draw; --root NAME looks closer{FAINT:#}\n",
            text::counted_with(left_out.into(), "deeper level", text::IS)
        ));
    }
    page
}

/// Frames too narrow to be drawn are joined, as `·N`.
fn row<'a>(
    tree: &StackTree,
    cells: impl Iterator<Item = &'a FlameFrame>,
    weight: Width,
    columns: usize,
) -> Row {
    let mut row = Row::new(columns);
    let column = |share: f64| (share * (columns - 1) as f64).round() as usize;
    let mut narrow: Option<(usize, usize, usize)> = None;
    for cell in cells {
        let (from, to) = (column(cell.start), column(cell.start + cell.width));
        if to > from + 2 {
            put_narrow(&mut row, narrow.take());
            let name = tree.nodes().get(cell.node).map_or("", |node| node.frame.name());
            let name = text::clean(name);
            row.cell(from, to, &label(&name, cell, weight, to - from - 1), colour(&name));
        } else {
            // Frames of another parent, after a gap, are not joined with them.
            let (start, count) = match narrow {
                Some((start, end, count)) if from <= end + 1 => (start, count),
                earlier => {
                    put_narrow(&mut row, earlier);
                    (from, 0)
                }
            };
            narrow = Some((start, to, count + 1));
        }
    }
    put_narrow(&mut row, narrow);
    row
}

fn put_narrow(row: &mut Row, narrow: Option<(usize, usize, usize)>) {
    let Some((from, to, count)) = narrow else { return };
    let label = format!("·{count}");
    if to > from + label.chars().count() {
        row.cell(from, to, &label, PALETTE[0]);
    } else {
        row.put(from, '│');
        for at in from + 1..to {
            row.put(at, '·');
        }
        row.put(to, '│');
    }
}

/// What fits: name, width and share; name and share; the name; its beginning.
fn label(name: &str, cell: &FlameFrame, weight: Width, room: usize) -> String {
    let width_of = |text: &str| text.chars().map(|c| c.width().unwrap_or(0)).sum::<usize>();
    let share = text::share(cell.width);
    let figures = format!("{}  {share}", weight.text(cell.weight));
    let used = width_of(name);
    if used + 2 + figures.chars().count() <= room {
        let space = room - used - figures.chars().count();
        return format!("{name}{:space$}{figures}", "");
    }
    let short = format!("{name} {share}");
    if width_of(&short) <= room {
        return short;
    }
    if used <= room { name.to_owned() } else { text::beginning(name, room) }
}

/// The same name has the same colour, here and in the next run.
fn colour(name: &str) -> u8 {
    PALETTE[text::hash(name) as usize % PALETTE.len()]
}

#[cfg(test)]
mod tests {
    use spandrel_query::Weight;

    use super::super::layout::tests::tree;
    use super::*;

    fn drawn(columns: usize) -> String {
        let tree = tree();
        let layout = Layout::new(&tree, &tree.widths(Weight::SelfTime), 0, 0.0);
        let page = draw(&tree, &layout, Width::SelfTime, columns);
        anstream::adapter::strip_str(&page).to_string()
    }

    #[test]
    fn an_icicle() {
        assert_eq!(
            drawn(61),
            "width: self time, 0.10 µs in all; children beneath\n\
             │root                                        0.10 µs  100.0%│\n\
             │a                    0.06 µs  60.0%│b  0.03 µs  30.0%│\n\
             │c 20.0%    │\n"
        );
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for columns in 20..150 {
            for line in drawn(columns).lines().skip(1) {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn names_are_cut_where_they_do_not_fit() {
        let cell = FlameFrame { node: 0, depth: 0, weight: 5, start: 0.0, width: 0.5 };
        let of = |name: &str, room| label(name, &cell, Width::Calls, room);
        assert_eq!(of("abcdef", 4), "abc…");
        assert_eq!(of("abcdef", 6), "abcdef");
        assert_eq!(of("abcdef", 12), "abcdef 50.0%");
        assert_eq!(of("abcdef", 20), "abcdef      5  50.0%");
        assert_eq!(of("日本語", 5), "日本…");
    }
}
