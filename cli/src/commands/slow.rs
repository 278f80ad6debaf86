//! `spandrel slow`: the slowest spans, and in which fields they differ.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde_json::{Map, Value};
use spandrel_query::OrderRows as _;
use spandrel_query::{
    By as GroupBy, Callsite, Columns, CountedBy, Group, Groups, SlowBy, SlowScope, Slowest, Span,
    SpanRef,
};
use spandrel_storage::Status;

use super::prelude::*;
use super::{by, fields, name_hints};

/// Rows that are shown without asking.
const ROWS: usize = 20;
/// How many spans are kept if all are asked for: memory is bounded, and nobody reads more.
const ROWS_MAX: usize = 50_000;
/// How many fields get a column for people.
const FIELDS_MAX: usize = 5;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel slow                            of all names\n  \
    spandrel slow http.request -n 3\n  \
    spandrel slow --by self -w 'target~^db'  not counting what their children took\n  \
    spandrel slow http.request --by field.route    the slowest of each route\n  \
    spandrel slow -w entries=0               those that were open, and never entered\n  \
    spandrel slow --since 30s -f json\n\n\
Of what lives long, such as connections, each time that it was entered is ranked by itself (⟳): dur is\n\
how long the thread was inside, when is when it entered. Spans that were never entered come last, however\n\
long they were open, as nobody worked in them: -w entries=0 shows those alone.")]
pub(crate) struct Arguments {
    /// Name of the spans [default: all]
    #[arg(add = ArgValueCompleter::new(candidates::names))]
    name: Option<String>,
    /// Rank by dur, self, busy, idle or work time (until it was left for the last time); or show the slowest of each name, target, level, callsite,
    /// thread or field.NAME (give it twice for both)
    #[arg(long, value_name = "WHAT", value_parser = parse_by,
        add = ArgValueCompleter::new(candidates::slow_by))]
    by: Vec<By>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

/// What `--by` says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Time(SlowBy),
    Group(GroupBy),
}

fn parse_by(text: &str) -> Result<By, String> {
    Ok(By::Time(match text {
        "dur" => SlowBy::Duration,
        "self" => SlowBy::SelfTime,
        "busy" => SlowBy::Busy,
        "idle" => SlowBy::Idle,
        "work" => SlowBy::Work,
        other => {
            let group = by::parse(other);
            let error = |error| format!("{error}; and of times dur, self, busy, idle, work");
            return group.map(By::Group).map_err(error);
        }
    }))
}

impl Arguments {
    /// The time by which spans are ranked, and the groups whose slowest spans are wanted.
    fn by(&self) -> Result<(SlowBy, Option<&GroupBy>), Failure> {
        let (mut times, mut groups) = (Vec::new(), Vec::new());
        for by in &self.by {
            match by {
                By::Time(time) => times.push(*time),
                By::Group(group) => groups.push(group),
            }
        }
        if times.len() > 1 || groups.len() > 1 {
            let message = "--by is there for two times, or for two groups";
            let hint = "give one of dur, self, busy, idle, work; one of name, target, field.NAME and so on";
            return Err(Failure::usage(message).hint(hint));
        }
        Ok((times.pop().unwrap_or_default(), groups.pop()))
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let (by, group_by) = arguments.by()?;
    let profile = context.wanted.profile()?;
    let name = arguments.name.as_deref();
    let human_readable = context.output.format().is_human_readable();
    let (spans, table, summed_only, is_indexed) = if let Some(group_by) = group_by {
        let (spans, groups): (Vec<Span>, Vec<Group>) =
            slowest_of_each(&profile, name, by, group_by)?.into_iter().unzip();
        let mut table = table(&spans, by, name.is_none(), human_readable);
        grouped(&mut table, group_by, &groups);
        let summed_only = groups.iter().map(Group::summed_only).fold(0, u64::saturating_add);
        (spans, table, summed_only, false)
    } else {
        let limit = context.output.limit(ROWS).unwrap_or(ROWS_MAX).min(ROWS_MAX);
        let (spans, Calls { total, summed_only }) = find(&profile, name, by, limit)?;
        let indexes = profile.reader.indexes()?;
        let is_indexed = match profile.window.is_all() {
            true => profile.filter.is_empty() && by == SlowBy::Duration && indexes.durations,
            false => indexes.windows,
        };
        let mut table = table(&spans, by, name.is_none(), human_readable);
        // Spans without such a time are not shown, however large -n is.
        table.total = if spans.is_empty() { 0 } else { total.max(table.total) };
        (spans, table, summed_only, is_indexed)
    };
    let mut view = View::new("slow", Some(profile.header()?), table);
    view.extra.insert("by".into(), json!(by.column()));
    view.extra.insert("group_by".into(), json!(group_by.map(by::written)));
    view.extra.insert("name".into(), json!(name));
    view.extra.insert("used_index".into(), json!(is_indexed));
    view.extra.insert("summed_only".into(), json!(summed_only));
    match (spans.first(), name) {
        (Some(slowest), _) => {
            view.notes.extend(legend(&spans));
            view.notes.extend(by::left_out(name, summed_only));
            view.notes.push(next_step(slowest, name));
            if let Some(name) = name.filter(|_| group_by.is_none()) {
                view.notes.extend(name_hints::ambiguous_names(&profile, name)?);
            }
        }
        (None, Some(name)) => view.notes.extend(name_hints::unknown(&profile, name)?),
        (None, None) => {}
    }
    view.needs_busy_times = needs_busy_times(by, &spans);
    view.notes.extend(if group_by.is_none() && profile.is_whole() && by == SlowBy::Duration {
        profile.read_everything(is_indexed)
    } else {
        profile.passed_over_everything()?
    });
    context.output.show(view, ROWS)
}

/// Whether it was ever entered, how long it took, and its id.
type Rank = (bool, i64, u64);

/// The slowest span of each group, with the group; the slowest of all first.
fn slowest_of_each(
    profile: &Profile,
    name: Option<&str>,
    by: SlowBy,
    group_by: &GroupBy,
) -> Result<Vec<(Span, Group)>, Failure> {
    let mut groups = Groups::new(group_by.clone());
    let rank = |ns: i64, span: &SpanRef<'_>| (!span.was_never_entered(), ns, span.id);
    let mut slowest: Vec<Option<(Rank, Span)>> = Vec::new();
    let columns = group_by.columns().max(Columns::Entries);
    let add = |span: &SpanRef<'_>| {
        if let Some(ns) = by.of(span) {
            groups.add(span);
            let at = groups.assign(span);
            slowest.resize(slowest.len().max(at + 1), None);
            if let Some(kept) = slowest.get_mut(at)
                && kept.as_ref().is_none_or(|(most, _)| rank(ns, span) > *most)
            {
                *kept = Some((rank(ns, span), span.to_span()));
            }
        }
        ControlFlow::Continue(())
    };
    match name {
        Some(name) => profile.calls_named(name, columns, add)?,
        None => profile.calls(columns, add)?,
    }
    let found = slowest.into_iter().zip(groups.into_groups());
    let mut found: Vec<_> =
        found.filter_map(|(kept, group)| kept.map(|(rank, span)| (rank, span, group))).collect();
    found.order_by_key(|(rank, ..)| std::cmp::Reverse(*rank));
    let mut spans: Vec<Span> = found.iter().map(|(_, span, _)| span.clone()).collect();
    profile.reader.read_fields(&mut spans)?;
    profile.reader.read_owners(&mut spans)?;
    Ok(spans.into_iter().zip(found.into_iter().map(|(_, _, group)| group)).collect())
}

/// Adds columns for the group of each row, and its number of spans, in front.
fn grouped(table: &mut Table, by: &GroupBy, groups: &[Group]) {
    let is_known = |column: &Column| ["name", "target", "thread"].contains(&column.key.as_str());
    let own = by::columns(by, by::has_ambiguous_names(groups));
    for column in &mut table.columns {
        let shown = own.iter().any(|own| own.key == column.key);
        column.shown |=
            shown && (column.key != "target" || by::has_ambiguous_names(groups) || own.len() == 1);
    }
    let new: Vec<usize> =
        own.iter().enumerate().filter(|(_, column)| !is_known(column)).map(|(at, _)| at).collect();
    let added = new.iter().filter_map(|at| own.get(*at).cloned());
    let added: Vec<Column> = added.chain([Column::right("calls", "calls").drop_rank(3)]).collect();
    table.columns.splice(0..0, added);
    for (row, group) in table.rows.iter_mut().zip(groups) {
        let cells = by::of_group(by, group);
        let mut added: Vec<Cell> = new.iter().filter_map(|at| cells.get(*at).cloned()).collect();
        added.push(Cell::Count(group.calls));
        row.splice(0..0, added);
    }
}

/// How many calls there are of what was asked for.
#[derive(Debug, Default)]
struct Calls {
    /// Closed spans, and entries of those that live long, as far as these were recorded one by one.
    total: u64,
    /// Entries beside them that are known by their sum only.
    summed_only: u64,
}

/// The slowest spans, and how many there are.
fn find(
    profile: &Profile,
    name: Option<&str>,
    by: SlowBy,
    limit: usize,
) -> Result<(Vec<Span>, Calls), Failure> {
    if profile.filter.is_empty() && (profile.window.is_all() || profile.reader.indexes()?.windows) {
        let which = name.map_or(SlowScope::All, SlowScope::Named);
        let spans = profile.reader.slowest(&profile.pass(Columns::All), which, by, limit)?;
        return Ok((spans, calls(profile, name)?));
    }
    let mut slowest = Slowest::new(by, limit);
    let mut summed_only = 0_u64;
    let add = |span: &SpanRef<'_>| {
        slowest.add(span);
        if span.call_ns().is_some() {
            let earlier = span.entry.map_or(0, |entry| entry.earlier_entries);
            summed_only = summed_only.saturating_add(earlier);
        }
        ControlFlow::Continue(())
    };
    match name {
        Some(name) => profile.calls_named(name, Columns::Entries, add)?,
        None => profile.calls(Columns::Entries, add)?,
    }
    let total = slowest.offered();
    let mut spans = slowest.into_spans();
    profile.reader.read_fields(&mut spans)?;
    profile.reader.read_owners(&mut spans)?;
    Ok((spans, Calls { total, summed_only }))
}

/// The same of a name, or of all, in the window.
fn calls(profile: &Profile, name: Option<&str>) -> Result<Calls, Failure> {
    let mut calls = Calls::default();
    if profile.is_in_rollups() {
        let top = match name {
            Some(name) => profile.reader.top_named(profile.run.id, name)?,
            None if profile.run.entries == 0 => {
                let total = profile.reader.closed_spans(profile.run.id)?;
                return Ok(Calls { total, summed_only: 0 });
            }
            None => profile.reader.top(profile.run.id, usize::MAX)?,
        };
        for row in &top {
            let recorded = row.histogram.count();
            calls.total = calls.total.saturating_add(recorded);
            if row.counted == CountedBy::Entries {
                let summed = row.calls.saturating_sub(recorded);
                calls.summed_only = calls.summed_only.saturating_add(summed);
            }
        }
        return Ok(calls);
    }
    let is_named = |callsite: &Callsite| name.is_none_or(|name| name == callsite.name);
    let (groups, _) = profile.groups(&GroupBy::Callsite)?;
    for group in groups.groups().iter().filter(|group| is_named(&group.callsite)) {
        calls.total = calls.total.saturating_add(group.histogram.count());
        calls.summed_only = calls.summed_only.saturating_add(group.summed_only());
    }
    Ok(calls)
}

/// Whether there are none because this time needs times inside of spans, which the run has not measured.
fn needs_busy_times(by: SlowBy, found: &[Span]) -> bool {
    found.is_empty() && matches!(by, SlowBy::Busy | SlowBy::Idle | SlowBy::Work)
}

/// The meanings of the marks that are shown.
fn legend(spans: &[Span]) -> impl Iterator<Item = String> {
    let has_entries = spans.iter().any(|span| span.entry.is_some());
    let has_idle = spans.iter().any(|span| SpanRef::from(span).was_never_entered());
    let long = has_entries.then(|| text::LONG_MEANS.to_owned());
    long.into_iter().chain(has_idle.then(|| text::IDLE_MEANS.to_owned()))
}

fn next_step(slowest: &Span, name: Option<&str>) -> String {
    // The span around an entry is the one that the entry was a part of.
    let id = slowest.entry.and_then(|entry| entry.around_id).unwrap_or(slowest.id);
    let name = text::clean(&text::shell(name.unwrap_or(&slowest.callsite.name)));
    format!("`spandrel tree s{id}` for one, `spandrel explain {name}` for the pattern")
}

fn table(spans: &[Span], by: SlowBy, with_name: bool, human_readable: bool) -> Table {
    let fields: Vec<Option<Map<String, Value>>> =
        spans.iter().map(|span| fields::of(span.fields.as_deref())).collect();
    let keys = if human_readable { differing(&fields) } else { Vec::new() };
    // Nothing, if all of them are `ok`.
    let is_marked = |span: &Span| span.entry.is_some() || SpanRef::from(span).was_never_entered();
    let with_name = with_name || spans.iter().any(is_marked);
    let has_failed = spans.iter().any(|span| span.status != Status::Ok);
    let mut table = table_of! {
        for span in spans, {
            // An entry has ended when the thread leaves.
            let last_exit_ns = span.entry.map_or(span.last_exit_ns, |_| span.duration_ns);
            let around = span.entry.and_then(|entry| entry.around_id);
            let when = format!("+{}", text::duration_in_words(span.start_ns));
        }
        Column::right("duration_ns", "dur") => span.duration_ns.into(),
        Column::right("last_exit_ns", "work").shown_if(by == SlowBy::Work) => last_exit_ns.into(),
        Column::right("busy_ns", "busy").drop_rank(1) => span.busy_ns.into(),
        Column::right("self_ns", "self").hidden() => span.self_ns.into(),
        Column::right("self_busy_ns", "self busy").hidden() => span.self_busy_ns.into(),
        Column::left("start_ns", "when") => Cell::Shown(when, span.start_ns.into()),
        Column::left("id", "id") => Cell::Span(span.id),
        Column::left("trace_id", "trace").drop_rank(250) => Cell::Trace(span.root_id),
        Column::left("target", "target").hidden() => Cell::from(&*span.callsite.target),
        Column::left("name", "span").shown_if(with_name) => name_cell(span),
        Column::left("status", "status").shown_if(has_failed) => span.status.as_str().into(),
        Column::left("thread", "thread").hidden() => Cell::from(&*span.longest_thread),
        by::counted() => SpanRef::from(span).counted().as_str().into(),
        Column::right("entries", "entries").hidden() => Cell::Count(span.entries),
        Column::left("around_id", "around").hidden() => around.map_or(Cell::Null, Cell::Span),
    };
    let of_fields = keys.iter().enumerate().map(|(at, key)| {
        // The last ones tell least.
        let rank = u8::try_from(at).map_or(u8::MAX, |at| at.saturating_add(2));
        Column::left(&format!("field.{key}"), &text::clean(key)).drop_rank(rank)
    });
    let columns = of_fields.chain([Column::left("fields", "fields").hidden()]).collect();
    let cells = fields.iter().map(|fields| {
        let field = |key: &String| match fields.as_ref().and_then(|fields| fields.get(key)) {
            None => Cell::Null,
            Some(Value::String(text)) => Cell::Text(text.clone()),
            Some(value) => Cell::Json(value.clone()),
        };
        keys.iter().map(field).chain([Cell::Json(json!(fields))]).collect()
    });
    table.append(columns, cells);
    table
}

/// The name, marked if it is an entry, or was never entered.
fn name_cell(span: &Span) -> Cell {
    let name = Cell::Text(span.callsite.name.clone());
    if span.entry.is_some() {
        by::marked(&name)
    } else if SpanRef::from(span).was_never_entered() {
        Cell::Shown(format!("{} {}", name.text(), text::IDLE), name.value())
    } else {
        name
    }
}

/// The keys that most of these spans have, except those with the same value in all.
fn differing(fields: &[Option<Map<String, Value>>]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut order: Vec<&str> = Vec::new();
    for key in fields.iter().flatten().flat_map(Map::keys) {
        let count = counts.entry(key).or_insert(0);
        if *count == 0 {
            order.push(key);
        }
        *count += 1;
    }
    let differs = |key: &&str| {
        let of = |fields: &'_ Option<Map<String, Value>>| fields.as_ref()?.get(*key).cloned();
        let first = fields.first().and_then(of);
        fields.len() < 2 || fields.iter().any(|fields| of(fields) != first)
    };
    order.retain(differs);
    order.order_by_key(|key| std::cmp::Reverse(counts.get(key).copied()));
    order.truncate(FIELDS_MAX);
    order.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(fields: &[Value]) -> Vec<String> {
        let object = |value: &Value| value.as_object().cloned();
        differing(&fields.iter().map(object).collect::<Vec<_>>())
    }

    #[test]
    fn the_commonest_fields_that_differ_become_columns() {
        let spans = [
            json!({ "same": 1, "rare": 1, "shard": 7 }),
            json!({ "same": 1, "shard": 7 }),
            json!({ "same": 1, "shard": 8 }),
        ];
        assert_eq!(keys(&spans), ["shard", "rare"]);
        assert_eq!(keys(&spans[..1]), ["same", "rare", "shard"], "of one span, all");
        assert!(keys(&[]).is_empty());
        let many: Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!(n))).collect();
        assert_eq!(keys(&[Value::Object(many), Value::Null]).len(), FIELDS_MAX);
    }
}
