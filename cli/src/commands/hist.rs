//! `spandrel hist`: how the durations of a name are distributed, on a logarithmic scale.
//!
//! Of a whole run from the rollups, whatever the number of spans, and of a window of an optimized
//! profile from its sums; of a filter by a scan.

use anstyle::{AnsiColor, Style};
use spandrel_query::{Bar, By, CountedBy, Mode, bars, modes};
use spandrel_storage::Histogram;

use super::prelude::*;
use super::{by, distributions, name_hints};

/// Rows of bars, gaps included.
const ROWS: usize = 16;
/// Columns that stand beside the bars, without the percentiles.
const BESIDE: usize = 34;

const BAR: Style = AnsiColor::Cyan.on_default();
const MARK: Style = AnsiColor::Yellow.on_default().bold();
const FAINT: Style = Style::new().dimmed();

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel hist                            all names, a line each\n  \
    spandrel hist http.request\n  \
    spandrel hist http.request --by field.shard\n  \
    spandrel hist http.request -w field.shard=7 --rows 30\n  \
    spandrel hist http.request -f csv")]
pub(crate) struct Arguments {
    /// Name of the spans [default: list the names]
    #[arg(add = ArgValueCompleter::new(candidates::names))]
    name: Option<String>,
    /// One line for each name, target, level, callsite, thread or field.NAME
    #[arg(long, value_name = "WHAT", value_parser = by::parse,
        add = ArgValueCompleter::new(candidates::by))]
    by: Option<By>,
    /// Maximum number of bars
    #[arg(long, value_name = "ROWS", default_value_t = ROWS)]
    rows: usize,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let (Some(name), None) = (arguments.name.as_deref(), &arguments.by) else {
        return lines(&profile, arguments, context);
    };
    let durations = durations(&profile, name)?;
    if durations.counted == Some(CountedBy::Both) {
        // Lifetimes and entries have a line each: a distribution of both together would mean nothing.
        return lines(&profile, arguments, context);
    }
    let histogram = &durations.histogram;
    let (bars, modes) = (bars(histogram, arguments.rows), modes(histogram));
    let mut view = View::new("hist", Some(profile.header()?), table(&bars));
    view.extra.insert("name".into(), json!(name));
    view.extra.insert("calls".into(), json!(histogram.count()));
    view.extra.insert("summed_only".into(), json!(durations.summed_only));
    view.extra.insert("by".into(), json!(durations.counted.map(CountedBy::as_str)));
    for (label, q) in QUANTILES {
        view.extra.insert(format!("{label}_ns"), json!(durations.percentile(q)));
    }
    let groups = modes
        .iter()
        .map(|mode| json!({ "from_ns": mode.from_ns, "to_ns": mode.to_ns, "count": mode.count }));
    view.extra.insert("groups".into(), groups.collect());
    if histogram.is_empty() {
        view.notes.extend(name_hints::unknown(&profile, name)?);
    } else {
        view.drawing = Some(draw(&durations, &bars, context.output.width()));
        view.is_chart = true;
        view.verbose_is_table = true;
        if durations.counted == Some(CountedBy::Entries) {
            view.notes.push(text::LONG_MEANS.to_owned());
        }
        view.notes.extend(durations.note(name));
        view.notes.extend(groups_in_words(name, &modes));
        view.notes.extend(name_hints::ambiguous_names(&profile, name)?);
    }
    if !profile.is_in_rollups() {
        view.notes.extend(profile.passed_over_everything()?);
    }
    context.output.show(view, 0)
}

/// A line for each name, or for each value.
fn lines(profile: &Profile, arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let (name, by) = (arguments.name.as_deref(), arguments.by.clone().unwrap_or_default());
    let mut view = distributions::view("hist", profile, name, &by, arguments.rows)?;
    match name {
        Some(name) if view.table.total == 0 => {
            view.notes.extend(name_hints::unknown(profile, name)?)
        }
        None if by == By::Name => view.notes.extend(name_hints::choose(&view.table, "hist")),
        _ => {}
    }
    context.output.show(view, distributions::ROWS)
}

#[derive(Debug, Default)]
pub(super) struct Durations {
    histogram: Histogram,
    max_ns: i64,
    /// Calls beside them that are known by their sum only.
    summed_only: u64,
    /// Whether they are lifetimes or entries; `None`: there are none.
    counted: Option<CountedBy>,
}

impl Durations {
    /// As `top` says it: never more than the largest.
    pub(super) fn percentile(&self, q: f64) -> Option<u64> {
        self.histogram.percentile_up_to(q, self.max_ns)
    }

    pub(super) fn count(&self) -> u64 {
        self.histogram.count()
    }

    #[cfg(test)]
    pub(super) fn record(&mut self, ns: i64) {
        self.histogram.record(ns.max(0) as u64);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn merge(&mut self, histogram: &Histogram, max_ns: i64) {
        self.histogram.merge(histogram);
        self.max_ns = self.max_ns.max(max_ns);
    }

    /// What to tell of calls that are not among them.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        by::summed_only(name, self.summed_only, self.count().saturating_add(self.summed_only))
    }

    /// The same where calls are compared with each other.
    pub(super) fn left_out(&self, name: &str) -> Option<String> {
        by::left_out(Some(name), self.summed_only)
    }

    fn counts_by(&mut self, counted: CountedBy) {
        let before = *self.counted.get_or_insert(counted);
        if before != counted {
            self.counted = Some(CountedBy::Both);
        }
    }
}

/// The durations of a name, of what is asked about.
pub(super) fn durations(profile: &Profile, name: &str) -> Result<Durations, Failure> {
    if profile.is_in_rollups() { from_rollups(profile, name) } else { from_spans(profile, name) }
}

fn from_rollups(profile: &Profile, name: &str) -> Result<Durations, Failure> {
    let mut durations = Durations::default();
    for top in profile.reader.top_named(profile.run.id, name)? {
        if top.calls > 0 {
            durations.merge(&top.histogram, top.max_ns);
            durations.counts_by(top.counted);
            if top.counted == CountedBy::Entries {
                let summed = top.calls.saturating_sub(top.histogram.count());
                durations.summed_only = durations.summed_only.saturating_add(summed);
            }
        }
    }
    Ok(durations)
}

fn from_spans(profile: &Profile, name: &str) -> Result<Durations, Failure> {
    if profile.filter.is_empty() {
        let mut durations = Durations::default();
        let (groups, _) = profile.groups(&By::Callsite)?;
        let named = groups.groups().iter().filter(|group| group.callsite.name == name);
        let named = named.filter(|group| group.calls > 0);
        named.for_each(|group| {
            durations.merge(&group.histogram, group.max_ns);
            durations.counts_by(group.counted);
            durations.summed_only = durations.summed_only.saturating_add(group.summed_only());
        });
        return Ok(durations);
    }
    let found = profile.durations_named(name)?;
    let (max_ns, summed_only, counted) = (found.max_ns, found.summed_only, found.counted);
    Ok(Durations { histogram: found.histogram, max_ns, summed_only, counted })
}

fn ns(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn table(bars: &[Bar]) -> Table {
    let mut cumulative = 0_u64;
    table_of! {
        for bar in bars, {
            cumulative = cumulative.saturating_add(bar.count);
        }
        Column::right("from_ns", "from") => Cell::Ns(ns(bar.from_ns)),
        Column::right("to_ns", "to") => Cell::Ns(ns(bar.to_ns)),
        Column::right("count", "count") => Cell::Count(bar.count),
        Column::right("cumulative", "cumulative") => Cell::Count(cumulative),
    }
}

fn draw(durations: &Durations, bars: &[Bar], columns: usize) -> String {
    let histogram = &durations.histogram;
    let highest = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let all = histogram.count();
    let marks: Vec<(&str, u64)> = QUANTILES
        .iter()
        .filter_map(|(label, q)| Some((*label, durations.percentile(*q)?)))
        .collect();
    let beside = bars.iter().map(|bar| marks_in(bar, &marks).chars().count()).max().unwrap_or(0);
    let width = columns.saturating_sub(BESIDE + beside).clamp(12, 60);
    let scale = text::count(highest);
    let mut page = format!(
        "{FAINT}{:>9}  0{scale:>w$}  {:>11}  {:>6}{FAINT:#}\n",
        "from",
        "count",
        "cum",
        w = width - 1
    );
    let mut below = 0_u64;
    for run in bars.chunk_by(|one, other| one.count == 0 && other.count == 0) {
        if let (Some(last), 2..) = (run.last(), run.len()) {
            let until = text::duration_in_words(ns(last.to_ns));
            page.push_str(&format!("{FAINT}{:9}  ⋮  (empty to {until}){FAINT:#}\n", ""));
            continue;
        }
        for bar in run {
            below = below.saturating_add(bar.count);
            let drawn = text::bar(bar.count as f64 / highest.max(1) as f64, width);
            let space = width.saturating_sub(drawn.chars().count());
            page.push_str(&format!(
                "{:>9}  {BAR}{drawn}{BAR:#}{:space$}  {:>11}  {:>6}{}\n",
                text::duration(ns(bar.from_ns)),
                "",
                text::count(bar.count),
                text::share(below as f64 / all as f64),
                styled(&marks_in(bar, &marks))
            ));
        }
    }
    page
}

/// The percentiles that lie in a bar.
fn marks_in(bar: &Bar, marks: &[(&str, u64)]) -> String {
    let inside = marks.iter().filter(|(_, at)| (bar.from_ns..bar.to_ns).contains(at));
    let texts: Vec<String> =
        inside.map(|(label, at)| format!("{label} {}", text::duration_in_words(ns(*at)))).collect();
    if texts.is_empty() { String::new() } else { format!("  ◄ {}", texts.join(", ")) }
}

fn styled(marks: &str) -> String {
    if marks.is_empty() { String::new() } else { format!("{MARK}{marks}{MARK:#}") }
}

/// `two groups: 94.8% under 5.66 ms, 5.2% over 22.6 ms`, and how to ask what makes the difference.
fn groups_in_words(name: &str, modes: &[Mode]) -> Option<String> {
    let [first, .., last] = modes else { return None };
    let all: u64 = modes.iter().map(|mode| mode.count).sum();
    let share = |mode: &Mode| text::share(mode.count as f64 / all as f64);
    let words = |at: u64| text::duration_in_words(ns(at));
    let mut parts = vec![format!("{} under {}", share(first), words(first.to_ns))];
    for mode in modes.get(1..modes.len() - 1).unwrap_or_default() {
        parts.push(format!(
            "{} from {} to {}",
            share(mode),
            words(mode.from_ns),
            words(mode.to_ns)
        ));
    }
    parts.push(format!("{} over {}", share(last), words(last.from_ns)));
    let number = ["two", "three", "four"].get(modes.len() - 2).copied().unwrap_or("several");
    let before = modes.get(modes.len() - 2)?;
    let from = text::duration_argument(round_between(before.to_ns, last.from_ns));
    let name = text::shell(&text::clean(name));
    Some(format!("{number} groups: {}. `spandrel explain {name} --sel {from}..`", parts.join(", ")))
}

/// The roundest number that separates two groups; where one begins as the other ends, three digits of it.
fn round_between(low: u64, high: u64) -> u64 {
    if low >= high {
        let digits = high.max(1).ilog10().saturating_sub(2);
        let step = 10_u64.saturating_pow(digits);
        return (high + step / 2) / step * step;
    }
    for step in (0..20).rev().map(|power| 10_u64.saturating_pow(power)) {
        for step in [step.saturating_mul(5), step.saturating_mul(2), step] {
            let round = high / step * step;
            if round >= low && round > 0 {
                return round;
            }
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spans: impl IntoIterator<Item = (u64, usize)>) -> Histogram {
        let mut histogram = Histogram::new();
        for (ns, count) in spans {
            (0..count).for_each(|_| histogram.record(ns));
        }
        histogram
    }

    #[test]
    fn two_groups_in_words() {
        let fast = (2_900_000..3_900_000).step_by(250).map(|ns| (ns, 1));
        let slow = (23_000_000..50_000_000).step_by(130_000).map(|ns| (ns, 1));
        let modes = modes(&of(fast.chain(slow)));
        let words = groups_in_words("http.request", &modes).unwrap();
        assert!(words.starts_with("two groups: 95.1% under 3.9"), "{words}");
        assert!(words.ends_with("`spandrel explain http.request --sel 20ms..`"), "{words}");
        assert_eq!(groups_in_words("x", &modes[..1]), None);
    }

    #[test]
    fn a_round_number_lies_between() {
        for (low, high, round) in [
            (5_700_000, 22_600_000, 20_000_000),
            (990, 1_010, 1_000),
            (7, 7, 7),
            (0, 9, 5),
            (1_234_567, 1_234_569, 1_234_568),
        ] {
            assert_eq!(round_between(low, high), round);
        }
    }

    #[test]
    fn gaps_are_folded_and_percentiles_are_marked() {
        let histogram = of([(2_000_000, 940), (30_000_000, 60)]);
        let page = draw(
            &Durations { histogram, max_ns: 30_000_000, ..Durations::default() },
            &bars(&of([(2_000_000, 940), (30_000_000, 60)]), 16),
            20,
        );
        let page = anstream::adapter::strip_str(&page).to_string();
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines.len(), 4, "{page}");
        assert!(lines[1].contains("94.0%") && lines[1].contains("◄ p50 2.0"), "{page}");
        assert!(lines[2].contains("⋮  (empty to "), "{page}");
        assert!(lines[3].contains("100.0%") && lines[3].contains("◄ p95"), "{page}");
    }
}
