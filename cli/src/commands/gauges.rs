//! `spandrel gauges`: values that the program has set, over time.

use spandrel_query::Gauge;

use super::prelude::*;

/// Rows that are shown without asking.
const ROWS: usize = 50;
/// Parts of the window of which a trend shows a value each.
const PARTS: usize = 30;

#[derive(Debug, Args)]
#[command(
    after_long_help = "The program sets a gauge with `profiler.gauge(\"queue_depth\").set(42)`; once an interval \
    in which it was\nset, its last value is stored. A trend shows the last value in each part of the window, from the \
    smallest\nto the largest.\n\nExamples:\n  \
    spandrel gauges\n  \
    spandrel gauges --since 30s --sort max\n  \
    spandrel gauges -f json"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared:
        Shared<{ group::DB | group::RUN | group::WINDOW | group::ROWS | group::FAIL }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let from_ns = profile.window.from_ns.unwrap_or(0);
    let end_ns = profile.run.length_ns().max(from_ns).saturating_add(1);
    let until_ns = profile.window.until_ns.map_or(end_ns, |until| until.min(end_ns));
    let gauges = profile.reader.gauges(profile.run.id, from_ns, until_ns, PARTS, None)?;
    let mut view = View::new("gauges", Some(profile.header()?), table(&gauges));
    view.extra.insert("from_ns".into(), json!(from_ns));
    view.extra.insert("until_ns".into(), json!(until_ns));
    if gauges.is_empty() {
        view.notes.push(
            "no gauge was set there: `profiler.gauge(\"queue_depth\").set(42)` sets one".into(),
        );
    }
    context.output.show(view, ROWS)
}

fn table(gauges: &[Gauge]) -> Table {
    table_of! {
        for gauge in gauges, {
            let value = |value| value_of(&gauge.name, value);
        }
        Column::right("last", "last") => value(gauge.last),
        Column::right("min", "min") => value(gauge.min),
        Column::right("mean", "mean").drop_rank(5) => value(gauge.mean),
        Column::right("max", "max") => value(gauge.max),
        Column::right("samples", "samples").drop_rank(8) => Cell::Count(gauge.samples),
        Column::right("updates", "updates").drop_rank(7) => Cell::Count(gauge.updates),
        Column::right("last_ns", "last at").hidden() => Cell::Ns(gauge.last_ns),
        Column::left("trend", "trend").drop_rank(6) => Cell::Shown(text::trend(&gauge.trend), json!(gauge.trend)),
        Column::left("gauge", "gauge") => gauge.name.as_str().into(),
    }
}

/// A value, or nothing; bytes as people read them.
fn value_of(name: &str, value: Option<f64>) -> Cell {
    let Some(value) = value else { return Cell::Null };
    Cell::Shown(in_words(name, value), json!(value))
}

/// The value of a gauge of this name.
pub(crate) fn in_words(name: &str, value: f64) -> String {
    let is_bytes = name == "bytes" || name.ends_with("_bytes") || name.ends_with(".bytes");
    match is_bytes && (0.0..1e18).contains(&value) {
        true => text::bytes(value as u64),
        false => text::number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_people_read_them() {
        let said = |value| in_words("queue_depth", value);
        assert_eq!([said(42.0), said(-1_250.0), said(0.0)], ["42", "-1,250", "0"]);
        assert_eq!([said(0.25), said(2.345_67), said(99.96)], ["0.25", "2.346", "99.96"]);
        assert_eq!([said(1e18), said(1e-9), said(12_345.6)], ["1.000e18", "1.000e-9", "12346"]);
        assert_eq!(said(f64::INFINITY), "inf");
        assert_eq!(in_words("process.resident_bytes", 1_048_576.0), text::bytes(1 << 20));
    }

    #[test]
    fn a_trend_is_between_the_smallest_and_the_largest() {
        let some = |values: &[f64]| -> String {
            text::trend(&values.iter().map(|value| Some(*value)).collect::<Vec<_>>())
        };
        assert_eq!(some(&[-5.0, 0.0, 5.0]), "▁▅█");
        assert_eq!(some(&[7.0, 7.0]), "▅▅", "it does not change");
        assert_eq!(some(&[f64::MIN, f64::MAX, f64::NEG_INFINITY]), "▁█▁");
        let gaps = [None, Some(1.0), None, Some(9.0), None];
        assert_eq!(text::trend(&gaps), " ▁▁██", "a value holds until there is another one");
        assert_eq!(text::trend(&[None, None]), "  ");
    }
}
