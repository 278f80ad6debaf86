//! One name: how its durations are distributed, its percentiles over time, the slowest and the open ones.

use ratatui::style::Style;
use spandrel_query::{SpanRef, bars};

use super::canvas::{Canvas, width};
use super::flame::coverage_text;
use super::theme::{BAD, BOLD, FAINT, PLAIN, SELECTED, TREND, WARN};
use super::trend::column;
use crate::live::app::App;
use crate::live::columns::rate;
use crate::live::page::{Detail, OPEN_SHOWN, Page, Point, Row, SubjectData, TraceKey};
use crate::output::{Cell, text};

/// Rows of the bars of the distribution.
const BARS: usize = 10;
/// Rows of the percentiles over time.
const OVER_TIME: u16 = 5;

/// Columns that stand beside them: the scale on the left, the highest on the right.
const OVER_TIME_BESIDE: u16 = 32;

/// A line, in stretches of one style each.
type Line = Vec<(String, Style)>;

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let (lines, picks) = match &page.subject {
        SubjectData::Detail(detail) => {
            let row = page.rows.iter().find(|row| row.key == detail.key);
            lines(page, detail, row, canvas.width())
        }
        _ => (vec![vec![("  reading ...".into(), FAINT)]], Vec::new()),
    };
    let shown = usize::from(canvas.height());
    let mut top = app.top;
    // What is selected stays in sight, however its line or the terminal has moved.
    if let Some((line, _)) = picks.iter().find(|(_, key)| Some(*key) == app.picked) {
        top = top.clamp((line + 1).saturating_sub(shown.max(1)), *line);
    }
    let top = top.min(lines.len().saturating_sub(shown));
    for (at, line) in lines.iter().skip(top).take(shown).enumerate() {
        let y = u16::try_from(at).unwrap_or(u16::MAX);
        let mut x = 1;
        for (text, style) in line {
            let columns = canvas.width().saturating_sub(x);
            x = canvas.put_cut(x, y, text, columns, *style);
        }
        let is_picked =
            |(line, key): &(usize, TraceKey)| *line == top + at && app.picked == Some(*key);
        if picks.iter().any(is_picked) {
            canvas.restyle(y, SELECTED);
        }
    }
    app.picks = picks;
    (app.top, app.lines_shown, app.lines_total) = (top, shown, lines.len());
}

/// The lines, and on which of them there are spans whose traces can be opened.
fn lines(
    page: &Page,
    detail: &Detail,
    row: Option<&Row>,
    columns: u16,
) -> (Vec<Line>, Vec<(usize, TraceKey)>) {
    let mut lines = Vec::new();
    match row {
        Some(row) => {
            lines.extend(figures(row, columns));
            lines.push(Line::new());
            lines.extend(distribution(row, columns));
            lines.push(Line::new());
            lines.extend(over_time(&detail.points, columns));
        }
        None => lines.push(vec![("no span of this name ended in the window".into(), WARN)]),
    }
    lines.push(Line::new());
    let slowest = slowest(page, detail);
    // Each list stands beneath its title.
    let slow_at = lines.len() + 1;
    lines.extend(slowest);
    lines.push(Line::new());
    let open_at = lines.len() + 1;
    lines.extend(open(detail));
    let slow = (slow_at..).take(detail.slowest.len());
    let mut picks: Vec<(usize, TraceKey)> = Vec::new();
    for (line, key) in slow.chain(open_at..).zip(detail.spans()) {
        // One that closes just now may be in both lists.
        if picks.iter().all(|(_, known)| *known != key) {
            picks.push((line, key));
        }
    }
    (lines, picks)
}

/// On as many lines as it takes.
fn figures(row: &Row, columns: u16) -> Vec<Line> {
    let words = text::duration_in_words;
    let figure = |name: &str, value: String| format!("{name} {value}  ");
    let busy = row.busy_share().map_or("-".into(), text::share);
    let figures = [
        figure("rate", format!("{}/s", rate(row.rate))),
        figure("calls", text::count(row.sums.calls)),
        figure("p50", words(row.p50_ns)),
        figure("p95", words(row.p95_ns)),
        figure("p99", words(row.p99_ns)),
        figure("max", words(row.sums.max_ns)),
        figure("busy", busy),
        figure("self", words(row.sums.self_ns)),
    ];
    let errors = format!("errors {}", text::count(row.sums.errors));
    let style = if row.sums.errors > 0 { BAD } else { PLAIN };
    let figures = figures.into_iter().map(|text| (text, PLAIN)).chain([(errors, style)]);
    let mut lines = vec![Line::new()];
    let mut used = 0;
    for (text, style) in figures {
        if used > 0 && used + width(&text) + 1 > columns {
            lines.push(Line::new());
            used = 0;
        }
        used += width(&text);
        lines.last_mut().into_iter().for_each(|line| line.push((text.clone(), style)));
    }
    lines
}

fn ns(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn distribution(row: &Row, columns: u16) -> Vec<Line> {
    let histogram = &row.sums.histogram;
    let bars = bars(histogram, BARS);
    let highest = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    let all = histogram.count().max(1);
    let marks: Vec<(&str, u64)> = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .into_iter()
        .filter_map(|(name, q)| Some((name, histogram.percentile_up_to(q, row.sums.max_ns)?)))
        .collect();
    let room = usize::from(columns.saturating_sub(48).clamp(8, 60));
    let mut title = vec![("durations".to_owned(), BOLD)];
    let summed = row.sums.calls.saturating_sub(histogram.count());
    if row.key.counted.has_entries() && summed > 0 {
        let calls = text::counted(summed, "more call");
        title.push((format!("  {calls} known by their sum only"), FAINT));
    }
    let mut lines = vec![title];
    let mut below = 0_u64;
    for run in bars.chunk_by(|one, other| one.count == 0 && other.count == 0) {
        if let (Some(last), 2..) = (run.last(), run.len()) {
            let until = text::duration_in_words(ns(last.to_ns));
            lines.push(vec![(format!("{:9}  ⋮  (empty to {until})", ""), FAINT)]);
            continue;
        }
        for bar in run {
            below = below.saturating_add(bar.count);
            let drawn = text::bar(bar.count as f64 / highest as f64, room);
            let space = room.saturating_sub(usize::from(width(&drawn)));
            let count = text::count(bar.count);
            let share = text::share(below as f64 / all as f64);
            let inside: Vec<&str> = marks
                .iter()
                .filter(|(_, at)| (bar.from_ns..bar.to_ns).contains(at))
                .map(|(name, _)| *name)
                .collect();
            let mark = if inside.is_empty() {
                String::new()
            } else {
                format!("  ◄ {}", inside.join(" "))
            };
            lines.push(vec![
                (format!("{:>9}  ", text::duration(ns(bar.from_ns))), PLAIN),
                (drawn, TREND),
                (format!("{:space$} {count:>11} {share:>7}", ""), PLAIN),
                (mark, WARN),
            ]);
        }
    }
    lines
}

/// The p99 as columns and p50 and p95 as the last figures: the shape is what is looked for.
fn over_time(points: &[Point], columns: u16) -> Vec<Line> {
    let room = usize::from(columns.saturating_sub(OVER_TIME_BESIDE)).max(1);
    let points = points.get(points.len().saturating_sub(room)..).unwrap_or_default();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let words = text::duration_in_words;
    let span = format!("p99 over time, +{} to +{}", words(first.at_ns), words(last.at_ns));
    let mut lines = vec![vec![(span, BOLD)]];
    let of = |q: f64| -> Vec<u64> {
        let of = |point: &Point| point.histogram.percentile_up_to(q, point.max_ns).unwrap_or(0);
        points.iter().map(of).collect()
    };
    let values = of(0.99);
    let highest = values.iter().copied().max().unwrap_or(0);
    let drawn: Vec<Vec<char>> =
        values.iter().map(|value| column(*value, highest, OVER_TIME)).collect();
    for row in (0..usize::from(OVER_TIME)).rev() {
        let scale = match row {
            0 => "0".into(),
            row if row + 1 == usize::from(OVER_TIME) => text::duration(ns(highest)),
            _ => String::new(),
        };
        let cells = drawn.iter().map(|column| column.get(row).copied().unwrap_or(' '));
        lines.push(vec![(format!("{scale:>9}  "), FAINT), (cells.collect(), TREND)]);
    }
    let row = |name: &str, q: f64| {
        let values = of(q);
        let drawn = super::trend::sparkline(&values, u16::MAX);
        let highest = values.iter().copied().max().unwrap_or(0);
        let scale = format!("  to {}", words(ns(highest)));
        vec![(format!("{name:>9}  "), FAINT), (drawn, TREND), (scale, FAINT)]
    };
    let calls: Vec<u64> = points.iter().map(|point| point.calls).collect();
    lines.extend([row("p95", 0.95), row("p50", 0.5)]);
    let most = text::count(calls.iter().copied().max().unwrap_or(0));
    lines.push(vec![
        (format!("{:>9}  ", "calls"), FAINT),
        (super::trend::sparkline(&calls, u16::MAX), TREND),
        (format!("  to {most}"), FAINT),
    ]);
    lines
}

fn slowest(page: &Page, detail: &Detail) -> Vec<Line> {
    let title = format!("slowest, in {}", coverage_text(&detail.coverage));
    let mut lines = vec![vec![(title, BOLD)]];
    if detail.slowest.is_empty() {
        lines.push(vec![("none of this name among them".into(), FAINT)]);
    }
    for span in &detail.slowest {
        let busy = span.busy_ns.map_or("-".into(), text::duration);
        let is_idle = SpanRef::from(span).was_never_entered();
        let idle = if is_idle { format!("  {}", text::IDLE) } else { String::new() };
        let ago = page.until_ns.saturating_sub(span.start_ns);
        let status = match span.status.as_str() {
            "ok" => (String::new(), PLAIN),
            status => (format!("  ! {status}"), BAD),
        };
        lines.push(vec![
            (format!("{:>9}", text::duration(span.duration_ns.unwrap_or(0))), BOLD),
            (format!("  busy {busy:>9}  {:>9} before  ", text::duration_in_words(ago)), PLAIN),
            (format!("s{:<9} t{:<9}", span.id, span.root_id), FAINT),
            (idle, FAINT),
            status,
            (format!("  {}", text::clean(span.fields.as_deref().unwrap_or_default())), FAINT),
        ]);
    }
    lines
}

fn open(detail: &Detail) -> Vec<Line> {
    let count = text::count(detail.open.len() as u64);
    let mut lines = vec![vec![(format!("open now: {count}"), BOLD)]];
    for open in detail.open.iter().take(OPEN_SHOWN) {
        let span = &open.span;
        let age = open.seen_ns.saturating_sub(span.start_ns);
        let thread = Cell::from(&*span.thread).text();
        lines.push(vec![
            (format!("{:>9}", text::duration(age)), PLAIN),
            (format!("  s{:<9} {thread}  ", span.id), FAINT),
            (text::clean(span.fields.as_deref().unwrap_or_default()), FAINT),
        ]);
    }
    lines
}
