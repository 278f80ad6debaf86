//! From the state to the cells of the screen. All text of a profile is cleaned here, on its way there.

mod canvas;
mod detail;
mod flame;
mod gauges;
mod header;
mod help;
mod open;
mod stalls;
mod table;
mod theme;
mod tree;
mod trend;

use ratatui::buffer::Buffer;

use self::canvas::{Canvas, width};
pub(crate) use self::theme::Appearance;
use self::theme::{BOLD, FAINT, WARN};
use super::app::{App, View};
use crate::output::text;

/// Draws everything. Notes in the state what fitted.
pub(crate) fn draw(buffer: &mut Buffer, app: &mut App, appearance: Appearance) {
    let mut canvas = Canvas::new(buffer);
    let top = header::draw(&mut canvas, app);
    let bottom = u16::from(canvas.height() > 4);
    let rows = canvas.height().saturating_sub(top + bottom);
    let mut body = canvas.rows(top, rows);
    match app.view {
        View::Help => help::draw(&mut body, app),
        _ if app.page.is_none() => waiting(&mut body, app),
        View::Table => table::draw(&mut body, app),
        View::Detail(_) => detail::draw(&mut body, app),
        View::Tree(..) => tree::draw(&mut body, app),
        View::Open => open::draw(&mut body, app),
        View::Stalls => stalls::draw(&mut body, app),
        View::Gauges => gauges::draw(&mut body, app),
        View::Flame => flame::draw(&mut body, app),
    }
    if bottom > 0 {
        let last = canvas.height().saturating_sub(1);
        footer(&mut canvas.rows(last, 1), app);
    }
    theme::fit(buffer, appearance);
}

fn waiting(canvas: &mut Canvas<'_>, app: &App) {
    let why = app.missing.as_deref().unwrap_or("reading ...");
    // In lines, as paths are long.
    let columns = usize::from(canvas.width().saturating_sub(3)).max(1);
    let letters: Vec<char> = text::clean(why).chars().collect();
    for (y, line) in (1..).zip(letters.chunks(columns)) {
        canvas.put(2, y, &line.iter().collect::<String>(), WARN);
    }
}

/// What was said last, or the keys of the view.
fn footer(canvas: &mut Canvas<'_>, app: &App) {
    let columns = canvas.width().saturating_sub(1);
    if let Some(message) = &app.message {
        canvas.put_cut(1, 0, &text::clean(message), columns, WARN);
        return;
    }
    let keys: &[(&str, &str)] = if app.input.is_some() {
        &[("Enter", "keep"), ("Esc", "cancel"), ("Ctrl-U", "erase")]
    } else {
        match app.view {
            View::Table => &[
                ("Enter", "detail"),
                ("/", "filter"),
                ("s", "sort"),
                ("1-4", "window"),
                ("o", "open"),
                ("v", "values"),
                ("f", "flame"),
                ("m", "mark"),
                ("p", "pause"),
                ("e", "export"),
                ("?", "help"),
                ("q", "quit"),
            ],
            View::Detail(_) => &[
                ("Esc", "back"),
                ("Enter", "tree"),
                ("j k", "select"),
                ("1-4", "window"),
                ("p", "pause"),
                ("Left Right", "time"),
                ("?", "help"),
                ("q", "quit"),
            ],
            _ if app.has_only_open && app.view != View::Help => {
                &[("j k", "scroll"), ("?", "help"), ("q", "quit")]
            }
            View::Help => &[("Esc", "back"), ("j k", "scroll"), ("q", "quit")],
            _ => &[
                ("Esc", "back"),
                ("j k", "scroll"),
                ("1-4", "window"),
                ("p", "pause"),
                ("Left Right", "time"),
                ("?", "help"),
                ("q", "quit"),
            ],
        }
    };
    // Those that fit; help and quit always do, where anything does.
    let needed = |(key, what): &(&str, &str)| width(key) + 1 + width(what) + 2;
    let mut shown: Vec<&(&str, &str)> = keys.iter().collect();
    while shown.iter().map(|key| needed(key)).sum::<u16>() > columns + 2 && shown.len() > 2 {
        shown.remove(shown.len() - 3);
    }
    let mut x = 1;
    for (key, what) in shown {
        x = canvas.put(x, 0, key, BOLD);
        x = canvas.put(x.saturating_add(1), 0, what, FAINT).saturating_add(2);
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
