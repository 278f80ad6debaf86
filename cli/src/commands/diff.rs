//! `spandrel diff`: what changed between two recordings, and whether that is noise.

use std::collections::HashSet;

use serde_json::Value;
use spandrel_query::By;
use spandrel_query::OrderRows as _;
use spandrel_query::compare::{
    Bootstrap, Change, Comparison, Delta, Metric, SampleSet, Samples, SpanName,
};

use super::by;
use super::prelude::*;
use super::sides::Side;

/// Rows that are shown without asking.
const ROWS: usize = 20;
/// Sentences at the end.
const SENTENCES: usize = 5;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel diff                                the last two runs of the newest profile\n  \
    spandrel diff main.db branch.db              the latest run of each file\n  \
    spandrel diff 'main.db:*' 'branch.db:*'      all runs of each: the noise between runs counts\n  \
    spandrel diff label:before label:after -w 'target~^db'\n  \
    spandrel diff --by field.route -w name=http.request      each route with itself\n\n\
Intervals are found by drawing blocks of time, and runs where a side has several, again and again\n\
with replacement (a bootstrap). A change is shown as one if it is more than chance makes among so\n\
many figures, and larger than --noise.\n\n\
A run differs from the next one, whatever changed: record several on each side, best five. Where a\n\
side has but one, runs are taken to differ by --between-runs.")]
pub(crate) struct Arguments {
    /// Before: RUNS, FILE or FILE:RUNS (several runs separated by commas, '*' = all)
    #[arg(default_value = "latest~1")]
    a: String,
    /// After
    #[arg(default_value = "latest")]
    b: String,
    /// Treat smaller changes as noise, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    noise: f64,
    /// Confidence level of the intervals, in percent; of the changes shown, the rest may be chance
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0)]
    confidence: f64,
    /// Assumed difference between runs if a side has only one, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    between_runs: f64,
    /// Group by name, target, level, callsite, thread or field.NAME
    #[arg(long, value_name = "WHAT", default_value = "name", value_parser = by::parse,
        add = ArgValueCompleter::new(candidates::by))]
    by: By,
    #[command(flatten)]
    pub(super) shared: Shared<
        { group::DB | group::WINDOW | group::FILTER | group::ROWS | group::VERBOSE | group::FAIL },
    >,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    if !(arguments.confidence > 50.0 && arguments.confidence < 100.0) {
        let message = format!("--confidence {} makes no sense", arguments.confidence);
        return Err(Failure::usage(message).hint("a percentage between 50 and 100, such as 95"));
    }
    if !(arguments.noise >= 0.0 && arguments.noise.is_finite()) {
        let message = format!("--noise {} makes no sense", arguments.noise);
        return Err(Failure::usage(message).hint("a percentage, such as 1"));
    }
    if !(arguments.between_runs >= 0.0 && arguments.between_runs.is_finite()) {
        let message = format!("--between-runs {} makes no sense", arguments.between_runs);
        return Err(Failure::usage(message).hint("a percentage, such as 2"));
    }
    let sides = [&arguments.a, &arguments.b].map(|side| Side::parse(side, &context.wanted));
    let [a, b] = sides;
    let (a, b) = (a?, b?);
    let by = &arguments.by;
    let samples = [a.samples(&context.wanted, by)?, b.samples(&context.wanted, by)?];
    let how = Bootstrap::default()
        .confidence(arguments.confidence / 100.0)
        .between_runs(arguments.between_runs / 100.0);
    let mut comparison = Comparison::new(&samples[0], &samples[1], &how);
    // Of spans that live long it may be that none of their entries is asked about.
    let has_calls = |side: Option<&Samples>| side.is_some_and(|samples| samples.calls() > 0);
    comparison.changes.retain(|change| has_calls(change.a) || has_calls(change.b));
    let noise = arguments.noise / 100.0;
    let mut view = View::new("diff", None, table(&comparison, by, noise, arguments.confidence));
    view.preamble = vec![title("A", &a, &samples[0]), title("B", &b, &samples[1])];
    view.notes = notes(&comparison, by, noise);
    let same = a.compared_with_itself(&b);
    view.extra.insert("same_recording".into(), json!(same.is_some()));
    view.notes.extend(same);
    if samples.iter().any(|side| side.runs() > 1) {
        view.notes.push("calls are those of a run, on average".to_owned());
    }
    let single = samples.iter().any(|side| side.runs() < 2);
    if single {
        view.notes.push(format!(
            "one run a side: runs are taken to differ by {}%; record several and compare FILE:*",
            arguments.between_runs
        ));
    }
    for side in [&a, &b] {
        view.notes.extend(side.passed_over_everything(&context.wanted)?);
        view.notes.extend(side.unmeasured(&context.wanted)?);
    }
    view.notes.dedup();
    view.extra.extend([
        ("a".to_owned(), a.members(&samples[0])),
        ("b".to_owned(), b.members(&samples[1])),
        ("complete".to_owned(), json!(a.is_complete() && b.is_complete())),
        ("dropped".to_owned(), json!(a.dropped().saturating_add(b.dropped()))),
        ("confidence".to_owned(), json!(how.confidence)),
        ("noise".to_owned(), json!(noise)),
        ("group_by".to_owned(), json!(by::written(by))),
        ("between_runs".to_owned(), json!(single.then_some(how.between_runs))),
    ]);
    let exit = context.output.show(view, ROWS)?;
    let is_incomplete = !(a.is_complete() && b.is_complete());
    Ok(if context.output.strict && is_incomplete { Exit::Incomplete } else { exit })
}

fn title(letter: &str, side: &Side, samples: &SampleSet) -> String {
    let traces = text::counted(samples.traces(), "trace");
    let mut title = format!("{letter}  {}   {traces}", side.title());
    title.push_str(&format!("   dropped {}", text::count(side.dropped())));
    if !side.is_complete() {
        title.push_str("   ! incomplete: figures are of what was stored");
    }
    title
}

fn table(comparison: &Comparison<'_>, by: &By, noise: f64, confidence: f64) -> Table {
    let mut columns = keys(comparison, by);
    columns.push(Column::right("calls_change", "calls").drop_rank(9));
    for metric in [Metric::P50, Metric::P95, Metric::P99] {
        let column = Column::right(&format!("{}_change", metric.as_str()), metric.as_str());
        // Where there is no room, the middle and the tail are what people look for.
        columns.push(if metric == Metric::P95 { column.drop_rank(8) } else { column });
    }
    columns.push(Column::right("busy_change", "busy").drop_rank(10));
    columns.push(Column::right("significant", &format!("{confidence}% interval")).drop_rank(7));
    for metric in Metric::ALL {
        let unit = if metric == Metric::Calls { "" } else { "_ns" };
        let metric = metric.as_str();
        for key in [format!("{metric}_a{unit}"), format!("{metric}_b{unit}")] {
            columns.push(Column::right(&key, &key).hidden());
        }
        if metric == Metric::Mean.as_str() {
            columns.push(Column::right("mean_change", "mean").hidden());
        }
        for key in [format!("{metric}_low"), format!("{metric}_high")] {
            columns.push(Column::right(&key, &key).hidden());
        }
        let key = format!("{metric}_significant");
        columns.push(Column::right(&key, &key).hidden());
    }
    let mut table = Table::new(columns);
    // There can be half a million that are not, which the notes count.
    for change in comparison.changes.iter().filter(|change| change.is_judged()) {
        table.push(row(change, by, noise));
    }
    table
}

/// The columns of the group that a row is about.
fn keys(comparison: &Comparison<'_>, by: &By) -> Vec<Column> {
    match by {
        By::Name | By::Callsite => {
            let title = if *by == By::Name { "span" } else { "span, place" };
            let target = Column::left("target", "target");
            let target =
                if ambiguous_names(comparison).is_empty() { target.hidden() } else { target };
            vec![Column::left("name", title), target, by::counted()]
        }
        _ => [by::columns(by, false), vec![by::counted()]].concat(),
    }
}

/// Names that only the target tells apart.
fn ambiguous_names<'a>(comparison: &Comparison<'a>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    let all = comparison.changes.iter().map(|change| change.name);
    let named = all.map(|name| (name.name.as_str(), name.counted));
    named.filter(|name| !names.insert(*name)).map(|(name, _)| name).collect()
}

/// The cells of these columns.
fn key_cells(name: &SpanName, by: &By) -> Vec<Cell> {
    let mut text = match name.is_absent {
        true => Cell::Shown(by::ABSENT.into(), Value::Null),
        false => Cell::Text(name.name.clone()),
    };
    if name.counted.has_entries() {
        text = by::marked(&text);
    }
    let counted = Cell::Text(name.counted.as_str().into());
    match by {
        By::Name | By::Callsite => vec![text, Cell::Text(name.target.to_string()), counted],
        By::Field(_) => vec![text, counted],
        // All calls together.
        _ => vec![text, Cell::Null],
    }
}

fn row(change: &Change<'_>, by: &By, noise: f64) -> Vec<Cell> {
    let mut row = key_cells(change.name, by);
    row.push(cell(change, Metric::Calls, noise));
    let shown = [Metric::P50, Metric::P95, Metric::P99, Metric::Busy];
    row.extend(shown.map(|metric| cell(change, metric, noise)));
    let strongest = strongest(change, noise);
    let interval = strongest.and_then(|(metric, delta)| {
        let estimate = delta.estimate?;
        let (low, high) = (estimate.low * 100.0, estimate.high * 100.0);
        Some(format!("{} [{low:+.1}, {high:+.1}]", metric.as_str()))
    });
    row.push(Cell::Shown(interval.unwrap_or_default(), json!(strongest.is_some())));
    for metric in Metric::ALL {
        let delta = change.delta(metric);
        row.extend(
            [delta.a, delta.b]
                .map(|value| value.map_or(Cell::Null, |value| Cell::Number(value.round() as i64))),
        );
        let estimate = delta.estimate;
        if metric == Metric::Mean {
            row.push(Cell::Json(json!(estimate.map(|estimate| estimate.change))));
        }
        row.extend(
            [estimate.map(|e| e.low), estimate.map(|e| e.high)].map(|v| Cell::Json(json!(v))),
        );
        let significant = estimate.map(|_| delta.is_significant(noise));
        row.push(Cell::Json(json!(significant)));
    }
    row
}

/// `29.47 -> 3.85 ms ▼87%`: both values, and the change unless it is noise.
fn cell(change: &Change<'_>, metric: Metric, noise: f64) -> Cell {
    let delta = change.delta(metric);
    let text = |value: f64| match metric {
        Metric::Calls => text::count(value as u64),
        _ => text::duration_in_words(value as i64),
    };
    let shown = match (delta.a, delta.b) {
        (Some(a), Some(b)) => {
            let (a, b) = (text(a), text(b));
            // The unit once, if it is the same.
            let a = match (a.rsplit_once(' '), b.rsplit_once(' ')) {
                (Some((number, one)), Some((_, other))) if one == other => number.to_owned(),
                _ => a,
            };
            format!("{a} → {b} {}", mark(delta, noise))
        }
        (None, Some(b)) => format!("{} new", text(b)),
        (Some(a), None) => format!("{} gone", text(a)),
        (None, None) => "-".into(),
    };
    Cell::Shown(shown, json!(delta.estimate.map(|estimate| estimate.change)))
}

/// Six columns wide.
fn mark(delta: Delta, noise: f64) -> String {
    match delta.estimate {
        None => "     ?".into(),
        Some(estimate) if delta.is_significant(noise) => {
            let way = if estimate.change > 0.0 { '▲' } else { '▼' };
            format!("{way}{}", percent(estimate.change.abs()))
        }
        Some(_) => "     ~".into(),
    }
}

/// A share in percent, in thousands of them and so on where that would be too wide. Five columns.
fn percent(share: f64) -> String {
    let (mut rest, mut unit) = (share * 100.0, "");
    for larger in ["k", "M", "G", "T", "P", "E"] {
        let most = if unit.is_empty() { 9_999.5 } else { 999.5 };
        if rest < most {
            break;
        }
        (rest, unit) = (rest / 1e3, larger);
    }
    format!("{:>4}%", format!("{rest:.0}{unit}"))
}

/// The change of a duration whose interval is farthest from no change.
fn strongest(change: &Change<'_>, noise: f64) -> Option<(Metric, Delta)> {
    let is_duration = |metric: &Metric| !matches!(metric, Metric::Calls | Metric::Busy);
    let durations = Metric::ALL.into_iter().filter(is_duration);
    durations
        .map(|metric| (metric, change.delta(metric)))
        .filter(|(_, delta)| delta.is_significant(noise))
        .max_by(|(_, one), (_, other)| distance(*one).total_cmp(&distance(*other)))
}

/// How far the interval is from no change; faster and slower by the same factor count the same.
fn distance(delta: Delta) -> f64 {
    delta.estimate.map_or(0.0, |estimate| {
        let nearest = if estimate.change > 0.0 { estimate.low } else { estimate.high };
        nearest.max(-0.999_999).ln_1p().abs()
    })
}

fn notes(comparison: &Comparison<'_>, by: &By, noise: f64) -> Vec<String> {
    let ambiguous_names = ambiguous_names(comparison);
    let named = |name: &SpanName| {
        let shown = match (name.is_absent, ambiguous_names.contains(name.name.as_str())) {
            (true, _) => by::ABSENT.to_owned(),
            (_, true) if !name.target.is_empty() => {
                format!("{} ({})", text::clean(&name.name), text::clean(&name.target))
            }
            _ => text::clean(&name.name),
        };
        if name.counted.has_entries() { format!("{shown} {}", text::LONG) } else { shown }
    };
    let mut changed: Vec<(&Change<'_>, Metric, Delta)> = comparison
        .changes
        .iter()
        .filter_map(|change| {
            strongest(change, noise).map(|(metric, delta)| (change, metric, delta))
        })
        .collect();
    let slower = |delta: &Delta| delta.estimate.is_some_and(|estimate| estimate.change > 0.0);
    let regressions = changed.iter().filter(|(_, _, delta)| slower(delta)).count();
    let mut notes = vec![format!(
        "{regressions} slower, {} faster, of {}.   ~ within noise   ? too few spans",
        changed.len() - regressions,
        text::counted(comparison.changes.len() as u64, what(by))
    )];
    if comparison.changes.iter().any(|change| change.name.counted.has_entries()) {
        notes.insert(0, text::LONG_MEANS.to_owned());
    }
    let not_judged = comparison.not_judged() as u64;
    if not_judged > 0 {
        notes.push(format!(
            "{} with fewer spans or less self time {} neither judged nor shown; a filter asks about fewer: \
             -w name~..",
            text::counted(not_judged, "name"),
            text::agree(not_judged, "was", "were")
        ));
    }
    // Where most time was won or lost first.
    let won = |change: &Change<'_>| {
        let mean = change.delta(Metric::Mean);
        let calls = change.b.map_or(0, Samples::calls) as f64;
        mean.a.zip(mean.b).map_or(0.0, |(a, b)| (b - a).abs() * calls)
    };
    changed.order_by(|(one, ..), (other, ..)| won(other).total_cmp(&won(one)));
    let sentences = changed.iter().take(SENTENCES);
    notes.extend(
        sentences
            .filter_map(|(change, metric, delta)| sentence(&named(change.name), *metric, *delta)),
    );
    notes
}

/// What a row is.
fn what(by: &By) -> &'static str {
    match by {
        By::Target => "target",
        By::Level => "level",
        By::Callsite => "callsite",
        By::Thread => "thread",
        By::Field(_) => "value",
        _ => "name",
    }
}

/// `db.query: B is 1.8 x faster than A at p50 (1.6 to 2.0)`.
fn sentence(name: &str, metric: Metric, delta: Delta) -> Option<String> {
    let estimate = delta.estimate?;
    let ratios = [estimate.change, estimate.low, estimate.high].map(|change| 1.0 + change);
    let faster = estimate.change < 0.0;
    let [ratio, low, high] = if faster { ratios.map(f64::recip) } else { ratios };
    let (low, high) = (low.min(high), low.max(high));
    let way = if faster { "faster" } else { "slower" };
    let at = if metric == Metric::Mean {
        "in the mean".into()
    } else {
        format!("at {}", metric.as_str())
    };
    Some(format!(
        "{name}: B is {} x {way} than A {at} ({} to {})",
        factor(ratio),
        factor(low),
        factor(high)
    ))
}

/// Three significant digits.
fn factor(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 10.0 => format!("{ratio:.2}"),
        ratio if ratio < 100.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.0}"),
    }
}
