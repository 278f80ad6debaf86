//! The open spans by thread: what each is doing now, and what hangs.

use super::canvas::{Canvas, width};
use super::theme::{BAD, BOLD, FAINT, PLAIN, WARN};
use crate::live::app::App;
use crate::live::page::{OpenLine, Page, State, SubjectData};
use crate::output::{Cell, text};

/// Columns of a count behind the name of a thread.
const COUNT: u16 = 16;
/// Columns that a name has, however few there are.
const NAME_MIN: u16 = 8;

/// A line of the screen: a thread, or a span under it.
enum Line<'a> {
    Thread(&'a OpenLine, usize),
    Span(&'a OpenLine),
}

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &mut App) {
    let Some(page) = &app.page else { return };
    let SubjectData::Open(open) = &page.subject else {
        canvas.put(2, 1, "reading ...", FAINT);
        return;
    };
    let stalled = open.iter().filter(|line| line.is_stalled).count();
    let when = match &page.open_from {
        Some(when) => when.clone(),
        None => as_stored(page, open),
    };
    if let Some(over) = over(page).filter(|_| open.is_empty()) {
        for (y, line) in (0..canvas.height()).zip(over) {
            canvas.put_cut(1, y, &line, u16::MAX, FAINT);
        }
        (app.top, app.lines_shown, app.lines_total) = (0, 0, 0);
        return;
    }
    let open_now = format!("{} open", text::count(open.len() as u64));
    let stalled = match stalled {
        0 => String::new(),
        stalled => format!("  ! {} stalled", text::count(stalled as u64)),
    };
    // Left out as a whole where it does not fit: a cut figure would mislead.
    let whole = format!("{open_now}, {when}");
    let has_room = width(&whole) + width(&stalled) < canvas.width();
    let x = canvas.put_cut(1, 0, if has_room { &whole } else { &open_now }, u16::MAX, FAINT);
    canvas.put_cut(x, 0, &stalled, u16::MAX, BAD);
    let lines = lines(open);
    let shown = usize::from(canvas.height().saturating_sub(1));
    let top = app.top.min(lines.len().saturating_sub(shown));
    for (y, line) in lines.iter().skip(top).take(shown).enumerate() {
        let y = u16::try_from(y + 1).unwrap_or(u16::MAX);
        match line {
            Line::Thread(first, count) => thread(canvas, y, first, *count),
            Line::Span(line) => span(canvas, y, line),
        }
    }
    (app.top, app.lines_shown, app.lines_total) = (top, shown, lines.len());
}

/// What to say of a run that is over: how it ended, and what was open then.
fn over(page: &Page) -> Option<Vec<String>> {
    let run = &page.health.run;
    let how = match page.health.state {
        State::Ended => "has ended",
        State::Crashed => "is over: its process died, and all that it had recorded is stored",
        _ => return None,
    };
    let mut lines = vec![format!("run {} {how}", run.id)];
    lines.push(match run.unfinished {
        0 => "nothing was open then".to_owned(),
        left => format!(
            "{} open then: `spandrel sql --recipe unfinished`",
            text::counted_with(left, "span", text::WAS)
        ),
    });
    Some(lines)
}

/// Of when they are as the profile has them.
fn as_stored(page: &Page, open: &[OpenLine]) -> String {
    let when = match page.health.state {
        State::Recording | State::Silent(_) => "as the recording last looked",
        State::Ended | State::Crashed => "which is over",
        State::Killed | State::Closed | State::Unknown => "shortly before the recording stopped",
    };
    match open.iter().map(|line| line.span.seen_ns).max() {
        Some(seen_ns) => format!("{when}, {}", looked(seen_ns, page.end_ns, page.health.lag_ns)),
        None => when.to_owned(),
    }
}

/// How old the look is; of a recording elsewhere or one that stopped, when it was.
fn looked(seen_ns: i64, end_ns: i64, lag_ns: Option<i64>) -> String {
    match lag_ns {
        // What is stored ends so long ago, and the look is by so much older.
        Some(lag_ns) => {
            let age = lag_ns.saturating_add(end_ns).saturating_sub(seen_ns).max(0);
            format!("{} ago", text::duration_in_words(age))
        }
        None => format!("at +{}", text::duration_in_words(seen_ns)),
    }
}

fn lines(open: &[OpenLine]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let of_thread =
        open.chunk_by(|one, other| one.span.span.thread.id == other.span.span.thread.id);
    for spans in of_thread {
        lines.extend(spans.first().map(|first| Line::Thread(first, spans.len())));
        lines.extend(spans.iter().map(Line::Span));
    }
    lines
}

fn thread(canvas: &mut Canvas<'_>, y: u16, first: &OpenLine, count: usize) {
    let thread = &first.span.span.thread;
    let name = Cell::from(&**thread).text();
    let x = canvas.put_cut(1, y, &name, canvas.width().saturating_sub(COUNT), BOLD);
    canvas.put(x.saturating_add(2), y, &format!("{} open", text::count(count as u64)), FAINT);
}

fn span(canvas: &mut Canvas<'_>, y: u16, line: &OpenLine) {
    let style = if line.is_stalled { BAD } else { PLAIN };
    let age = text::duration_in_words(line.age_ns);
    canvas.put_right(0, y, &age, 11, style);
    if line.is_stalled {
        canvas.put(12, y, "!", style);
    }
    let span = &line.span.span;
    // Deeper than half of the screen, the depth is said by a number.
    let room = usize::from(canvas.width() / 2) / 2;
    let indent =
        if line.depth > room { format!("{:>room$} ", line.depth) } else { "  ".repeat(line.depth) };
    let x = canvas.put(14, y, &indent, FAINT);
    let busy = span.busy_ns.map(|busy| {
        let share = busy as f64 / line.age_ns.max(1) as f64;
        format!("  busy {}", text::share(share.min(1.0)))
    });
    let entered = line.lives_long.then(|| {
        let longest = span.longest_entry_ns.map(text::duration_in_words);
        let longest = longest.map(|ns| format!(", longest {ns}")).unwrap_or_default();
        format!("  entered {} times{longest}", text::count(span.entries))
    });
    let figures = [Some(format!("  s{}", span.id)), busy, entered];
    let behind = figures.iter().flatten().map(|text| width(text)).sum();
    let columns = canvas.width().saturating_sub(x).saturating_sub(behind).max(NAME_MIN);
    let mut name = text::clean(&span.callsite.name);
    if line.lives_long {
        name = format!("{name} {}", text::LONG);
    }
    let mut x = canvas.put_cut(x, y, &name, columns, style);
    for figure in figures.iter().flatten() {
        // Not a part of it.
        if width(figure) <= canvas.width().saturating_sub(x) {
            x = canvas.put(x, y, figure, FAINT);
        }
    }
    if let Some(fields) = &span.fields {
        let columns = canvas.width().saturating_sub(x + 2);
        canvas.put_cut(x.saturating_add(2), y, &text::clean(fields), columns, WARN);
    }
}
