//! `explain --by`: what the slow spans of each value have in common, compared with the others of that
//! value.
//!
//! If one value is slow as a whole, its spans would be the only selected ones, and hide everything else.
//! So each value has its own percentiles, selection and findings.

use std::ops::ControlFlow;

use spandrel_query::OrderRows as _;
use spandrel_query::{By, Columns, CountedBy, Explain, Explanation, Group, Groups, Key};

use super::selection::{Selection, SelectionSpec};
use super::{Against, Arguments, add_children, counted, drawing, needs_more};
use crate::commands::hist::Durations;
use crate::commands::prelude::*;
use crate::commands::{by, name_hints};

/// Values that are explained, those with the most spans: each takes some memory.
const VALUES_MAX: usize = 12;
/// Findings of each value that people see without asking.
const ROWS: usize = 3;

/// The spans of a value, and what sets the selected ones apart.
struct Part {
    group: Group,
    words: String,
    explanation: Explanation,
}

pub(super) fn run(
    profile: &Profile,
    arguments: &Arguments,
    context: &Context,
    (name, by): (&str, &By),
    wanted: &SelectionSpec,
) -> Result<Exit, Failure> {
    let mut groups: Vec<Group> = profile.groups_of(Some(name), by)?.into_groups();
    groups.retain(|group| group.calls > 0 && group.key != Key::Others);
    if *by == By::Thread {
        groups = joined(groups);
    }
    groups.order_by_key(|group| std::cmp::Reverse(group.calls));
    let values = groups.len();
    groups.truncate(VALUES_MAX);
    let parts = explained(profile, arguments, (name, by), groups, wanted)?;
    let shown = context.output.limit(ROWS).unwrap_or(usize::MAX);
    let mut view = View::new("explain", Some(profile.header()?), table(by, &parts));
    members(&mut view, (name, by), values, &parts);
    if parts.is_empty() {
        view.notes.extend(name_hints::unknown(profile, name)?);
    } else {
        let drawings = parts.iter().map(|part| draw(by, part, shown, context.output.width()));
        view.drawing = Some(drawings.collect());
        view.is_chart = true;
        view.drawing_is_limited = true;
        let hidden = parts.iter().filter(|part| part.explanation.findings.len() > shown).count();
        if hidden > 0 {
            view.notes.push(format!("{shown} findings of each value are shown; -n 0 shows all"));
        }
        if values > VALUES_MAX {
            view.notes.push(format!(
                "the {VALUES_MAX} values with the most spans of {}; -w chooses others",
                text::count(values as u64)
            ));
        }
    }
    if parts.iter().any(|p| p.explanation.counted.is_some_and(CountedBy::has_entries)) {
        view.notes.push(text::LONG_MEANS.into());
    }
    view.notes.extend(wanted.unmeasured(&profile.run));
    view.notes.extend(profile.passed_over_everything()?);
    // The drawing has a limit of its own; programs get everything.
    context.output.show(view, 0)
}

/// Two passes for all values together.
fn explained(
    profile: &Profile,
    arguments: &Arguments,
    (name, by): (&str, &By),
    groups: Vec<Group>,
    wanted: &SelectionSpec,
) -> Result<Vec<Part>, Failure> {
    let mut selections: Vec<Selection> = groups.iter().map(|g| wanted.of(&durations(g))).collect();
    let new = || Explain::new(profile.run.length_ns()).selected_by(wanted.subjects());
    let mut explains: Vec<Explain> = groups.iter().map(|_| new()).collect();
    let mut met_groups = Groups::new(by.clone());
    // From the order in which values are met to that of the parts.
    let mut part_of: Vec<Option<usize>> = Vec::new();
    let (mut first_ns, mut last_ns) = (i64::MAX, i64::MIN);
    profile.calls_named(name, Columns::All, |span| {
        let at = met_groups.assign(span);
        if at >= part_of.len() {
            let met = met_groups.groups().get(part_of.len()..).unwrap_or_default();
            let same = |met: &Group, group: &Group| {
                met.key == group.key && is_one(by, &met.callsite, &group.callsite)
            };
            part_of.extend(met.iter().map(|met| groups.iter().position(|group| same(met, group))));
        }
        let part = part_of.get(at).copied().flatten();
        if let Some(part) = part
            && let (Some(explain), Some(selection)) =
                (explains.get_mut(part), selections.get_mut(part))
        {
            explain.add(span, selection.has(span));
            if let Some(ns) = span.call_ns() {
                first_ns = first_ns.min(span.start_ns);
                last_ns = last_ns.max(span.start_ns.saturating_add(ns));
            }
        }
        ControlFlow::Continue(())
    })?;
    add_children(profile, &mut explains, (first_ns, last_ns))?;
    let against_all = arguments.against == Against::All;
    let parts = groups.into_iter().zip(explains).zip(&selections);
    let part = |((group, explain), selection): ((Group, Explain), &Selection)| Part {
        group,
        words: wanted.in_words(selection),
        explanation: explain.finish(against_all),
    };
    Ok(parts.map(part).collect())
}

/// Threads with the same name count as one: this is what names are for.
fn joined(groups: Vec<Group>) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::new();
    for group in groups {
        match joined.iter_mut().find(|known| known.key == group.key) {
            Some(known) => {
                known.calls = known.calls.saturating_add(group.calls);
                known.max_ns = known.max_ns.max(group.max_ns);
                known.histogram.merge(&group.histogram);
            }
            None => joined.push(group),
        }
    }
    joined
}

/// Whether two groups with the same key are the same: a name can have several targets, and callsites.
fn is_one(by: &By, one: &spandrel_query::Callsite, other: &spandrel_query::Callsite) -> bool {
    match by {
        By::Name => one.target == other.target,
        By::Callsite => one.id == other.id,
        _ => true,
    }
}

fn durations(group: &Group) -> Durations {
    let mut durations = Durations::default();
    durations.merge(&group.histogram, group.max_ns);
    durations
}

fn table(by: &By, parts: &[Part]) -> Table {
    let own = by::columns(by, false);
    // A finding has a value of its own; targets and source positions stand beside the name.
    let own = own.into_iter().map(|column| {
        let is_key = own_key(by) == column.key;
        let key = if is_key { "group".into() } else { format!("group_{}", column.key) };
        Column { key, ..column }
    });
    let mut table = super::table(parts.iter().flat_map(|part| &part.explanation.findings));
    table.columns.splice(0..0, own);
    let of_part = |part: &'_ Part| {
        let cells = by::cells(by, &part.group.key, &part.group.callsite);
        std::iter::repeat_n(cells, part.explanation.findings.len())
    };
    for (row, cells) in table.rows.iter_mut().zip(parts.iter().flat_map(of_part)) {
        row.splice(0..0, cells);
    }
    table
}

/// The column that has the value itself.
fn own_key(by: &By) -> &'static str {
    match by {
        By::Target => "target",
        By::Level => "level",
        By::Thread => "thread",
        By::Field(_) => "value",
        _ => "name",
    }
}

fn members(view: &mut View, (name, by): (&str, &By), values: usize, parts: &[Part]) {
    let explained = parts.iter().map(|part| {
        let value = match &part.group.key {
            Key::Value(value) => Some(value.as_str()),
            _ => None,
        };
        json!({
            "value": value, "by": part.explanation.counted.map(CountedBy::as_str),
            "selected": part.explanation.selected, "rest": part.explanation.rest,
            "selection_of_spans": part.words, "tested": part.explanation.tested,
        })
    });
    view.extra.insert("name".into(), json!(name));
    view.extra.insert("group_by".into(), json!(by::written(by)));
    view.extra.insert("values".into(), explained.collect());
    view.extra.insert("values_left_out".into(), json!(values - parts.len()));
}

fn draw(by: &By, part: &Part, shown: usize, columns: usize) -> String {
    let explanation = &part.explanation;
    let all = explanation.selected.saturating_add(explanation.rest);
    let (few, many) = (text::count(explanation.selected), counted(explanation, all));
    let value = by::in_words(by, &part.group);
    let title = format!("{value}: {few} of {many} ({})", part.words);
    let mut page = drawing::draw(&title, explanation, shown, columns);
    if explanation.findings.is_empty() {
        let why = needs_more(explanation).unwrap_or_else(|| "nothing sets them apart".into());
        page.push_str(&format!("  {why}\n"));
    }
    page.push('\n');
    page
}
