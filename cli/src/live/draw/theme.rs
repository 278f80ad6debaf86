//! Colours, of the 256 that any terminal of today has, and what becomes of a drawing where there are fewer,
//! or only ASCII. Nothing is said by a colour alone.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::output::text;

/// How the terminal wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Appearance {
    pub(crate) has_colours: bool,
    pub(crate) is_ascii: bool,
}

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const FAINT: Style = Style::new().fg(Color::Indexed(245));
pub(super) const GOOD: Style = Style::new().fg(Color::Indexed(71));
pub(super) const BAD: Style = Style::new().fg(Color::Indexed(203)).add_modifier(Modifier::BOLD);
pub(super) const WARN: Style = Style::new().fg(Color::Indexed(179));
pub(super) const TREND: Style = Style::new().fg(Color::Indexed(74));
pub(super) const TITLE: Style = BOLD.fg(Color::Indexed(110));
pub(super) const BANNER: Style =
    Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(124)).add_modifier(Modifier::BOLD);
pub(super) const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
/// Light backgrounds of frames, on which black is easy to read.
const FRAMES: [u8; 8] = [223, 216, 222, 187, 151, 152, 189, 182];

/// The colour of a frame, the same for the same name.
pub(super) fn frame(name: &str) -> Style {
    let hash = name
        .bytes()
        .fold(5_381_usize, |hash, byte| hash.wrapping_mul(33).wrapping_add(usize::from(byte)));
    let colour = FRAMES.get(hash % FRAMES.len()).copied().unwrap_or(223);
    Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(colour))
}

/// Takes out what the terminal cannot show.
pub(super) fn fit(buffer: &mut Buffer, appearance: Appearance) {
    if appearance.has_colours && !appearance.is_ascii {
        return;
    }
    for cell in &mut buffer.content {
        if !appearance.has_colours {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
        if appearance.is_ascii && !cell.symbol().is_ascii() {
            let stand_in = stand_in(cell.symbol());
            cell.set_char(stand_in);
        }
    }
}

/// One ASCII character for what a cell shows; the second column of a wide character stays blank.
fn stand_in(symbol: &str) -> char {
    match symbol {
        "▁" => '_',
        "▂" => '.',
        "▃" => '-',
        "▄" => '=',
        "▅" => '+',
        "▆" => '*',
        "…" => '~',
        "✓" => '+',
        "→" => '>',
        "■" => '#',
        _ => {
            let ascii = text::ascii(symbol);
            let mut letters = ascii.chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) => letter,
                (None, _) => ' ',
                _ if symbol.width() == 0 => ' ',
                _ => '?',
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_one_ascii_character() {
        for symbol in ["▁", "█", "…", "µ", "│", "漢", "é", "\u{200b}", "👨‍👩‍👧", "●", "▼", "·"]
        {
            assert!(stand_in(symbol).is_ascii(), "{symbol}");
        }
        assert_eq!([stand_in("µ"), stand_in("█"), stand_in("漢")], ['u', '#', '?']);
    }
}
