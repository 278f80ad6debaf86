//! `spandrel explain`: what the slow spans of a name have in common, and the others do not have.
//!
//! Two passes over the spans with bounded memory. What counts as a finding, and the protection against
//! chance, is in `spandrel_query::explain`.

mod drawing;
mod outlived;
mod selection;
mod sentences;
mod within;

use std::ops::ControlFlow;

use clap::ValueEnum;
use spandrel_query::CountedBy;
use spandrel_query::explain::{Finding, Value};
use spandrel_query::{By, Columns, Explain, Explanation, IdSet, Scan, Subject};

use self::outlived::OutlivedSpans;
use self::selection::Selection;
pub(super) use self::sentences::sentences;
use super::prelude::*;
use super::{by, distributions, hist, name_hints};

/// Findings that are shown without asking.
const ROWS: usize = 12;
/// Bars of a line in the list of names.
const NAMES_BARS: usize = 16;
/// With fewer selected spans a finding is only a hint.
const FEW: u64 = 20;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel explain                                      the names, to choose one\n  \
    spandrel explain http.request                          the slowest 5%\n  \
    spandrel explain http.request --sel 20ms..             all from 20 ms on\n  \
    spandrel explain http.request --sel has:error          those that failed\n  \
    spandrel explain http.request --sel p99.. --since 5m --against all\n  \
    spandrel explain http.request --by field.route        what is slow for its route")]
pub(crate) struct Arguments {
    /// Name of the spans [default: list the names]
    #[arg(add = ArgValueCompleter::new(candidates::names))]
    name: Option<String>,
    /// Which of them to explain: p95.., 20ms.., 10ms..50ms, or a filter
    #[arg(long, value_name = "WHICH", default_value = "p95..", requires = "name")]
    sel: String,
    /// What to compare them with
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", requires = "name")]
    against: Against,
    /// Compare within each value of field.NAME, or target, level, callsite or thread
    #[arg(long, value_name = "WHAT", value_parser = by::parse, requires = "name",
        add = ArgValueCompleter::new(candidates::by))]
    by: Option<By>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Against {
    /// The spans of the name that are not selected
    #[default]
    Rest,
    /// All spans of the name
    All,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let wanted = selection::parse(&arguments.sel)?;
    let profile = context.wanted.profile()?;
    let Some(name) = arguments.name.as_deref() else { return names(&profile, context) };
    if let Some(by) = &arguments.by {
        return within::run(&profile, arguments, context, (name, by), &wanted);
    }
    let durations = hist::durations(&profile, name)?;
    let mut selection = wanted.of(&durations);
    let against = arguments.against;
    let (explanation, outlived) =
        explain(&profile, name, against, &mut selection, wanted.subjects())?;
    let mut view = View::new("explain", Some(profile.header()?), table(&explanation.findings));
    let all = explanation.selected.saturating_add(explanation.rest);
    view.extra.insert("name".into(), name.into());
    view.extra.insert("by".into(), explanation.counted.map(CountedBy::as_str).into());
    for (key, count) in [
        ("selected", explanation.selected),
        ("rest", explanation.rest),
        ("tested", explanation.tested as u64),
        ("children_of_selected", explanation.children_of.0),
        ("children_of_rest", explanation.children_of.1),
    ] {
        view.extra.insert(key.into(), count.into());
    }
    let words = wanted.in_words(&selection);
    view.extra.insert("selection_of_spans".into(), words.as_str().into());
    let folded = explanation.folded.iter();
    let folded = folded.map(|f| serde_json::json!({ "field": f.name, "distinct": f.distinct }));
    view.extra.insert("folded".into(), folded.collect());
    if all == 0 {
        view.notes.extend(name_hints::unknown(&profile, name)?);
    } else {
        let against = match arguments.against {
            Against::Rest => "the rest",
            Against::All => "all",
        };
        let (few, many) = (text::count(explanation.selected), counted(&explanation, all));
        let title = format!("{few} of {many} ({words}) against {against}");
        let shown = context.output.limit(ROWS).unwrap_or(usize::MAX);
        view.drawing = Some(drawing::draw(&title, &explanation, shown, context.output.width()));
        view.is_chart = true;
        view.drawing_is_limited = true;
        view.notes = notes(name, &explanation, context.output.verbose);
        view.notes.extend(wanted.unmeasured(&profile.run));
        view.notes.extend(durations.left_out(name));
        view.notes.extend(outlived.note(&profile)?);
        view.notes.extend(name_hints::ambiguous_names(&profile, name)?);
    }
    view.notes.extend(profile.passed_over_everything()?);
    context.output.show(view, ROWS)
}

/// How many spans are explained, in words.
fn counted(explanation: &Explanation, count: u64) -> String {
    let noun = match explanation.counted {
        Some(CountedBy::Entries) => text::agree(count, "entry", "entries"),
        Some(CountedBy::Both) => text::agree(count, "span or entry", "spans and entries"),
        _ => text::agree(count, "span", "spans"),
    };
    let marked = explanation.counted.is_some_and(CountedBy::has_entries);
    let mark = if marked { format!(" {}", text::LONG) } else { String::new() };
    format!("{} {noun}{mark}", text::count(count))
}

/// The names that can be explained.
fn names(profile: &Profile, context: &Context) -> Result<Exit, Failure> {
    let mut view = distributions::view("explain", profile, None, &By::Name, NAMES_BARS)?;
    view.notes.extend(name_hints::choose(&view.table, "explain"));
    context.output.show(view, distributions::ROWS)
}

fn explain(
    profile: &Profile,
    name: &str,
    against: Against,
    selection: &mut Selection,
    subjects: Vec<Subject>,
) -> Result<(Explanation, OutlivedSpans), Failure> {
    let explain = Explain::new(profile.run.length_ns());
    let mut explain = explain.selected_by(subjects);
    let mut outlived = OutlivedSpans::default();
    let (mut first_ns, mut last_ns) = (i64::MAX, i64::MIN);
    profile.calls_named(name, Columns::All, |span| {
        explain.add(span, selection.has(span));
        outlived.add(span);
        if let Some(ns) = span.call_ns() {
            first_ns = first_ns.min(span.start_ns);
            last_ns = last_ns.max(span.start_ns.saturating_add(ns));
        }
        ControlFlow::Continue(())
    })?;
    add_children(profile, std::slice::from_mut(&mut explain), (first_ns, last_ns))?;
    Ok((explain.finish(against == Against::All), outlived))
}

/// The time of children in the spans that were seen, which are between these moments.
fn add_children(
    profile: &Profile,
    explains: &mut [Explain],
    (first_ns, last_ns): (i64, i64),
) -> Result<(), Failure> {
    explains.iter_mut().for_each(Explain::begin_children);
    let drawn: Vec<u64> = explains.iter().flat_map(Explain::drawn_spans).collect();
    // Children may be outside of the window, and need not match the filter; their time counts as far as
    // it is within their parents.
    let scan = Scan::new(profile.run.id).window(Some(first_ns), Some(last_ns.saturating_add(1)));
    profile.reader.child_times_in(&scan, &IdSet::new(&drawn), |child| {
        explains.iter_mut().for_each(|explain| explain.add_child(child));
    })?;
    Ok(())
}

/// The values that a finding is about, for people.
fn value_text(finding: &Finding) -> String {
    let at = |ns: i64| format!("+{}", text::duration_in_words(ns));
    match &finding.value {
        Value::Text(value) => text::clean(value),
        Value::Absent => "(no such field)".into(),
        Value::AtLeast(number) => format!(">= {number}"),
        Value::Below(number) => format!("< {number}"),
        Value::Window { from_ns, until_ns } => format!("{}..{}", at(*from_ns), at(*until_ns)),
        _ => String::new(),
    }
}

/// A row for each finding.
fn table<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Table {
    let count = |count: Option<u64>| count.map_or(Cell::Null, Cell::Count);
    table_of! {
        for finding in findings, {
            let (selected, rest) = finding.counts.unzip();
            let p = format!("{:.1e}", finding.p_value);
            let (from_ns, until_ns) = match finding.value {
                Value::Window { from_ns, until_ns } => (Some(from_ns), Some(until_ns)),
                _ => (None, None),
            };
        }
        Column::left("kind", "kind").hidden() => finding.kind.as_str().into(),
        Column::left("field", "field") => finding.name.as_str().into(),
        Column::left("value", "value") => value_cell(finding),
        Column::right("selected_share", "selected") => Cell::Share(finding.selected),
        Column::right("other_share", "other") => Cell::Share(finding.other),
        Column::right("difference", "difference") => Cell::Share(finding.difference()),
        Column::right("selected", "selected spans").hidden() => count(selected),
        Column::right("rest", "rest spans").hidden() => count(rest),
        Column::right("p_value", "p").hidden() => Cell::Shown(p, finding.p_value.into()),
        Column::right("error", "error").hidden() => Cell::Share(finding.error),
        Column::right("from_ns", "from").hidden() => from_ns.into(),
        Column::right("until_ns", "until").hidden() => until_ns.into(),
    }
}

fn value_cell(finding: &Finding) -> Cell {
    match &finding.value {
        Value::Text(value) => Cell::Text(value.clone()),
        Value::Absent => Cell::Shown(value_text(finding), serde_json::Value::Null),
        _ => Cell::Text(value_text(finding)),
    }
}

/// Why there is nothing to compare.
fn needs_more(explanation: &Explanation) -> Option<String> {
    let (selected, rest) = (explanation.selected, explanation.rest);
    (selected == 0 || rest == 0).then(|| {
        let which = if selected == 0 { "no span is selected" } else { "all spans are selected" };
        format!("{which}: there is nothing to compare")
    })
}

fn notes(name: &str, explanation: &Explanation, verbose: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let tested = text::counted(explanation.tested as u64, "candidate");
    let (selected, rest) = (explanation.selected, explanation.rest);
    if let Some(why) = needs_more(explanation) {
        notes.push(why);
    } else if selected < FEW {
        let one = explanation.counted == Some(CountedBy::Entries);
        let noun = if one {
            text::agree(selected, "entry", "entries")
        } else {
            text::agree(selected, "span", "spans")
        };
        let selected = text::count(selected);
        notes.push(format!("only {selected} selected {noun}: what is found is but a hint"));
    }
    if explanation.findings.is_empty() && selected > 0 && rest > 0 {
        notes.push(format!("nothing sets them apart: {tested}, and no more than chance"));
    } else if verbose {
        notes.push(format!(
            "tested {tested}; of what is shown 1% may be chance \
             (Benjamini-Hochberg)"
        ));
    }
    let folded = explanation.folded.iter();
    let folded: Vec<String> = folded
        .map(|f| format!("{} (about {} distinct)", text::clean(&f.name), text::count(f.distinct)))
        .collect();
    if !folded.is_empty() {
        notes.push(format!("too many values to compare: {}", folded.join(", ")));
    }
    let (of_selected, of_rest) = explanation.children_of;
    if of_selected < selected || of_rest < rest {
        notes.push(format!(
            "child time is of a sample: {}, {} of the rest",
            text::counted(of_selected, "selected span"),
            text::count(of_rest)
        ));
    }
    if explanation.fields_left_out {
        notes.push("there are too many fields to look at all of them".into());
    }
    notes.extend(next_step(name, explanation));
    if explanation.counted.is_some_and(CountedBy::has_entries) {
        notes.push(text::LONG_MEANS.into());
    }
    notes
}

/// How to see some of those spans.
fn next_step(name: &str, explanation: &Explanation) -> Option<String> {
    use spandrel_query::explain::Kind;
    use spandrel_query::quote;
    let is_field = |f: &&Finding| {
        let plain = f.name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c));
        f.kind == Kind::Field && f.difference() > 0.0 && plain
    };
    let finding = explanation.findings.iter().find(is_field)?;
    let Value::Text(value) = &finding.value else { return None };
    if value.chars().any(char::is_control) {
        return None;
    }
    let filter = text::shell(&format!("field.{}={}", finding.name, quote(value)));
    Some(format!("see some: `spandrel slow {} -w {filter}`", text::shell(&text::clean(name))))
}
