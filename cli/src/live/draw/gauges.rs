//! Values that the program has set: a gauge a line, with its last value and its trend.

use spandrel_query::Gauge;

use super::canvas::{Canvas, width};
use super::theme::{BOLD, FAINT, PLAIN, TREND};
use crate::commands::gauges::in_words;
use crate::live::app::App;
use crate::live::page::SubjectData;
use crate::output::text;

/// Columns of a value.
const VALUE: u16 = 11;
/// Columns that a name has, however few there are.
const NAME_MIN: u16 = 8;
/// Columns of a trend beside which its ends are said.
const TREND_MIN: u16 = 10;

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let SubjectData::Gauges(gauges) = &page.subject else {
        canvas.put(2, 1, "reading ...", FAINT);
        return;
    };
    if gauges.is_empty() {
        let columns = canvas.width().saturating_sub(3);
        canvas.put_cut(2, 1, "no gauge was set in the window", columns, PLAIN);
    }
    let names = gauges.iter().map(|gauge| width(&text::clean(&gauge.name))).max().unwrap_or(0);
    let left = canvas.width().saturating_sub(VALUE + 3);
    let names = names.clamp(NAME_MIN, (left / 2).max(NAME_MIN));
    let shown = usize::from(canvas.height());
    let top = app.top.min(gauges.len().saturating_sub(shown));
    for (y, found) in gauges.iter().skip(top).take(shown).enumerate() {
        line(canvas, u16::try_from(y).unwrap_or(u16::MAX), names, found);
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, gauges.len());
}

fn line(canvas: &mut Canvas<'_>, y: u16, names: u16, gauge: &Gauge) {
    let said = |value: Option<f64>| match value {
        Some(value) => in_words(&gauge.name, value),
        None => "-".to_owned(),
    };
    canvas.put_right(0, y, &said(gauge.last), VALUE, BOLD);
    canvas.put_cut(VALUE + 2, y, &text::clean(&gauge.name), names, PLAIN);
    let at = VALUE + names + 4;
    let ends = format!("  {} .. {}", said(gauge.min), said(gauge.max));
    let trend: Vec<char> = text::trend(&gauge.trend).chars().collect();
    let parts = u16::try_from(trend.len()).unwrap_or(u16::MAX);
    let room = canvas.width().saturating_sub(at);
    let beside = room.saturating_sub(width(&ends)).min(parts);
    // The newest part of it, where not all fits; and its ends as a whole, or not at all: a cut figure would mislead.
    let has_ends = beside >= TREND_MIN;
    let columns = usize::from(if has_ends { beside } else { room.min(parts) });
    let newest = trend.get(trend.len().saturating_sub(columns)..).unwrap_or_default();
    let x = canvas.put(at, y, &newest.iter().collect::<String>(), TREND);
    if has_ends {
        canvas.put(x, y, &ends, FAINT);
    }
}
