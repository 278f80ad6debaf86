//! The table of names.

use ratatui::style::Style;
use spandrel_query::OrderRows as _;

use super::canvas::{Canvas, width};
use super::theme::{BAD, FAINT, PLAIN, SELECTED, TITLE, TREND};
use super::trend::{sparkline, squeezed};
use crate::live::app::App;
use crate::live::columns::ColumnName;
use crate::live::page::{Page, Row};
use crate::live::sums::TREND_SECONDS;
use crate::output::text;

/// Columns that a name is given before anything but the most important is.
const NAME_MIN: u16 = 16;
/// Columns of the target, where there is room.
const TARGET: u16 = 24;

/// What stands where.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    columns: Vec<ColumnName>,
    /// Columns of the trend; 0: none.
    trend: u16,
    name: u16,
    /// Columns of the target; 0: none.
    target: u16,
}

impl Plan {
    /// What fits, the most important first; the column that sorts always does.
    fn new(columns: u16, sort: ColumnName, has_errors: bool) -> Self {
        use ColumnName::{Busy, Errors, Max, P50, P95, P99, Rate, SelfTime};
        let errors_first = if has_errors { [Errors, SelfTime] } else { [SelfTime, Rate] };
        let wanted = [sort, P95].into_iter().chain(errors_first);
        let wanted = wanted.chain([Rate, SelfTime, P99, P50]);
        let name_min = NAME_MIN.min(columns / 3);
        let mut left = columns.saturating_sub(name_min + 2);
        let mut chosen: Vec<ColumnName> = Vec::new();
        let mut choose = |column: ColumnName, left: &mut u16| {
            let needed = column.width() + 1;
            if column != ColumnName::Name && !chosen.contains(&column) && needed <= *left {
                *left -= needed;
                chosen.push(column);
            }
        };
        wanted.for_each(|column| choose(column, &mut left));
        let mut trend = if left >= 10 { (left - 2).min(15) } else { 0 };
        left -= if trend > 0 { trend + 2 } else { 0 };
        [Busy, Max, Errors].into_iter().for_each(|column| choose(column, &mut left));
        let target = if left >= TARGET + 2 { TARGET } else { 0 };
        left -= if target > 0 { TARGET + 2 } else { 0 };
        let more = (left / 2).min(TREND_SECONDS as u16 - trend.min(TREND_SECONDS as u16));
        let more = if trend > 0 { more } else { 0 };
        trend += more;
        let name = (name_min + left - more).min(columns);
        chosen.order_by_key(|column| ColumnName::ALL.iter().position(|known| known == column));
        Self { columns: chosen, trend, name, target }
    }
}

/// Draws the table, and keeps the selected row in sight.
pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let lines = usize::from(canvas.height().saturating_sub(1));
    let position = app.selected_position();
    if lines > 0 {
        let lowest = position.saturating_sub(lines - 1);
        app.top = app.top.clamp(lowest, position).min(app.order.len().saturating_sub(lines));
    }
    (app.lines_shown, app.lines_total) = (lines, app.order.len());
    let Some(page) = &app.page else { return };
    let has_errors = page.rows.iter().any(|row| row.sums.errors > 0);
    let plan = Plan::new(canvas.width(), app.sort, has_errors);
    titles(canvas, app, &plan);
    if app.order.is_empty() {
        canvas.put(2, 2, &nothing(app, page), FAINT);
        return;
    }
    for (y, at) in (app.top..app.order.len()).take(lines).enumerate() {
        let Some(row) = app.row_at(at) else { continue };
        let y = u16::try_from(y + 1).unwrap_or(u16::MAX);
        line(canvas, y, row, &plan);
        if at == position {
            canvas.restyle(y, SELECTED);
        }
    }
}

fn nothing(app: &App, page: &Page) -> String {
    if page.rows.is_empty() {
        format!("no span ended in this window ({}); 4 shows the whole run", app.window.name())
    } else {
        "no name passes the filter; Esc shows all".into()
    }
}

fn titles(canvas: &mut Canvas<'_>, app: &App, plan: &Plan) {
    let arrow = if app.is_reversed { "▲" } else { "▼" };
    let title = |column: ColumnName| {
        let sorts = column == app.sort;
        let text = if sorts { format!("{}{arrow}", column.title()) } else { column.title().into() };
        (text, if sorts { TITLE } else { FAINT })
    };
    let mut x = 0;
    for column in &plan.columns {
        let (text, style) = title(*column);
        // As the units of durations stand to the right of the numbers.
        canvas.put_right(x, 0, &text, column.width(), style);
        x += column.width() + 1;
    }
    if plan.trend > 0 {
        let text = if plan.trend > 10 { "trend 60s" } else { "trend" };
        canvas.put_within(x + 1, 0, text, plan.trend, FAINT);
        x += plan.trend + 2;
    }
    let (text, style) = title(ColumnName::Name);
    canvas.put_within(x + 1, 0, &text, plan.name, style);
    if plan.target > 0 {
        canvas.put_within(x + 1 + plan.name + 1, 0, "target", plan.target, FAINT);
    }
}

fn line(canvas: &mut Canvas<'_>, y: u16, row: &Row, plan: &Plan) {
    let mut x = 0;
    for column in &plan.columns {
        let text = column.text(row);
        canvas.put_right(x, y, &text, column.width(), style(*column, row));
        x += column.width() + 1;
    }
    if plan.trend > 0 {
        let columns = plan.trend;
        let trend = sparkline(&squeezed(&row.trend, columns), columns);
        let at = x + 1 + columns.saturating_sub(width(&trend));
        canvas.put_within(at, y, &trend, columns, TREND);
        x += columns + 2;
    }
    let name = row.key.text();
    canvas.put_cut(x + 1, y, &name, plan.name, PLAIN);
    if plan.target > 0 {
        let target = text::clean(&row.key.target);
        canvas.put_cut(x + 1 + plan.name + 1, y, &target, plan.target, FAINT);
    }
}

fn style(column: ColumnName, row: &Row) -> Style {
    match column {
        ColumnName::Errors if row.sums.errors > 0 => BAD,
        ColumnName::Errors => FAINT,
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_never_takes_more_than_there_is() {
        for columns in 0..400 {
            for sort in ColumnName::ALL {
                for has_errors in [false, true] {
                    let plan = Plan::new(columns, sort, has_errors);
                    let numbers: u16 = plan.columns.iter().map(|c| c.width() + 1).sum();
                    let trend = if plan.trend > 0 { plan.trend + 2 } else { 0 };
                    let target = if plan.target > 0 { plan.target + 2 } else { 0 };
                    let used = numbers + trend + plan.name + target;
                    assert!(used <= columns, "{used} of {columns}: {plan:?}");
                }
            }
        }
    }

    #[test]
    fn eighty_columns_hold_what_matters() {
        let plan = Plan::new(80, ColumnName::SelfTime, false);
        use ColumnName::{P50, P95, P99, Rate, SelfTime};
        for column in [Rate, P50, P95, P99, SelfTime] {
            assert!(plan.columns.contains(&column), "{plan:?}");
        }
        let plan = Plan::new(80, ColumnName::Max, true);
        assert!(
            plan.columns.contains(&ColumnName::Max) && plan.columns.contains(&ColumnName::Errors)
        );
        let wide = Plan::new(200, ColumnName::P95, false);
        assert!(wide.columns.len() == 8 && wide.target > 0 && wide.trend > 30, "{wide:?}");
    }
}
