//! The trace of a span, as `spandrel tree` draws it.

use super::canvas::Canvas;
use super::theme::{BOLD, FAINT, PLAIN, WARN};
use crate::live::app::{App, View};
use crate::live::page::SubjectData;
use crate::output::text;

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let lines = match (&page.subject, &app.view) {
        (SubjectData::Tree(read, found), View::Tree(_, wanted)) if read == wanted => match found {
            Some(found) => {
                let columns = usize::from(canvas.width().saturating_sub(2));
                let mut lines = plain(&found.drawing(columns));
                lines.extend(found.cut().map(|cut| format!("! {cut}")));
                lines
            }
            None => vec!["no span of this trace has closed yet, or all were deleted".into()],
        },
        _ => vec!["reading ...".into()],
    };
    let shown = usize::from(canvas.height());
    let top = app.top.min(lines.len().saturating_sub(shown));
    for (y, line) in lines.iter().skip(top).take(shown).enumerate() {
        let y = u16::try_from(y).unwrap_or(u16::MAX);
        let style = match line.chars().next() {
            _ if line.contains('◄') => BOLD,
            Some('◆') => PLAIN,
            Some('!' | 'c') => WARN,
            _ => FAINT,
        };
        let columns = canvas.width().saturating_sub(1);
        canvas.put_cut(1, y, line, columns, style);
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, lines.len());
}

/// Its lines, without the styles of another terminal; a name cannot bring any, being clean.
fn plain(drawing: &str) -> Vec<String> {
    let drawing = anstream::adapter::strip_str(drawing).to_string();
    drawing.lines().map(text::clean).collect()
}
