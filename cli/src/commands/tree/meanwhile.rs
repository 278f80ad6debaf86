//! What ran on other threads while a trace went on: below its tree, and no part of it.

use serde_json::{Value, json};
use spandrel_query::trace::{Meanwhile, MeanwhileRow};

use super::fields;
use super::lines::{Line, LineLimits};
use super::waterfall::{BAR, FAINT, Waterfall, counted, faint_fields, indent};
use crate::output::{Cell, View, text};

/// What ran on other threads, the longest first; what is left out is summed up.
pub(super) fn chosen(ran: &Meanwhile, wanted: &LineLimits) -> Vec<Line> {
    let most = if wanted.meanwhile > 0 { wanted.meanwhile } else { usize::MAX };
    let long = ran.rows.iter().take_while(|row| row.longest_ns >= wanted.min_ns);
    let shown = long.take(most).count();
    let hidden = ran.rows.get(shown..).unwrap_or_default();
    let entries = hidden.iter().fold(ran.more, |sum, row| sum.saturating_add(row.calls));
    let ns = hidden.iter().fold(ran.more_ns, |sum, row| sum.saturating_add(row.total_ns));
    let mut lines = vec![Line::Meanwhile];
    lines.extend((0..shown).map(|at| Line::Ran { at }));
    lines.extend((entries > 0).then_some(Line::MoreRan { entries, ns }));
    lines
}

/// What was left out of them.
pub(super) fn more_ran(entries: u64, ns: i64) -> String {
    let ns = text::duration_in_words(ns);
    let what = text::agree(entries, "entry", "entries");
    let entries = text::count(entries);
    format!("  {FAINT}{}… {entries} more {what}, {ns} total{FAINT:#}", indent(1))
}

impl Waterfall<'_> {
    /// Above what is no part of the tree, and in none of its sums.
    pub(super) fn heading(&self) -> String {
        let span_id = self.found.trace.meanwhile.as_ref().map_or(0, |meanwhile| meanwhile.span_id);
        let of = match span_id {
            root if root == self.found.trace.root_id => String::new(),
            span => format!(", in the time of s{span}"),
        };
        format!("meanwhile on other threads{of}")
    }

    fn row(&self, at: usize) -> Option<&MeanwhileRow> {
        self.found.trace.meanwhile.as_ref()?.rows.get(at)
    }

    pub(super) fn name_of_ran(&self, at: usize) -> String {
        let Some(row) = self.row(at) else { return String::new() };
        let name = format!("{} {}", text::LONG, self.label(&row.callsite));
        let count = match row.calls {
            1 => String::new(),
            many => format!(" × {}", text::count(many)),
        };
        counted(1, &name, &count)
    }

    /// What ran on another thread: a bar for one entry, figures for more.
    pub(super) fn ran(&self, at: usize, name: &str, columns: usize) -> String {
        let Some(row) = self.row(at) else { return String::new() };
        let bounds = (row.longest_from_ns, row.longest_from_ns.saturating_add(row.longest_ns));
        let (bar, longest) = match row.calls {
            1 => (self.bar(bounds, false, columns, |length| "▒".repeat(length)), String::new()),
            _ => {
                let longest = text::duration_in_words(row.longest_ns);
                (" ".repeat(columns), format!("longest {longest}  "))
            }
        };
        let others = match row.threads.saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {}", text::counted(more, "other")),
        };
        let duration = text::duration(row.total_ns);
        let on = Cell::from(&*row.thread).text();
        format!("  {name} {duration:>10}  {BAR}{bar}{BAR:#}  {longest}on {on}{others}")
            + &faint_fields(row.fields.as_deref())
    }
}

/// What the document of a trace says of it.
pub(super) fn members(view: &mut View, meanwhile: Option<&Meanwhile>) {
    let Some(meanwhile) = meanwhile else { return };
    view.extra.insert("meanwhile_of".into(), json!(meanwhile.span_id));
    view.extra.insert("meanwhile".into(), meanwhile.rows.iter().map(ran).collect());
    view.extra.insert("meanwhile_left_out".into(), json!(meanwhile.more));
}

/// What ran on another thread, for programs.
fn ran(row: &MeanwhileRow) -> Value {
    json!({ "id": row.span_id, "name": row.callsite.name, "target": &*row.callsite.target,
        "calls": row.calls, "total_ns": row.total_ns, "longest_ns": row.longest_ns,
        "start_ns": row.longest_from_ns, "thread": row.thread.name, "threads": row.threads,
        "fields": fields::value(row.fields.as_deref()) })
}
