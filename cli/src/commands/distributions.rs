//! A row for each name, or for each value that spans have in common: how many there are, percentiles, and
//! how they are distributed, all on one scale. Shown by `hist --by`, and by commands that were given no name.

use spandrel_query::{Bar, By, Group, bars};
use spandrel_storage::Histogram;

use super::by;
use super::prelude::*;

/// Rows that are shown without asking.
pub(super) const ROWS: usize = 20;
/// Columns of a line, at most.
const WIDTH: usize = 24;

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Shows them, those with the most calls first.
pub(super) fn view(
    command: &'static str,
    profile: &Profile,
    name: Option<&str>,
    by: &By,
    rows: usize,
) -> Result<View, Failure> {
    let groups = profile.groups_of(name, by)?.into_groups();
    let groups: Vec<Group> = groups.into_iter().filter(|group| group.calls > 0).collect();
    let mut all = Histogram::new();
    groups.iter().for_each(|group| all.merge(&group.histogram));
    let scale = scale(&all, rows);
    let mut table = table(by, &groups, &scale);
    table.sort("calls")?;
    let mut view = View::new(command, Some(profile.header()?), table);
    view.extra.insert("name".into(), json!(name));
    view.extra.insert("group_by".into(), json!(by::written(by)));
    view.notes.extend(by::legend(&groups));
    view.notes.extend(by::summed_most(&groups));
    let edges = scale.iter().map(|bar| bar.from_ns).chain(scale.last().map(|bar| bar.to_ns));
    view.extra.insert("edges".into(), edges.collect());
    if let (Some(first), Some(last)) = (scale.first(), scale.last()) {
        let words = |ns: u64| text::duration_in_words(i64::try_from(ns).unwrap_or(i64::MAX));
        let (from, to) = (words(first.from_ns), words(last.to_ns));
        view.notes.push(format!("distributions are from {from} to {to}, on a logarithmic scale"));
    }
    if !(profile.is_in_rollups() && by.is_in_rollups()) {
        view.notes.extend(profile.passed_over_everything()?);
    }
    Ok(view)
}

/// The finest bars that a line has room for.
fn scale(all: &Histogram, rows: usize) -> Vec<Bar> {
    let mut finest = bars(all, rows);
    for rows in (1..rows).rev() {
        if finest.len() <= WIDTH.max(rows) {
            break;
        }
        finest = bars(all, rows);
    }
    finest
}

fn table(by: &By, groups: &[Group], scale: &[Bar]) -> Table {
    let mut table = table_of! {
        for group in groups, {
            let counts = counts(&group.histogram, scale);
            let [p50, p95, p99] = QUANTILES.map(|q| group.percentile_ns(q));
        }
        Column::right("calls", "calls") => Cell::Count(group.calls),
        Column::right("summed_only", "summed only").hidden() => Cell::Count(group.summed_only()),
        Column::right("p50_ns", "p50") => p50.into(),
        Column::right("p95_ns", "p95").drop_rank(5) => p95.into(),
        Column::right("p99_ns", "p99").drop_rank(3) => p99.into(),
        Column::right("max_ns", "max").drop_rank(6) => Cell::Ns(group.max_ns),
        Column::left("counts", "distribution").drop_rank(2) => Cell::Shown(drawn(&counts), json!(counts)),
    };
    let keys = by::columns(by, by::has_ambiguous_names(groups));
    let columns = keys.into_iter().chain([by::counted()]).collect();
    table.append(columns, groups.iter().map(|group| by::of_group(by, group)));
    table
}

/// How many of its spans are in each bar; bars begin where buckets do.
fn counts(histogram: &Histogram, scale: &[Bar]) -> Vec<u64> {
    let mut counts = vec![0_u64; scale.len()];
    for bucket in histogram.buckets() {
        let at = scale.partition_point(|bar| bar.to_ns <= bucket.low);
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(bucket.count);
        }
    }
    counts
}

/// A line of bars; one that is not empty has at least the lowest height.
fn drawn(counts: &[u64]) -> String {
    let highest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let level = |count: &u64| {
        let at = (*count as f64 / highest * LEVELS.len() as f64).ceil() as usize;
        at.checked_sub(1).and_then(|at| LEVELS.get(at)).copied().unwrap_or(' ')
    };
    counts.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_in_one_bar_of_its_line() {
        let mut all = Histogram::new();
        let mut parts = [Histogram::new(), Histogram::new()];
        for ns in (0..4_000_u64).map(|n| n * n * 37) {
            all.record(ns);
            parts[usize::from(ns % 3 == 0)].record(ns);
        }
        for rows in [1, 4, 16, 60] {
            let scale = scale(&all, rows);
            let [one, other] = [0, 1].map(|at| counts(&parts[at], &scale));
            for ((one, other), bar) in one.iter().zip(&other).zip(&scale) {
                assert_eq!(one + other, bar.count, "{rows} {bar:?}");
            }
        }
    }

    #[test]
    fn a_single_span_among_many_is_seen() {
        assert_eq!(drawn(&[10_000, 0, 1]), "█ ▁");
        assert_eq!(drawn(&[]), "");
    }
}
