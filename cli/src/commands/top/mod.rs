//! `spandrel top`: where the time went, by span name or by what else spans have in common.
//!
//! Of a whole run from the rollups, in milliseconds at any size, and nearly so of a window of an
//! optimized profile; of a filter, a thread or a field by a scan. Either way counts, sums and maxima are exact and percentiles within 1 %, or exact
//! with `--exact`, which reads the spans a few times more.

mod note;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use spandrel_query::OrderRows as _;
use spandrel_query::{By, Columns, ExactPercentiles, Group, Groups};

use self::note::{busy_above, notes, summed_only, without_calls};
use super::by;
use super::prelude::*;
use crate::recorder::State;

/// Rows that are shown without asking.
const ROWS: usize = 20;

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel top                               by self time\n  \
    spandrel top --sort p99 -n 5               the five with the longest tail\n  \
    spandrel top --sort self_busy_ns           by who kept the threads busy, waiting left out\n  \
    spandrel top --by field.shard -w name=db.query\n  \
    spandrel top --since 30s --exact -f json\n  \
    spandrel top --live                        while the program runs; ? for help\n  \
    spandrel top --live /dev/shm/shop          what is open in the programs that are collected there\n\n\
busy is the share of the duration in which a thread was inside the span; the rest is waiting. It is\n\
above 100% where several threads were inside a span at once. self_busy_ns is the time in which one was\n\
inside the span and in no other: who used the threads.\n\n\
⟳ marks names whose spans live long, such as connections: each time one was entered is a call, and\n\
how long it was open counts for nothing. A name that has other spans, too, has a row for those. errors\n\
are spans that failed.")]
pub(crate) struct Arguments {
    /// Group by name, target, level, callsite, thread or field.NAME
    #[arg(long, value_name = "WHAT", default_value = "name", value_parser = parse_by,
        add = ArgValueCompleter::new(candidates::by))]
    by: By,
    /// Compute exact percentiles (reads the spans up to five times)
    #[arg(long)]
    exact: bool,
    /// Show a full-screen view that updates every second
    #[arg(long, conflicts_with_all = ["by", "exact"])]
    live: bool,
    /// With --live: folder of ring files of programs that are collected, whose open spans are shown
    #[arg(value_name = "DIR", requires = "live")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

/// Columns for `--sort` that cannot be used with `--by`.
const RANKED_BY: [&str; 11] =
    ["self", "calls", "total", "p50", "p95", "p99", "max", "mean", "idle", "errors", "rate"];

/// Reads a value of `--by`. The message for a column says that `--sort` was meant.
fn parse_by(text: &str) -> Result<By, String> {
    let column = match text {
        "busy" | "inside" => Some("busy_ns"),
        "self_busy" => Some("self_busy_ns"),
        other => RANKED_BY.contains(&other).then_some(other),
    };
    by::parse(text).map_err(|error| match column {
        Some(column) => format!("`--sort {column}` ranks by it; to group, {error}"),
        None => error,
    })
}

/// Groups with their percentiles.
struct Top {
    groups: Vec<Group>,
    percentiles: Vec<Vec<Option<i64>>>,
    /// The length of the time that was looked at.
    length_ns: i64,
    /// Whether this comes from the rollups, which do not know unfinished spans.
    is_summed: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if arguments.live {
        return live(context, arguments.folder.as_deref());
    }
    let profile = context.wanted.profile()?;
    let is_summed = profile.is_in_rollups() && arguments.by.is_in_rollups() && !arguments.exact;
    let top = if is_summed {
        from_rollups(&profile, &arguments.by)?
    } else {
        let own = context.output.wants("self_busy_ns").then_some(Columns::Entries);
        from_spans(&profile, arguments, own.unwrap_or(Columns::Numbers))?
    };
    let rows = shown(&top);
    let mut table = table(&arguments.by, &top, &rows);
    table.sort("self_ns")?;
    let left = crate::rings::of_runs(profile.reader.path(), std::slice::from_ref(&profile.run));
    let mut header = profile.header()?;
    header.state = Some(State::with(&profile.run, &left));
    let mut view = View::new("top", Some(header), table);
    let legend = by::legend(rows.iter().map(|(group, _)| *group));
    view.notes.extend(legend.clone());
    view.notes.extend(notes(&arguments.by, &top.groups, &top.percentiles));
    view.notes.extend(busy_above(&top.groups));
    view.notes.extend(summed_only(&top.groups));
    view.notes.extend(without_calls(&top.groups));
    let unfinished = if top.is_summed {
        profile.run.unfinished
    } else {
        top.groups.iter().map(|group| group.unfinished).sum()
    };
    if unfinished > 0 {
        let are = text::agree(unfinished, "is", "are");
        // Of a run whose process has died all of them are what was open then.
        let kind = if profile.run.has_crashed() { "crashed span" } else { "unfinished span" };
        let unfinished = text::counted(unfinished, kind);
        let but = if legend.is_some() { ", but for their entries if they live long" } else { "" };
        view.notes.push(format!("{unfinished} {are} not counted{but}"));
    }
    let misleading = super::doctor::in_short(&profile)?;
    view.notes.extend(misleading.lines);
    view.extra.insert("waiting".into(), misleading.waiting);
    if context.output.verbose {
        let bound = if arguments.exact { "exact" } else { "within 1%" };
        let line = format!("percentiles are {bound}; counts, sums and maxima are exact");
        view.notes.push(line);
    }
    if !is_summed {
        view.notes.extend(profile.passed_over_everything()?);
    }
    view.extra.insert("percentiles_exact".into(), arguments.exact.into());
    view.notes.extend(left.iter().map(crate::rings::Left::line));
    view.extra.insert("unfinished".into(), unfinished.into());
    context.output.show(view, ROWS)
}

/// The groups that are shown, with their percentiles: those with calls, and those with unfinished spans,
/// except long-lived ones whose calls have a row.
fn shown(top: &Top) -> Vec<(&Group, &Vec<Option<i64>>)> {
    let name = |group: &'_ Group| {
        let callsite = group.callsite.clone();
        (group.key.clone(), callsite.name.clone(), callsite.target.clone())
    };
    let long = top.groups.iter().filter(|group| group.calls > 0 && group.counted.has_entries());
    let long: HashSet<_> = long.map(name).collect();
    let is_shown =
        |group: &Group| group.calls > 0 || group.unfinished > 0 && !long.contains(&name(group));
    top.groups.iter().zip(&top.percentiles).filter(|(group, _)| is_shown(group)).collect()
}

/// Groups by name, the one with the most self time first; and the notes on them and on the recording.
pub(super) fn in_words(profile: &Profile) -> Result<(Vec<Group>, Vec<String>), Failure> {
    let by = By::Name;
    let mut groups = if profile.is_in_rollups() {
        from_rollups(profile, &by)?.groups
    } else {
        profile.groups(&by)?.0.into_groups()
    };
    groups.order_by_key(|group| std::cmp::Reverse(group.self_ns));
    let mut words = notes(&by, &groups, &near_percentiles(&groups));
    words.extend(super::doctor::in_short(profile)?.lines);
    Ok((groups, words))
}

#[cfg(feature = "tui")]
fn live(context: &Context, folder: Option<&Path>) -> Result<Exit, Failure> {
    crate::live::run(context, folder)
}

#[cfg(not(feature = "tui"))]
fn live(_context: &Context, _folder: Option<&Path>) -> Result<Exit, Failure> {
    Err(Failure::usage("--live is not in this build")
        .hint("`cargo install --path cli` with its default features has it"))
}

fn from_rollups(profile: &Profile, by: &By) -> Result<Top, Failure> {
    let mut groups = Groups::new(by.clone());
    for top in profile.reader.top(profile.run.id, usize::MAX)? {
        groups.add_top(&top);
    }
    let groups = groups.into_groups();
    let length_ns = profile.header()?.length_ns();
    let percentiles = near_percentiles(&groups);
    Ok(Top { groups, percentiles, length_ns, is_summed: true })
}

fn near_percentiles(groups: &[Group]) -> Vec<Vec<Option<i64>>> {
    let of = |group: &Group| QUANTILES.map(|q| group.percentile_ns(q)).to_vec();
    groups.iter().map(of).collect()
}

fn from_spans(profile: &Profile, arguments: &Arguments, columns: Columns) -> Result<Top, Failure> {
    let by = &arguments.by;
    let (mut groups, length_ns) = profile.groups_with(by, columns)?;
    let columns = columns.max(by.columns());
    let percentiles = if arguments.exact {
        exact_percentiles(profile, columns, &mut groups)?
    } else {
        near_percentiles(groups.groups())
    };
    Ok(Top { groups: groups.into_groups(), percentiles, length_ns, is_summed: false })
}

fn exact_percentiles(
    profile: &Profile,
    columns: Columns,
    groups: &mut Groups,
) -> Result<Vec<Vec<Option<i64>>>, Failure> {
    let mut exact = ExactPercentiles::new(groups, &QUANTILES);
    while exact.begin_pass() {
        profile.calls(columns, |span| {
            exact.add(groups, span);
            ControlFlow::Continue(())
        })?;
        exact.end_pass();
    }
    Ok((0..groups.groups().len()).map(|at| exact.of(at)).collect())
}

fn table(by: &By, top: &Top, rows: &[(&Group, &Vec<Option<i64>>)]) -> Table {
    let all_self_ns = top.groups.iter().map(|row| row.self_ns).fold(0, i64::saturating_add);
    let any = |of: fn(&Group) -> u64| top.groups.iter().any(|group| of(group) > 0);
    let (has_errors, has_unfinished) = (any(|group| group.errors), any(|group| group.unfinished));
    let share = |part: i64, whole: i64| match whole {
        0 => Cell::Null,
        whole => Cell::Share(part as f64 / whole as f64),
    };
    let mut table = table_of! {
        for (group, percentiles) in rows, {
            let percentile = |at: usize| Cell::from(percentiles.get(at).copied().flatten());
            let closed = |ns: i64| if group.calls == 0 { Cell::Null } else { Cell::Ns(ns) };
            let calls = group.calls as f64;
            let idle_ns = group.busy_ns.map(|busy| group.sum_ns.saturating_sub(busy).max(0));
            let unfinished = if top.is_summed { Cell::Null } else { Cell::Count(group.unfinished) };
        }
        Column::right("self_ns", "self") => Cell::Ns(group.self_ns),
        Column::right("self_share", "self%").drop_rank(7) => share(group.self_ns, all_self_ns),
        Column::right("calls", "calls") => Cell::Count(group.calls),
        Column::right("total_ns", "total").drop_rank(6) => Cell::Ns(group.sum_ns),
        Column::right("p50_ns", "p50").drop_rank(3) => percentile(0),
        Column::right("p95_ns", "p95").drop_rank(2) => percentile(1),
        Column::right("p99_ns", "p99") => percentile(2),
        Column::right("max_ns", "max").drop_rank(8) => closed(group.max_ns),
        Column::right("mean_ns", "mean").hidden() => closed((group.sum_ns as f64 / calls) as i64),
        Column::right("busy_share", "busy").drop_rank(5) =>
            group.busy_ns.map_or(Cell::Null, |busy| share(busy, group.sum_ns)),
        Column::right("busy_ns", "inside").hidden() => group.busy_ns.into(),
        Column::right("idle_ns", "idle").hidden() => idle_ns.into(),
        Column::right("self_busy_ns", "self busy").hidden() => group.self_busy_ns.into(),
        Column::right("errors", "errors").drop_rank(4).shown_if(has_errors) => Cell::Count(group.errors),
        Column::right("unfinished", "unfinished").drop_rank(4).shown_if(has_unfinished) => unfinished,
        Column::right("rate", "rate").hidden() => rate(calls, top.length_ns),
    };
    let keys = by::columns(by, by::has_ambiguous_names(&top.groups));
    let columns = keys.into_iter().chain([by::counted()]).collect();
    table.append(columns, rows.iter().map(|(group, _)| by::of_group(by, group)));
    table
}

fn rate(calls: f64, length_ns: i64) -> Cell {
    if length_ns <= 0 {
        return Cell::Null;
    }
    let rate = calls / (length_ns as f64 / 1e9);
    let shown = if rate < 10.0 { format!("{rate:.2}/s") } else { text::count(rate as u64) + "/s" };
    Cell::Shown(shown, rate.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::test_profile;

    /// Whether a narrow terminal hides the target first, in a profile with these spans.
    fn target_goes_first(spans: &[(&'static str, &'static str)]) -> bool {
        let spans = spans.iter().map(|&(target, name)| test_profile::Span {
            target,
            ..test_profile::Span::new(name, 1_000)
        });
        let (_folder, reader) = test_profile::profile(spans);
        let mut groups = Groups::new(By::Name);
        reader.top(1, usize::MAX).unwrap().iter().for_each(|top| groups.add_top(top));
        let groups = groups.into_groups();
        let top = Top { groups, percentiles: Vec::new(), length_ns: 1, is_summed: true };
        let columns = table(&By::Name, &top, &[]).columns;
        let first =
            columns.iter().filter(|column| column.shown).max_by_key(|column| column.drop_rank);
        first.is_some_and(|column| column.title == "target")
    }

    #[test]
    fn rows_of_one_name_can_be_told_apart_on_a_narrow_terminal() {
        assert!(target_goes_first(&[("redis::get", "get"), ("redis::set", "set")]));
        assert!(!target_goes_first(&[("redis::get", "apply"), ("redis::set", "apply")]));
    }
}
