//! The flame graph of the end of the window, as an icicle: roots on top, children beneath, as wide as their
//! self time with that of all beneath.

use spandrel_query::{StackTree, Weight};

use super::canvas::{Canvas, width};
use super::theme::{FAINT, frame};
use crate::commands::flame::layout::{FlameFrame, Layout};
use crate::live::app::App;
use crate::live::page::{Coverage, SubjectData};
use crate::output::text;

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let SubjectData::Flame(flame) = &page.subject else {
        canvas.put(2, 1, "reading ...", FAINT);
        return;
    };
    let widths = flame.tree.widths(Weight::SelfTime);
    let layout = Layout::new(&flame.tree, &widths, 0, 0.0);
    let total = text::duration_in_words(layout.total);
    let title = format!("self time, {total} in all; {}", coverage_text(&flame.coverage));
    let columns = canvas.width().saturating_sub(1);
    // Left out as a whole where it does not fit: a cut figure would mislead.
    let title = if width(&title) <= columns { title } else { format!("self time, {total} in all") };
    canvas.put_cut(1, 0, &title, columns, FAINT);
    if layout.cells.is_empty() {
        canvas.put(2, 2, "no span that has closed", FAINT);
    }
    let levels = layout.levels() as usize;
    let shown = usize::from(canvas.height().saturating_sub(1));
    let top = app.top.min(levels.saturating_sub(shown));
    for cell in &layout.cells {
        let level = cell.depth as usize;
        if (top..top + shown).contains(&level) {
            let y = u16::try_from(level - top + 1).unwrap_or(u16::MAX);
            put(canvas, y, &flame.tree, cell);
        }
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, levels);
}

/// What a look took in.
pub(super) fn coverage_text(coverage: &Coverage) -> String {
    let mut spans = text::counted(coverage.spans, "span");
    if coverage.entries > 0 {
        let entries = text::agree(coverage.entries, "entry", "entries");
        spans.push_str(&format!(" and {} {entries}", text::count(coverage.entries)));
    }
    match (coverage.is_all, coverage.from_ns) {
        (true, _) | (_, None) => format!("all {spans} of the window"),
        (false, Some(from)) => {
            let from = text::duration_in_words(from);
            format!("the last {spans} of the window, from +{from}")
        }
    }
}

/// A frame: name, time and share as far as there is room.
fn put(canvas: &mut Canvas<'_>, y: u16, tree: &StackTree, cell: &FlameFrame) {
    let all = f64::from(canvas.width());
    let column = |share: f64| (share * all).round() as u16;
    let (from, to) = (column(cell.start), column(cell.start + cell.width));
    let columns = to.saturating_sub(from);
    if columns == 0 {
        return;
    }
    let name = text::clean(tree.nodes().get(cell.node).map_or("", |node| node.frame.name()));
    let style = frame(&name);
    if columns == 1 {
        canvas.put(from, y, "│", FAINT);
        return;
    }
    // A column between neighbours.
    let room = columns - 1;
    canvas.put_within(from, y, &" ".repeat(usize::from(room)), room, style);
    let share = text::share(cell.width);
    let figures = format!("{}  {share}", text::duration_in_words(cell.weight));
    if width(&name) + width(&figures) + 4 <= room {
        canvas.put_within(from + 1, y, &name, room - 1, style);
        canvas.put_right(from, y, &figures, room - 1, style);
    } else if width(&name) + width(&share) + 2 <= room {
        canvas.put_within(from, y, &format!("{name} {share}"), room, style);
    } else {
        canvas.put_cut(from, y, &name, room, style);
    }
}
