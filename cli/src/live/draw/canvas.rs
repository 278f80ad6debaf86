//! A part of the screen to write on. Whatever is written beyond its edges is cut: no size of a terminal is
//! too small.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

#[derive(Debug)]
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(buffer: &'a mut Buffer) -> Self {
        let area = buffer.area;
        Self { buffer, area }
    }

    pub(super) fn width(&self) -> u16 {
        self.area.width
    }

    pub(super) fn height(&self) -> u16 {
        self.area.height
    }

    /// Some of its rows.
    pub(super) fn rows(&mut self, from: u16, count: u16) -> Canvas<'_> {
        let from = from.min(self.area.height);
        let height = count.min(self.area.height - from);
        let area = Rect { y: self.area.y + from, height, ..self.area };
        Canvas { buffer: self.buffer, area }
    }

    /// Writes, and gives the column behind it. The text is clean already.
    pub(super) fn put(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        self.put_within(x, y, text, u16::MAX, style)
    }

    /// The same, at most `columns` wide.
    pub(super) fn put_within(
        &mut self,
        x: u16,
        y: u16,
        text: &str,
        columns: u16,
        style: Style,
    ) -> u16 {
        if x >= self.area.width || y >= self.area.height {
            return x;
        }
        let columns = columns.min(self.area.width - x);
        let at = (self.area.x + x, self.area.y + y);
        let (end, _) = self.buffer.set_stringn(at.0, at.1, text, columns.into(), style);
        end.saturating_sub(self.area.x)
    }

    /// Cut with dots where it does not fit.
    pub(super) fn put_cut(
        &mut self,
        x: u16,
        y: u16,
        text: &str,
        columns: u16,
        style: Style,
    ) -> u16 {
        let columns = columns.min(self.area.width.saturating_sub(x));
        if width(text) <= columns {
            return self.put_within(x, y, text, columns, style);
        }
        let end = self.put_within(x, y, text, columns.saturating_sub(1), style);
        self.put_within(end, y, "…", 1, style)
    }

    /// At the right end of an area of `columns`.
    pub(super) fn put_right(&mut self, x: u16, y: u16, text: &str, columns: u16, style: Style) {
        let used = width(text).min(columns);
        // A figure of which a digit is missing would be another one.
        self.put_cut(x.saturating_add(columns - used), y, text, used, style);
    }

    pub(super) fn restyle(&mut self, y: u16, style: Style) {
        if y < self.area.height {
            let row = Rect { y: self.area.y + y, height: 1, ..self.area };
            self.buffer.set_style(row, style);
        }
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}
