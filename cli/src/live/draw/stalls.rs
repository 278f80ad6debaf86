//! What blocked the executor: the longest entries on threads that run futures, a name a line.

use spandrel_query::Stall;

use super::canvas::{Canvas, width};
use super::flame::coverage_text;
use super::theme::{BAD, FAINT, PLAIN};
use crate::commands::stalls::{began, inside_in_words, thread_in_words};
use crate::live::app::App;
use crate::live::page::SubjectData;
use crate::live::subject_reader::BLOCKING_NS;
use crate::output::{text, unmeasured};

/// An entry that is this many times as long as the limit is shown in red.
const BAD_TIMES: i64 = 10;
/// Columns that a name has, however few there are.
const NAME_MIN: u16 = 8;

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let SubjectData::Stalls(blocked) = &page.subject else {
        canvas.put(2, 1, "reading ...", FAINT);
        return;
    };
    let limit = text::duration_in_words(BLOCKING_NS);
    let short = format!("entries of {limit} and more on threads that run futures");
    let whole = format!("{short}; {}", coverage_text(&blocked.coverage));
    // Left out as a whole where it does not fit: a cut figure would mislead.
    let title = if width(&whole) < canvas.width() { &whole } else { &short };
    canvas.put_cut(1, 0, title, canvas.width().saturating_sub(1), FAINT);
    if blocked.stalls.is_empty() {
        let columns = canvas.width().saturating_sub(3);
        canvas.put_cut(2, 2, unmeasured(&page.health.run).unwrap_or("none"), columns, PLAIN);
    }
    let shown = usize::from(canvas.height().saturating_sub(1));
    let top = app.top.min(blocked.stalls.len().saturating_sub(shown));
    for (y, found) in blocked.stalls.iter().skip(top).take(shown).enumerate() {
        stall(canvas, u16::try_from(y + 1).unwrap_or(u16::MAX), found);
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, blocked.stalls.len());
}

fn stall(canvas: &mut Canvas<'_>, y: u16, stall: &Stall) {
    let style = if stall.longest_ns() >= BAD_TIMES * BLOCKING_NS { BAD } else { PLAIN };
    canvas.put_right(0, y, &text::duration_in_words(stall.longest_ns()), 11, style);
    let figures = [format!("  s{}", stall.worst.id), format!("  {}", began(stall))];
    let behind = figures.iter().map(|text| width(text)).sum();
    let columns = canvas.width().saturating_sub(14).saturating_sub(behind).max(NAME_MIN);
    let name = text::clean(&stall.worst.callsite.name);
    let mut x = canvas.put_cut(14, y, &name, columns, style);
    let mut more = vec![format!("  on {}", thread_in_words(stall))];
    if stall.spans > 1 {
        more.push(format!("  {}", text::counted(stall.spans, "span")));
    }
    if !stall.inside.is_empty() {
        more.push(format!("  in it {}", inside_in_words(stall)));
    }
    for figure in figures.iter().chain(&more) {
        // Not a part of it.
        if width(figure) <= canvas.width().saturating_sub(x) {
            x = canvas.put(x, y, figure, FAINT);
        }
    }
}
