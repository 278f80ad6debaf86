//! What each name has: sums, percentiles, and durations over time. One look at each span.

use std::collections::HashMap;

use spandrel_storage::Histogram;

use super::row::{Kind, Row};
use crate::report::bounds;
use crate::report::data::{HeatName, Heatmap, NAME_ALL, NAME_OTHERS, TopRow, Window};
use spandrel_query::OrderRows as _;

/// Bins of the heatmap: 63 octaves are all of `i64`.
const BINS: u32 = 63 * bounds::BINS_PER_OCTAVE;

#[derive(Debug)]
struct PerName {
    calls: u64,
    errors: u64,
    total_ns: i64,
    self_ns: i64,
    busy_ns: Option<i64>,
    max_ns: i64,
    histogram: Histogram,
    columns: Vec<i64>,
    /// Counts by column and bin; kept for those that come to be among the first only.
    cells: HashMap<(u32, u32), u64>,
}

impl PerName {
    fn new() -> Self {
        Self {
            calls: 0,
            errors: 0,
            total_ns: 0,
            self_ns: 0,
            busy_ns: Some(0),
            max_ns: 0,
            histogram: Histogram::new(),
            columns: vec![0; bounds::COLUMNS as usize],
            cells: HashMap::new(),
        }
    }

    fn add(&mut self, row: &Row, duration_ns: i64, column: u32) {
        if let Kind::Entry { earlier, earlier_ns } = row.kind {
            self.calls = self.calls.saturating_add(earlier);
            self.total_ns = self.total_ns.saturating_add(earlier_ns);
            self.busy_ns = self.busy_ns.map(|sum| sum.saturating_add(earlier_ns));
        }
        self.calls += 1;
        self.total_ns = self.total_ns.saturating_add(duration_ns);
        self.self_ns = self.self_ns.saturating_add(row.self_ns.unwrap_or(0).max(0));
        self.busy_ns = self.busy_ns.zip(row.busy_ns).map(|(sum, busy)| sum.saturating_add(busy));
        self.max_ns = self.max_ns.max(duration_ns);
        self.histogram.record(duration_ns as u64);
        if let Some(sum) = self.columns.get_mut(column as usize) {
            *sum = sum.saturating_add(duration_ns);
        }
        *self.cells.entry((column, bin(duration_ns))).or_default() += 1;
    }

    fn percentile(&self, q: f64) -> u64 {
        self.histogram.percentile_up_to(q, self.max_ns).unwrap_or(0)
    }

    fn top_row(&self, name: i64) -> TopRow {
        let largest = self.columns.iter().copied().max().unwrap_or(0).max(1) as f64;
        TopRow {
            name,
            calls: self.calls,
            errors: self.errors,
            total_ns: self.total_ns,
            self_ns: self.self_ns,
            busy_ns: self.busy_ns,
            p50_ns: self.percentile(0.5),
            p95_ns: self.percentile(0.95),
            p99_ns: self.percentile(0.99),
            max_ns: self.max_ns,
            spark: self
                .columns
                .iter()
                .map(|sum| (*sum as f64 / largest * 100.0).ceil() as u8)
                .collect(),
        }
    }

    fn heat(&self, name: i64) -> HeatName {
        let mut cells: Vec<_> = self.cells.iter().map(|(at, count)| (*at, *count)).collect();
        cells.order_by(Ord::cmp);
        let flat = cells
            .into_iter()
            .flat_map(|((column, bin), count)| [u64::from(column), u64::from(bin), count]);
        HeatName { name, cells: flat.collect() }
    }
}

/// The bin of a duration: bin `b` begins at 2^(b / BINS_PER_OCTAVE) ns.
fn bin(duration_ns: i64) -> u32 {
    let exact = (duration_ns.max(1) as f64).log2() * f64::from(bounds::BINS_PER_OCTAVE);
    (exact as u32).min(BINS)
}

#[derive(Debug)]
pub(crate) struct AllNames {
    window: Window,
    names: HashMap<i64, PerName>,
}

impl AllNames {
    pub(crate) fn new(window: Window) -> Self {
        Self { window, names: HashMap::new() }
    }

    /// Counts a closed span, or an entry; an unfinished one has no duration to count.
    pub(crate) fn add(&mut self, row: &Row) {
        if row.duration_ns.is_none() {
            return;
        }
        let column = self.window.column(row.start_ns);
        let name = self.names.entry(row.name).or_insert_with(PerName::new);
        if row.is_span() {
            name.errors += u64::from(row.is_error());
        }
        if let Kind::LivedLong { longest_ns } | Kind::LivesLong { longest_ns } = row.kind {
            name.max_ns = name.max_ns.max(longest_ns);
        }
        if let Some(duration_ns) = row.call_ns() {
            name.add(row, duration_ns.max(0), column);
        }
    }

    /// The names with the most self time, and how many were left out.
    pub(crate) fn top(&self) -> (Vec<TopRow>, usize) {
        let names = self.names.iter().filter(|(_, per)| per.calls > 0 || per.errors > 0);
        let mut rows: Vec<_> = names.map(|(name, per)| per.top_row(*name)).collect();
        rows.order_by_key(|row| (std::cmp::Reverse(row.self_ns), row.name));
        let more = rows.len().saturating_sub(bounds::TOP_ROWS);
        rows.truncate(bounds::TOP_ROWS);
        (rows, more)
    }

    pub(crate) fn self_ns(&self) -> i64 {
        self.names.values().map(|per| per.self_ns).fold(0, i64::saturating_add)
    }

    /// Durations over time of all names together, and of those with the most time in sum.
    pub(crate) fn heatmap(&self) -> Heatmap {
        let mut all = PerName::new();
        for per in self.names.values() {
            for (at, count) in &per.cells {
                *all.cells.entry(*at).or_default() += count;
            }
        }
        let mut most: Vec<_> =
            self.names.iter().filter(|(name, _)| **name != NAME_OTHERS).collect();
        most.order_by_key(|(name, per)| (std::cmp::Reverse(per.total_ns), **name));
        let mut names = vec![all.heat(NAME_ALL)];
        names.extend(most.iter().take(bounds::HEAT_NAMES).map(|(name, per)| per.heat(**name)));
        Heatmap { bins_per_octave: bounds::BINS_PER_OCTAVE, names }
    }
}

impl Window {
    /// The column that a moment falls into.
    pub(crate) fn column(&self, at_ns: i64) -> u32 {
        let length = i128::from(self.until_ns) - i128::from(self.from_ns);
        let at = i128::from(at_ns) - i128::from(self.from_ns);
        let column = at * i128::from(self.columns) / length.max(1);
        column.clamp(0, i128::from(self.columns.saturating_sub(1))) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::span;
    use super::*;

    const WINDOW: Window = Window { from_ns: 0, until_ns: 8_000, columns: bounds::COLUMNS };

    #[test]
    fn bins_begin_where_the_page_says() {
        assert_eq!([0, 1, 2, 3, 4, 1 << 40, i64::MAX].map(bin), [0, 0, 2, 3, 4, 80, 126]);
    }

    #[test]
    fn moments_outside_the_window_fall_into_its_ends() {
        assert_eq!(
            [-5, 0, 99, 100, 7_999, 8_000, i64::MAX].map(|at| WINDOW.column(at)),
            [0, 0, 0, 1, 79, 79, 79]
        );
    }

    #[test]
    fn each_closed_span_is_in_the_table_and_in_the_heatmap() {
        let mut all = AllNames::new(WINDOW);
        for n in 0..100 {
            all.add(&span(n + 1, 0, i64::from(n % 3 == 0), n as i64 * 80, 50 + n as i64));
        }
        all.add(&Row { duration_ns: None, ..span(200, 0, 7, 0, 0) });
        let (top, more) = all.top();
        assert_eq!((top.len(), more), (2, 0));
        assert_eq!(top.iter().map(|row| row.calls).collect::<Vec<_>>(), [66, 34]);
        assert_eq!((top[0].max_ns, top[0].busy_ns.is_some()), (148, true));
        let heat = all.heatmap();
        let counted = |at: usize| heat.names[at].cells.chunks(3).map(|cell| cell[2]).sum::<u64>();
        assert_eq!((counted(0), counted(1), counted(2)), (100, 66, 34));
    }
}
