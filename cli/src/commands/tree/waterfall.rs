//! The drawing of a trace: a line a span, and where in time it lies.

use std::collections::{HashMap, HashSet};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use spandrel_query::event_text;
use spandrel_query::trace::{Node, TraceEntry};
use spandrel_query::{Callsite, Span, SpanRef};
use spandrel_storage::Status;
use unicode_width::UnicodeWidthStr;

use super::TraceAnalysis;
use super::lines::{Line, Lines};
use super::meanwhile::more_ran;
use crate::output::{Cell, text};

const PATH: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const BAR: Style = AnsiColor::Cyan.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default();

/// Levels that are indented; deeper ones are numbered.
const INDENTED_MAX: usize = 12;
/// Columns of names, at most.
const NAME_MAX: usize = 34;
/// Least columns of names.
const NAME_MIN: usize = 8;
/// Least columns of bars; and the same if spans are marked.
const BARS_MIN: usize = 16;
const MARKED_BARS_MIN: usize = 8;
/// Columns of the duration and the notes after the bar; names are shortened to keep room for these.
const FIGURES: usize = 30;
/// Columns beside names and bars.
const BESIDE: usize = 36;
/// Characters of the fields of a span.
const FIELDS_MAX: usize = 60;
const CHILDREN: (&str, &str) = ("child", "children");
/// The axis is at most this many times as long as the root.
const AXIS_MAX: i64 = 4;
/// The share of a trace without work that is worth a note: leaving and closing a span takes a moment.
const KEPT_OPEN_SHARE_MIN: f64 = 0.01;
/// How many callsites of the critical path are named.
const BLAMED_MAX: usize = 6;

pub(super) struct Waterfall<'a> {
    pub(super) found: &'a TraceAnalysis,
    width: usize,
    /// Names that have several targets.
    ambiguous_names: HashSet<&'a str>,
}

impl<'a> Waterfall<'a> {
    pub(super) fn new(found: &'a TraceAnalysis, width: usize) -> Self {
        let mut targets: HashMap<&str, &str> = HashMap::new();
        let spans = (0..found.trace.nodes()).filter_map(|index| found.trace.node(index));
        let ran = found.trace.meanwhile.iter().flat_map(|meanwhile| &meanwhile.rows);
        let callsites = spans.map(Node::callsite).chain(ran.map(|row| &row.callsite));
        let ambiguous_names = callsites.filter_map(|callsite| {
            let (name, target) = (callsite.name.as_str(), &*callsite.target);
            (*targets.entry(name).or_insert(target) != target).then_some(name)
        });
        let ambiguous_names = ambiguous_names.collect();
        Self { found, width, ambiguous_names }
    }

    pub(super) fn draw(&self, lines: &Lines) -> String {
        let names: Vec<String> = lines.0.iter().map(|line| self.name(line)).collect();
        // If spans are marked there is less room for bars and names: figures are never cut.
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
                Line::Span { index, .. } => self.span(*index, &name, columns),
                Line::Event { index, .. } => self.event(*index, &name, columns),
                Line::Entries { entries, ns, longest_ns, .. } => {
                    let bar = " ".repeat(columns);
                    let longest = text::duration_in_words(*longest_ns);
                    let each =
                        if *entries > 1 { format!("longest {longest}") } else { String::new() };
                    format!("  {name} {:>10}  {bar}  {each}", text::duration(*ns))
                }
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
                Line::Meanwhile => format!("  {FAINT}{}{FAINT:#}", self.heading()),
                Line::Ran { at } => self.ran(*at, &name, columns),
                Line::MoreRan { entries, ns } => more_ran(*entries, *ns),
            };
            page.push_str(row.trim_end());
            page.push('\n');
        }
        page.push_str(&self.summary());
        page
    }

    fn name(&self, line: &Line) -> String {
        match line {
            Line::Span { index, depth } => format!("{}{}", indent(*depth), self.name_of(*index)),
            Line::Entries { entries, more, index, depth, .. } => {
                let (count, more) = (text::count(*entries), if *more { " more" } else { "" });
                counted(*depth, &self.name_of(*index), &format!(" × {count}{more}"))
            }
            Line::Ran { at } => self.name_of_ran(*at),
            Line::Event { index, depth } => {
                let event = self.found.events.get(*index);
                let level = event.map_or("", |event| &*event.callsite.level);
                format!("{}· {}", indent(*depth), text::clean(level))
            }
            Line::Missing { id, depth } => {
                format!("{}(parent s{id} missing: dropped, pruned or still open)", indent(*depth))
            }
            Line::More { .. } | Line::Cut { .. } => String::new(),
            Line::Meanwhile | Line::MoreRan { .. } => String::new(),
        }
    }

    /// The mark of a span that was asked for.
    fn mark(&self, line: &Line) -> String {
        match line {
            Line::Span { index, .. } if self.found.marked.contains(index) => {
                let id = self.found.trace.spans.get(*index).map_or(0, |span| span.id);
                format!("{PATH}◄ s{id}{PATH:#}  ")
            }
            _ => String::new(),
        }
    }

    /// The name of a span or an entry; those that live long are marked.
    fn name_of(&self, index: usize) -> String {
        let trace = &self.found.trace;
        let Some(node) = trace.node(index) else { return String::new() };
        let name = self.label(node.callsite());
        let is_marked = matches!(node, Node::Entry(_)) || trace.lives_long(index);
        if is_marked { format!("{} {name}", text::LONG) } else { name }
    }

    /// A name; with the target if the trace has the name with other targets.
    pub(super) fn label(&self, callsite: &Callsite) -> String {
        let name = text::clean(&callsite.name);
        match self.ambiguous_names.contains(callsite.name.as_str()) {
            true => format!("{name} ({})", text::clean(&callsite.target)),
            false => name,
        }
    }

    fn span(&self, index: usize, name: &str, columns: usize) -> String {
        let span = match self.found.trace.node(index) {
            Some(Node::Span(span)) if self.found.trace.lives_long(index) => {
                return self.long_lived(index, span, name, columns);
            }
            Some(Node::Span(span)) => span,
            Some(Node::Entry(one)) => return self.entry(index, one, name, columns),
            None => return String::new(),
        };
        let is_root = self.found.trace.root() == Some(index);
        let on_path = self.found.path.contains(index);
        let mark = if on_path { format!("{PATH}◆{PATH:#} ") } else { "  ".to_owned() };
        // Of one without an end: for how long it was open, at least.
        let open = || match self.found.trace.open_ns(index) {
            Some(ns) => format!("≥{}", text::duration(ns)),
            None => "open ".to_owned(),
        };
        let duration = span.duration_ns.map_or_else(open, text::duration);
        let bounds = (span.start_ns, self.found.trace.end_ns(span));
        let drawn = |length| {
            if is_root && length > 1 {
                format!("├{}┤", "─".repeat(length - 2))
            } else {
                running_last(span, length)
            }
        };
        let bar = self.bar(bounds, is_root, columns, drawn);
        let mut row = format!("{mark}{name} {duration:>10}  {BAR}{bar}{BAR:#}  ");
        // What may be cut comes last.
        row.push_str(&self.mark(&Line::Span { index, depth: 0 }));
        let busy = span.busy_ns.zip(span.duration_ns).filter(|(_, duration)| *duration > 0);
        let is_idle = span.duration_ns.is_some() && SpanRef::from(span).was_never_entered();
        match (is_root, span.self_ns, busy) {
            _ if is_idle => row.push_str("never entered"),
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
        row + &faint_fields(span.fields.as_deref())
    }

    /// An entry; with its thread if that is not the one around it.
    fn entry(&self, index: usize, one: &TraceEntry, name: &str, columns: usize) -> String {
        let on_path = self.found.path.contains(index);
        let mark = if on_path { format!("{PATH}◆{PATH:#} ") } else { "  ".to_owned() };
        let duration = text::duration(one.entry.duration_ns);
        let bounds = (one.entry.start_ns, one.entry.end_ns());
        let bar = self.bar(bounds, false, columns, |length| "▒".repeat(length));
        let mut row = format!("{mark}{name} {duration:>10}  {BAR}{bar}{BAR:#}  ");
        if let Some(self_ns) = one.entry.self_ns {
            row.push_str(&format!("self {}", text::duration_in_words(self_ns)));
        }
        let above = self.found.trace.parent(index).and_then(|at| self.found.trace.node(at));
        if above.is_none_or(|above| above.thread().id != one.thread.id) {
            row.push_str(&format!("  on {}", Cell::from(&*one.thread).text()));
        }
        row + &faint_fields(one.fields.as_deref())
    }

    /// A long-lived span: its entries in sum, and no bar, because its lifetime is not work.
    fn long_lived(&self, index: usize, span: &Span, name: &str, columns: usize) -> String {
        let mut row = format!("  {name} {:>10}  {}  ", "lives long", " ".repeat(columns));
        row.push_str(&self.mark(&Line::Span { index, depth: 0 }));
        let entries = match span.entries {
            1 => "1 entry".to_owned(),
            many => format!("{} entries", text::count(many)),
        };
        row.push_str(&entries);
        let words = text::duration_in_words;
        row.push_str(&span.busy_ns.map_or(String::new(), |ns| format!(", {} total", words(ns))));
        let longest = span.longest_entry_ns.filter(|_| span.entries > 1);
        row.push_str(&longest.map_or(String::new(), |ns| format!(", longest {}", words(ns))));
        match span.status {
            Status::Ok => {}
            Status::Unfinished => row.push_str("  open"),
            status => row.push_str(&format!("  {BAD}{}{BAD:#}", status.as_str())),
        }
        if let Some(ns) = self.found.trace.open_ns(index) {
            row.push_str(&format!(" for at least {}", text::duration_in_words(ns)));
        }
        row + &faint_fields(span.fields.as_deref())
    }

    fn event(&self, index: usize, name: &str, columns: usize) -> String {
        let Some(event) = self.found.events.get(index) else { return String::new() };
        let (from_ns, _) = self.found.trace.interval_ns();
        let at = format!("+{}", text::duration(event.at_ns.saturating_sub(from_ns)));
        let column = self.column(event.at_ns, columns).min(columns.saturating_sub(1));
        let bar = format!("{}·{}", " ".repeat(column), " ".repeat(columns - column - 1));
        let callsite = event.callsite.name.as_str();
        let said = event_text(callsite, event.message.as_deref(), event.fields.as_deref());
        let message = fit(&text::clean(&said.unwrap_or_default()), FIELDS_MAX);
        format!("  {FAINT}{name} {at:>10}  {bar}  {}{FAINT:#}", message.trim_end())
    }

    /// The column of a moment; for the end, the last one and beyond.
    fn column(&self, at_ns: i64, columns: usize) -> usize {
        let (from_ns, until_ns) = self.axis_ns();
        let length = until_ns.saturating_sub(from_ns).max(1) as f64;
        let share = at_ns.saturating_sub(from_ns) as f64 / length;
        (share.clamp(0.0, 1.0) * columns as f64) as usize
    }

    /// The time that bars are drawn over: the whole trace, unless the root would be too small on it.
    fn axis_ns(&self) -> (i64, i64) {
        let (root, whole) = (self.found.trace.interval_ns(), self.found.trace.extent_ns());
        let length = |(from, until): (i64, i64)| until.saturating_sub(from);
        if length(whole) <= length(root).saturating_mul(AXIS_MAX) { whole } else { root }
    }

    /// A bar. If it goes on beyond the axis, its last character says so.
    pub(super) fn bar(
        &self,
        (start_ns, end_ns): (i64, i64),
        is_root: bool,
        columns: usize,
        drawn: impl FnOnce(usize) -> String,
    ) -> String {
        let (from_ns, until_ns) = self.axis_ns();
        let (before, beyond) = (start_ns < from_ns, end_ns > until_ns);
        let from = self.column(start_ns, columns).min(columns.saturating_sub(1));
        let until = self.column(end_ns, columns).clamp(from + 1, columns);
        let length = until - from;
        let is_short = (end_ns.saturating_sub(start_ns) as f64)
            < until_ns.saturating_sub(from_ns) as f64 / columns as f64;
        let is_whole_root = is_root && length > 1;
        let mut bar: Vec<char> = if is_short && !before && !beyond && !is_whole_root {
            vec!['▏']
        } else {
            drawn(length).chars().collect()
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

    /// Whether a bar is cut at the end of the axis.
    fn is_clipped(&self) -> bool {
        self.axis_ns() != self.found.trace.extent_ns()
    }

    fn summary(&self) -> String {
        let kept_open_ns = self.found.path.kept_open_ns(&self.found.trace);
        let length = self.found.path.length_ns().saturating_add(kept_open_ns).max(1) as f64;
        let mut blamed = self.found.path.by_name(&self.found.trace);
        let self_at = blamed.iter().position(|(callsite, _)| callsite.is_none());
        // The root by itself comes last, as the rest.
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
        let is_kept_open = kept_open_ns as f64 >= length * KEPT_OPEN_SHARE_MIN;
        parts.extend(is_kept_open.then(|| format!("kept open {}", share(kept_open_ns))));
        let trace = &self.found.trace;
        if trace.root().is_some_and(|root| trace.lives_long(root)) {
            parts = vec!["none: the root lives long, and is no one piece of work".into()];
        }
        let lives_long = trace.meanwhile.is_some()
            || (0..trace.nodes()).any(|index| {
                trace.lives_long(index) || matches!(trace.node(index), Some(Node::Entry(_)))
            });
        let line = format!(
            "{PATH}critical path ◆{PATH:#} {}   {FAINT}░ waiting  ▒ running{}{}{FAINT:#}",
            parts.join("  "),
            if lives_long { format!("  {}", text::LONG_MEANS) } else { String::new() },
            if self.is_clipped() { "  ► goes on, as the root does not" } else { "" }
        );
        text::wrap(&line, self.width) + "\n"
    }
}

/// Columns of a text that contains styles.
fn plain_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

/// A bar for the share of the time in which it ran: it is not known when.
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

/// A name followed by a count. Only the name may be cut.
pub(super) fn counted(depth: usize, name: &str, count: &str) -> String {
    let room = NAME_MAX.saturating_sub(indent(depth).width() + count.width());
    let room = name.width().min(room.max(NAME_MIN));
    format!("{}{}{count}", indent(depth), fit(name, room))
}

pub(super) fn indent(depth: usize) -> String {
    match depth.checked_sub(INDENTED_MAX) {
        None | Some(0) => "  ".repeat(depth),
        Some(_) => format!("{}{depth}› ", "  ".repeat(INDENTED_MAX)),
    }
}

/// The text, cut or filled up to be exactly `columns` wide.
fn fit(text: &str, columns: usize) -> String {
    let text = text::cut(text, columns);
    let space = columns.saturating_sub(text.width());
    format!("{text}{:space$}", "")
}

/// The fields as they stand at the end of a row.
pub(super) fn faint_fields(fields: Option<&str>) -> String {
    match fields.map(written).filter(|fields| !fields.is_empty()) {
        Some(fields) => format!("  {FAINT}{fields}{FAINT:#}"),
        None => String::new(),
    }
}

fn written(fields: &str) -> String {
    let shown = match serde_json::from_str(fields) {
        Ok(fields @ Value::Object(_)) => Cell::Json(fields).text(),
        _ => text::clean(fields),
    };
    text::cut(&shown, FIELDS_MAX).trim_end().to_owned()
}
