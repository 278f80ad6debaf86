//! `spandrel top`: where the time went, by span name.
//!
//! From the rollups, in milliseconds at any size: counts, sums and maxima are exact, percentiles
//! within 1 %.

use clap::Args;
use spandrel_storage::Top;

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Column, Sheet, View};

/// Rows that are shown without asking.
const ROWS: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let top = profile.reader.top(profile.run.id, usize::MAX)?;
    let self_ns: i64 = top.iter().map(|row| row.self_ns).fold(0, i64::saturating_add);
    let mut sheet = Sheet::new(vec![
        Column::right("self_ns", "self"),
        Column::right("self_share", "self%"),
        Column::right("calls", "calls"),
        Column::right("total_ns", "total"),
        Column::right("p50_ns", "p50"),
        Column::right("p95_ns", "p95"),
        Column::right("p99_ns", "p99"),
        Column::right("max_ns", "max"),
        Column::right("busy_share", "busy"),
        Column::right("errors", "errors").hidden(),
        Column::left("target", "target"),
        Column::left("name", "span"),
    ]);
    for row in &top {
        sheet.push(cells(row, self_ns));
    }
    sheet.sort("self_ns")?;
    context.output.show(View::new("top", Some(profile.header()?), sheet), ROWS)
}

fn cells(row: &Top, all_self_ns: i64) -> Vec<Cell> {
    let ns = |ns: u64| Cell::Ns(i64::try_from(ns).unwrap_or(i64::MAX));
    let share = |part: i64, whole: i64| Cell::Share(part as f64 / whole as f64);
    vec![
        Cell::Ns(row.self_ns),
        share(row.self_ns, all_self_ns),
        Cell::Count(row.calls),
        Cell::Ns(row.sum_ns),
        ns(row.p50_ns()),
        ns(row.p95_ns()),
        ns(row.p99_ns()),
        Cell::Ns(row.max_ns),
        row.busy_ns.map_or(Cell::Null, |busy| share(busy, row.sum_ns)),
        Cell::Count(row.errors),
        Cell::Text(row.callsite.target.clone()),
        Cell::Text(row.callsite.name.clone()),
    ]
}
