//! The first lines: how the recording is, what was lost, and what the table is about.

use ratatui::style::Style;

use super::canvas::{Canvas, width};
use super::theme::{BAD, BANNER, BOLD, FAINT, GOOD, PLAIN, TITLE, TREND, WARN};
use super::trend::sparkline;
use crate::live::app::{App, View};
use crate::live::input::InputOf;
use crate::live::page::{Health, Page, Programs, State};
use crate::output::text;

/// Whole seconds that the rate of spans is the mean of.
const RATE_SECONDS: usize = 5;

/// Something in the first line. The larger the rank, the sooner it is left out.
struct Part {
    rank: u8,
    text: String,
    style: Style,
}

/// Draws the lines, and says how many there are.
pub(super) fn draw(canvas: &mut Canvas<'_>, app: &App) -> u16 {
    let mut y = 0;
    match &app.page {
        Some(page) => first_line(canvas, page, &app.clock),
        None => {
            canvas.put(1, 0, "spandrel", TITLE);
        }
    }
    y += 1;
    let Some(page) = &app.page else { return y };
    if let Some(why) = &app.missing {
        banner(canvas, y, &format!("! not up to date: {}", text::clean(why)));
        y += 1;
    }
    if let Some(lost) = lost(&page.health, canvas.width().saturating_sub(1))
        && canvas.height() >= 7
    {
        banner(canvas, y, &lost);
        y += 1;
    }
    if let Some(left) = &page.health.left
        && canvas.height() >= 7
    {
        y += left_behind(canvas, y, left);
    }
    if canvas.height() >= 6 || app.input.is_some() {
        second_line(canvas, y, app, page);
        y += 1;
    }
    y
}

fn banner(canvas: &mut Canvas<'_>, y: u16, text: &str) {
    canvas.restyle(y, BANNER);
    let columns = canvas.width().saturating_sub(1);
    canvas.put_cut(1, y, text, columns, BANNER);
}

/// What is in ring files, and the command: over as many lines as it takes, and leaves half of the screen.
fn left_behind(canvas: &mut Canvas<'_>, y: u16, left: &str) -> u16 {
    let columns = canvas.width().saturating_sub(2).max(1);
    let wrapped = text::wrap(left, usize::from(columns));
    let lines = wrapped.lines().flat_map(|line| pieces(line, columns));
    let mut drawn = 0;
    for line in lines.take(usize::from(canvas.height() / 3).max(1)) {
        banner(canvas, y + drawn, &line);
        drawn += 1;
    }
    drawn
}

/// A line that is one long word, such as a path, in lines that have room.
fn pieces(line: &str, columns: u16) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in line.chars() {
        let mut buffer = [0; 4];
        let wide = width(character.encode_utf8(&mut buffer));
        match pieces.last_mut() {
            Some(last) if width(last) + wide <= columns => last.push(character),
            _ => pieces.push(character.to_string()),
        }
    }
    pieces
}

/// What is missing, and why.
fn lost(health: &Health, columns: u16) -> Option<String> {
    if health.dropped.is_empty() {
        return None;
    }
    let run = &health.run;
    let total = health.dropped.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let stored = run.spans.saturating_add(run.events).saturating_add(run.entries);
    let all = stored.saturating_add(total);
    let reasons: Vec<String> = health
        .dropped
        .iter()
        .map(|(reason, count)| format!("{} {}", text::clean(reason), text::count(*count)))
        .collect();
    let total = format!("{} lost ({})", text::count(total), text::share(total as f64 / all as f64));
    // Reasons that have no room are counted, so that no figure is cut.
    let lines = (0..=reasons.len()).rev().flat_map(|named| {
        let mut named: Vec<String> = reasons.iter().take(named).cloned().collect();
        let more = reasons.len() - named.len();
        if more > 0 {
            named.push(text::counted(more as u64, "reason"));
        }
        let why = named.join(", ");
        [format!("! {total}: {why}. Figures are of what was stored"), format!("! {total}: {why}")]
    });
    let mut lines = lines.skip_while(|line| width(line) > columns);
    lines.next().or_else(|| Some(format!("! {total}")))
}

fn first_line(canvas: &mut Canvas<'_>, page: &Page, clock: &str) {
    let mut parts = parts(page);
    let clock_columns = width(clock) + 1;
    let room = canvas.width().saturating_sub(clock_columns + 1);
    let needed = |parts: &[Part]| -> u16 {
        parts.iter().map(|part| width(&part.text) + 2).fold(0, u16::saturating_add)
    };
    while needed(&parts) > room && parts.len() > 1 {
        let last = parts.iter().map(|part| part.rank).max();
        parts.retain(|part| Some(part.rank) != last);
    }
    let mut x = 1;
    for part in &parts {
        x = canvas.put(x, 0, &part.text, part.style).saturating_add(2);
    }
    if x.saturating_add(clock_columns) <= canvas.width() + 2 {
        let at = canvas.width().saturating_sub(clock_columns);
        canvas.put(at, 0, clock, FAINT);
    }
}

/// Nothing where none are recorded.
fn entries(rate: Option<f64>) -> String {
    rate.map_or_else(String::new, |rate| format!("{} entries/s", text::count(rate.round() as u64)))
}

fn parts(page: &Page) -> Vec<Part> {
    let health = &page.health;
    if let Some(programs) = health.programs {
        return of_folder(page, programs);
    }
    let run = &health.run;
    let label: String = match &run.info.label {
        Some(label) => text::clean(label).chars().take(24).collect(),
        None => format!("run {}", run.id),
    };
    let (state, style) = match (health.state, &health.left) {
        (State::Killed, Some(_)) => ("! died, not all stored".into(), BAD),
        (other, _) => state(other),
    };
    let lost = health.dropped.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let seconds = health.spans_by_second.split_last().map_or(&[][..], |(_, whole)| whole);
    let recent = seconds.get(seconds.len().saturating_sub(RATE_SECONDS)..).unwrap_or_default();
    let rate = recent.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)) as f64
        / recent.len().max(1) as f64;
    let mut parts = vec![
        Part { rank: 9, text: "spandrel".into(), style: TITLE },
        Part { rank: 5, text: label, style: BOLD },
        Part { rank: 0, text: state, style },
        Part {
            rank: 2,
            text: format!("{} spans/s", text::count(rate.round() as u64)),
            style: PLAIN,
        },
        Part { rank: 8, text: sparkline(seconds, 8), style: TREND },
        Part { rank: 7, text: entries(health.entries_rate), style: PLAIN },
        Part {
            rank: 1,
            text: format!("dropped {}", text::count(lost)),
            style: if lost > 0 { BAD } else { PLAIN },
        },
    ];
    if let Some(share) = health.ring_share {
        let style = if share >= 0.5 { WARN } else { PLAIN };
        parts.push(Part { rank: 4, text: format!("ring {:.0}%", share * 100.0), style });
    }
    if let Some(lag) = health.lag_ns {
        // Tenths of a millisecond would be noise, and flicker.
        let lag = match lag / 1_000_000 {
            ms @ ..10_000 => format!("{ms} ms"),
            ms => text::duration_in_words(ms.saturating_mul(1_000_000)),
        };
        parts.push(Part { rank: 3, text: format!("lag {lag}"), style: PLAIN });
    }
    parts.push(Part { rank: 6, text: format!("db {}", text::bytes(health.bytes)), style: PLAIN });
    parts
}

/// Of a folder of ring files.
fn of_folder(page: &Page, programs: Programs) -> Vec<Part> {
    let Programs { alive, dead, unknown } = programs;
    let label: String = page.health.run.info.label.as_deref().map(text::clean).unwrap_or_default();
    let mut parts = vec![
        Part { rank: 9, text: "spandrel".into(), style: TITLE },
        Part { rank: 5, text: label, style: BOLD },
        Part {
            rank: 0,
            text: format!(
                "● {}",
                text::counted_with(alive as u64, "program", ("records", "record"))
            ),
            style: if alive > 0 { GOOD } else { FAINT },
        },
    ];
    if dead > 0 {
        let died = text::counted_with(dead as u64, "program", ("has died", "have died"));
        parts.push(Part { rank: 1, text: format!("! {died}"), style: BAD });
    }
    if unknown > 0 {
        let text = format!("? {} elsewhere", text::count(unknown as u64));
        parts.push(Part { rank: 2, text, style: WARN });
    }
    parts
}

fn state(state: State) -> (String, Style) {
    match state {
        State::Recording => ("● rec".into(), GOOD),
        State::Silent(ns) => (format!("● rec, silent for {}", text::duration_in_words(ns)), WARN),
        State::Ended => ("■ ended".into(), FAINT),
        State::Crashed => ("! died, all stored".into(), BAD),
        State::Killed => ("! killed".into(), BAD),
        State::Closed => ("■ ended, not all stored".into(), WARN),
        State::Unknown => ("? not ended".into(), WARN),
    }
}

/// The filter or the input, which part of the run is shown, and the order of the rows.
fn second_line(canvas: &mut Canvas<'_>, y: u16, app: &App, page: &Page) {
    if let Some(input) = &app.input {
        let prompt = match input.of {
            InputOf::Filter => "/",
            InputOf::Mark => "mark: ",
        };
        let x = canvas.put(1, y, prompt, BOLD);
        let typed = text::clean(&input.text);
        // The end of it, where one types.
        let room = usize::from(canvas.width().saturating_sub(x + 1));
        let skipped = typed.chars().count().saturating_sub(room);
        let shown: String = typed.chars().skip(skipped).collect();
        let x = canvas.put(x, y, &shown, BOLD);
        let x = canvas.put(x, y, "_", BOLD);
        if let Some(fault) = &input.fault {
            let fault = text::clean(fault.lines().next().unwrap_or_default());
            let columns = canvas.width().saturating_sub(x + 2);
            canvas.put_cut(x.saturating_add(2), y, &fault, columns, BAD);
        }
        return;
    }
    let right = about(app, page);
    let columns = width(&right).min(canvas.width().saturating_sub(1));
    let at = canvas.width().saturating_sub(columns + 1);
    canvas.put_within(at, y, &right, columns, FAINT);
    let room = at.saturating_sub(2);
    let left = match &app.view {
        View::Table if app.filter.text.is_empty() => text::counted(app.order.len() as u64, "name"),
        View::Table => format!(
            "{} of {}  /{}",
            text::count(app.order.len() as u64),
            text::count(page.rows.len() as u64),
            text::clean(&app.filter.text)
        ),
        View::Detail(key) => format!("{}  {}", key.text(), text::clean(&key.target)),
        View::Tree(key, trace) => {
            format!("trace t{} of s{}  {}", trace.root_id, trace.span_id, key.text())
        }
        View::Open => "open spans".into(),
        View::Stalls => "stalls".into(),
        View::Gauges => "values".into(),
        View::Flame => "flame".into(),
        View::Help => "help".into(),
    };
    canvas.put_cut(1, y, &left, room, BOLD);
}

fn about(app: &App, page: &Page) -> String {
    let words = text::duration_in_words;
    let mut parts = Vec::new();
    if app.until_ns.is_some() {
        parts.push(format!("|| until +{} of {}", words(page.until_ns), words(page.end_ns)));
    }
    if app.view == View::Table {
        let arrow = if app.is_reversed { "▲" } else { "▼" };
        parts.push(format!("sort: {} {arrow}", app.sort.title()));
    }
    if !app.has_only_open {
        parts.push(format!("window {}", app.window.name()));
    }
    parts.join("  ")
}
