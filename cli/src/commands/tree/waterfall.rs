//! The drawing of a trace: a line a span, and where in time it lies.

use std::collections::{HashMap, HashSet};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use spandrel_storage::query::event_text;
use spandrel_storage::{Callsite, Span, Status};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Found;
use super::lines::{Line, Lines};
use crate::output::text;

const PATH: Style = AnsiColor::Yellow.on_default().bold();
const BAR: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default();

/// Levels that are indented; deeper ones are numbered.
const INDENTED_MAX: usize = 12;
/// Columns of names, at most.
const NAME_MAX: usize = 34;
/// Columns that a name has, however few there are.
const NAME_MIN: usize = 8;
/// Columns of bars, however few there are; and where spans are marked.
const BARS_MIN: usize = 16;
const MARKED_BARS_MIN: usize = 8;
/// Columns of the duration and of what is said behind the bar, which are shown before all of a name is.
const FIGURES: usize = 30;
/// Columns that stand beside names and bars.
const BESIDE: usize = 36;
/// Characters of the fields of a span.
const FIELDS_MAX: usize = 60;
const CHILDREN: (&str, &str) = ("child", "children");
/// The axis is at most so many times as long as the root.
const AXIS_MAX: i64 = 4;
/// Callsites of the critical path that are named.
const BLAMED_MAX: usize = 6;

pub(super) struct Waterfall<'a> {
    found: &'a Found,
    width: usize,
    /// Names that spans of several targets have.
    twins: HashSet<&'a str>,
}

impl<'a> Waterfall<'a> {
    pub(super) fn new(found: &'a Found, width: usize) -> Self {
        let mut targets: HashMap<&str, &str> = HashMap::new();
        let spans = found.trace.spans.iter().map(|span| &span.callsite);
        let twins = spans.filter_map(|callsite| {
            let (name, target) = (callsite.name.as_str(), &*callsite.target);
            (*targets.entry(name).or_insert(target) != target).then_some(name)
        });
        let twins = twins.collect();
        Self { found, width, twins }
    }

    pub(super) fn draw(&self, lines: &Lines) -> String {
        let names: Vec<String> = lines.0.iter().map(|line| self.name(line)).collect();
        // Where spans are marked there is less room for bars and names: figures are never cut for them.
        let marks = lines.0.iter().map(|line| plain_width(&self.mark(line))).max().unwrap_or(0);
        let bars_min = if marks > 0 { MARKED_BARS_MIN } else { BARS_MIN };
        let room = self.width.saturating_sub(FIGURES + bars_min + marks);
        let name_max = NAME_MAX.min(room.max(NAME_MIN));
        let widest = names.iter().map(|name| name.width()).max().unwrap_or(0).min(name_max);
        let columns = self.width.saturating_sub(widest + BESIDE + marks).clamp(bars_min, 80);
        let mut page = String::new();
        for (line, name) in lines.0.iter().zip(&names) {
            let name = fit(name, widest);
            let row = match line {
                Line::Span { place, .. } => self.span(*place, &name, columns),
                Line::Event { place, .. } => self.event(*place, &name, columns),
                Line::Missing { .. } => format!("  {FAINT}{}{FAINT:#}", name.trim_end()),
                Line::More { children, ns, depth, .. } => {
                    let ns = text::duration_in_words(*ns);
                    let what = text::agree(*children, CHILDREN.0, CHILDREN.1);
                    let children = text::count(*children);
                    format!(
                        "  {FAINT}{}… {children} more {what}, {ns} total{FAINT:#}",
                        indent(*depth)
                    )
                }
                Line::Cut { spans, ns } => {
                    let ns = text::duration_in_words(*ns);
                    let what = text::agree(*spans, "span", "spans");
                    let spans = text::count(*spans);
                    format!("  {FAINT}… {spans} more {what}, {ns} total; -n 0 shows all{FAINT:#}")
                }
            };
            page.push_str(row.trim_end());
            page.push('\n');
        }
        page.push_str(&self.summary());
        page
    }

    fn name(&self, line: &Line) -> String {
        match line {
            Line::Span { place, depth } => {
                let span = self.found.trace.spans.get(*place);
                let name = span.map(|span| self.label(&span.callsite)).unwrap_or_default();
                format!("{}{name}", indent(*depth))
            }
            Line::Event { place, depth } => {
                let event = self.found.events.get(*place);
                let level = event.map_or("", |event| &*event.callsite.level);
                format!("{}· {}", indent(*depth), text::clean(level))
            }
            Line::Missing { id, depth } => {
                format!("{}(parent s{id} missing: dropped, pruned or still open)", indent(*depth))
            }
            Line::More { .. } | Line::Cut { .. } => String::new(),
        }
    }

    /// What stands beside a span that was asked for.
    fn mark(&self, line: &Line) -> String {
        match line {
            Line::Span { place, .. } if self.found.marked.contains(place) => {
                let id = self.found.trace.spans.get(*place).map_or(0, |span| span.id);
                format!("{PATH}◄ s{id}{PATH:#}  ")
            }
            _ => String::new(),
        }
    }

    /// A name; with the target where that tells it from an equal one in the trace.
    fn label(&self, callsite: &Callsite) -> String {
        let name = text::clean(&callsite.name);
        match self.twins.contains(callsite.name.as_str()) {
            true => format!("{name} ({})", text::clean(&callsite.target)),
            false => name,
        }
    }

    fn span(&self, place: usize, name: &str, columns: usize) -> String {
        let Some(span) = self.found.trace.spans.get(place) else { return String::new() };
        let is_root = self.found.trace.root() == Some(place);
        let on_path = self.found.path.contains(place);
        let mark = if on_path { format!("{PATH}◆{PATH:#} ") } else { "  ".to_owned() };
        let duration = span.duration_ns.map_or_else(|| "open ".into(), text::duration);
        let bar = self.bar(span, is_root, columns);
        let mut row = format!("{mark}{name} {duration:>10}  {BAR}{bar}{BAR:#}  ");
        // Before what may be cut where there is no room.
        row.push_str(&self.mark(&Line::Span { place, depth: 0 }));
        let busy = span.busy_ns.zip(span.duration_ns).filter(|(_, duration)| *duration > 0);
        match (is_root, span.self_ns, busy) {
            (true, Some(self_ns), _) => {
                row.push_str(&format!("self {}", text::duration_in_words(self_ns)));
            }
            (_, _, Some((busy, duration))) => {
                row.push_str(&format!("busy {:>3.0}%", busy as f64 / duration as f64 * 100.0));
            }
            _ => {}
        }
        match span.status {
            Status::Ok => {}
            status => row.push_str(&format!("  {BAD}{}{BAD:#}", status.as_str())),
        }
        let fields = fields(span);
        if !fields.is_empty() {
            row.push_str(&format!("  {FAINT}{fields}{FAINT:#}"));
        }
        row
    }

    fn event(&self, place: usize, name: &str, columns: usize) -> String {
        let Some(event) = self.found.events.get(place) else { return String::new() };
        let (from_ns, _) = self.found.trace.interval_ns();
        let at = format!("+{}", text::duration(event.at_ns.saturating_sub(from_ns)));
        let column = self.column(event.at_ns, columns).min(columns.saturating_sub(1));
        let bar = format!("{}·{}", " ".repeat(column), " ".repeat(columns - column - 1));
        let callsite = event.callsite.name.as_str();
        let said = event_text(callsite, event.message.as_deref(), event.fields.as_deref());
        let message = fit(&text::clean(&said.unwrap_or_default()), FIELDS_MAX);
        format!("  {FAINT}{name} {at:>10}  {bar}  {}{FAINT:#}", message.trim_end())
    }

    /// The column in which a moment lies; the last one and beyond for the end.
    fn column(&self, at_ns: i64, columns: usize) -> usize {
        let (from_ns, until_ns) = self.axis_ns();
        let length = until_ns.saturating_sub(from_ns).max(1) as f64;
        let share = at_ns.saturating_sub(from_ns) as f64 / length;
        (share.clamp(0.0, 1.0) * columns as f64) as usize
    }

    /// What the bars are drawn over: the whole trace, unless the root would hardly be seen on it.
    fn axis_ns(&self) -> (i64, i64) {
        let (root, whole) = (self.found.trace.interval_ns(), self.found.trace.extent_ns());
        let length = |(from, until): (i64, i64)| until.saturating_sub(from);
        if length(whole) <= length(root).saturating_mul(AXIS_MAX) { whole } else { root }
    }

    /// A bar; where the span goes on beyond the axis, its end says so.
    fn bar(&self, span: &Span, is_root: bool, columns: usize) -> String {
        let (from_ns, until_ns) = self.axis_ns();
        let end_ns = self.found.trace.end_ns(span);
        let (before, beyond) = (span.start_ns < from_ns, end_ns > until_ns);
        let from = self.column(span.start_ns, columns).min(columns.saturating_sub(1));
        let until = self.column(end_ns, columns).clamp(from + 1, columns);
        let length = until - from;
        let is_short = (end_ns.saturating_sub(span.start_ns) as f64)
            < until_ns.saturating_sub(from_ns) as f64 / columns as f64;
        let mut bar: Vec<char> = if is_root && length > 1 {
            format!("├{}┤", "─".repeat(length - 2)).chars().collect()
        } else if is_short && !before && !beyond {
            vec!['▏']
        } else {
            running_last(span, length).chars().collect()
        };
        if let Some(last) = bar.last_mut().filter(|_| beyond) {
            *last = '►';
        }
        if let Some(first) = bar.first_mut().filter(|_| before) {
            *first = '◄';
        }
        let after = columns - from - bar.len().min(columns - from);
        format!("{}{}{}", " ".repeat(from), bar.into_iter().collect::<String>(), " ".repeat(after))
    }

    /// Whether a bar ends where the axis does, and not where its span does.
    fn is_clipped(&self) -> bool {
        self.axis_ns() != self.found.trace.extent_ns()
    }

    fn summary(&self) -> String {
        let length = self.found.path.length_ns().max(1) as f64;
        let mut blamed = self.found.path.by_name(&self.found.trace);
        let self_at = blamed.iter().position(|(callsite, _)| callsite.is_none());
        // The root by itself stands last, as what is left.
        let own = self_at.map(|at| blamed.remove(at));
        let more = blamed.len().saturating_sub(BLAMED_MAX);
        let others = blamed.split_off(blamed.len() - more);
        let share = |ns: i64| text::share(ns as f64 / length);
        let mut parts: Vec<String> = blamed
            .iter()
            .filter_map(|(callsite, ns)| {
                Some(format!("{} {}", self.label(callsite.as_ref()?), share(*ns)))
            })
            .collect();
        if more > 0 {
            let ns = others.iter().fold(0_i64, |sum, (_, ns)| sum.saturating_add(*ns));
            let others = text::counted(more as u64, "other");
            parts.push(format!("{others} {}", share(ns)));
        }
        parts.extend(own.map(|(_, ns)| format!("self {}", share(ns))));
        let line = format!(
            "{PATH}critical path ◆{PATH:#} {}   {FAINT}░ waiting  ▒ running{}{FAINT:#}",
            parts.join("  "),
            if self.is_clipped() { "  ► goes on, as the root does not" } else { "" }
        );
        text::wrap(&line, self.width) + "\n"
    }
}

/// Columns of a text with styles in it.
fn plain_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

/// A bar with the share of the time in which it ran; where in the span that was, nobody knows.
fn running_last(span: &Span, length: usize) -> String {
    match span.busy_ns.zip(span.duration_ns).filter(|(_, duration)| *duration > 0) {
        Some((busy, duration)) => {
            let share = (busy as f64 / duration as f64).clamp(0.0, 1.0);
            let running = (share * length as f64).round() as usize;
            format!("{}{}", "░".repeat(length - running), "▒".repeat(running))
        }
        None => "─".repeat(length),
    }
}

fn indent(depth: usize) -> String {
    match depth.checked_sub(INDENTED_MAX) {
        None | Some(0) => "  ".repeat(depth),
        Some(_) => format!("{}{depth}› ", "  ".repeat(INDENTED_MAX)),
    }
}

/// Exactly so many columns.
fn fit(text: &str, columns: usize) -> String {
    let width = text.width();
    if width <= columns {
        return format!("{text}{}", " ".repeat(columns - width));
    }
    let mut cut = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        cut.push(character);
    }
    cut.push('…');
    format!("{cut}{}", " ".repeat(columns.saturating_sub(used + 1)))
}

fn fields(span: &Span) -> String {
    let Some(fields) = &span.fields else { return String::new() };
    let shown = match serde_json::from_str(fields) {
        Ok(Value::Object(fields)) => {
            let pairs = fields.iter().map(|(key, value)| match value {
                Value::String(value) => format!("{key}={value}"),
                value => format!("{key}={value}"),
            });
            pairs.collect::<Vec<_>>().join(" ")
        }
        _ => fields.clone(),
    };
    fit(&text::clean(&shown), FIELDS_MAX).trim_end().to_owned()
}
