//! `spandrel check`: fails when a span got slower, or a limit is passed. For a build server.

mod count;
mod judge;
mod longest;
mod reports;
mod rules;
mod wildcard;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use spandrel_query::By;
use spandrel_query::compare::{Bootstrap, Comparison, SpanName};

use self::judge::{Judge, Outcome, Verdict, count};
use self::longest::Longest;
use self::rules::Rules;
use super::prelude::*;
use super::sides::Side;
use crate::output::Format;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

#[derive(Debug, Args)]
#[command(after_long_help = "Rules are a TOML file:\n\n  \
    [defaults]\n  percent = 5\n  absolute = \"20us\"\n  samples = 200\n\n  \
    [[rule]]                      # a limit\n  span = \"http.request\"\n  metric = \"p99\"\n  \
    max = \"60ms\"\n\n  \
    [[rule]]                      # a change against the baseline\n  span = \"db.*\"\n  \
    metric = [\"p50\", \"p95\"]\n  percent = 10\n  absolute = \"0.1ms\"\n\n  \
    [[rule]]\n  metric = \"dropped\"\n  max = 0\n\n\
Metrics: p50 p95 p99 mean busy max longest calls error_rate, and of the run dropped, unfinished\nand spans. longest is the longest entry on threads that run futures: see `spandrel stalls`.\n\
busy is the mean time that threads were inside of a span, whatever it waited. A change fails only if it passes the percent and the absolute limit, all of its interval lies beyond\n\
the percent, and both sides have the samples. calls, max and error_rate are exact and are judged of\n\
any number of spans; calls of each run by itself. Spans that live long count by their entries (⟳): by = \"entries\" or by =\n\
\"lifetime\" is for names that have both kinds; error_rate is of spans. Without --rules: no name gets 5% and 20 us slower\n\
at p50, p95 or p99, and nothing is dropped.\n\n\
It also fails when it could not have failed otherwise: what is checked, or the baseline, has no span;\n\
a rule of the file is about a span that is not there (of which calls is 0); or no rule about spans\n\
could be judged.\n\n\
A run differs from the next one, whatever changed. Record several on each side, best five: the\n\
runs of the baseline are then FILE:*, those to check --run '*', and how much runs differ is\n\
measured. Where a side has but one, they are taken to differ by between_runs percent (default: 5),\n\
so that a change of one span by less than some 20% is not told from noise.")]
pub(crate) struct Arguments {
    /// What to compare with: FILE, FILE:RUNS or RUNS (several separated by commas, '*' = all)
    #[arg(long, value_name = "BASELINE")]
    baseline: Option<String>,
    /// Rules to apply, a TOML file
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::PAGE | group::STRICT }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let wanted = &context.wanted;
    let rules = match &arguments.rules {
        Some(path) => Rules::read(path)?,
        None => Rules::default(arguments.baseline.is_some())?,
    };
    let how = Bootstrap::default().confidence(rules.confidence).between_runs(rules.between_runs);
    let side = Side::parse(wanted.run.as_deref().unwrap_or("latest"), wanted)?;
    let samples = side.samples(wanted, &By::Name)?;
    let longest = Longest::of(&side, &rules, context)?;
    let baseline = match &arguments.baseline {
        Some(baseline) => {
            let baseline = Side::parse(baseline, wanted)?;
            Some((baseline.samples(wanted, &By::Name)?, baseline))
        }
        None => None,
    };
    let is_named = |name: &SpanName| rules.rules.iter().any(|rule| rule.names(name));
    let before = baseline.as_ref().map(|(before, _)| before);
    let comparison = before.map(|before| Comparison::first(before, &samples, &how, is_named));
    let judge = Judge {
        side: &side,
        samples: &samples,
        baseline: comparison.as_ref(),
        before,
        longest: &longest,
        how,
    };
    let verdicts = judge.judge(&rules);
    let title = match &baseline {
        Some((_, baseline)) => format!("{} against {}", side.title(), baseline.title()),
        None => side.title(),
    };
    let is_complete =
        side.is_complete() && baseline.as_ref().is_none_or(|(_, side)| side.is_complete());
    let dropped = baseline.as_ref().map_or(0, |(_, baseline)| baseline.dropped());
    let dropped = side.dropped().saturating_add(dropped);
    let warnings: Vec<String> = match &baseline {
        Some((_, baseline)) => baseline.compared_with_itself(&side).into_iter().collect(),
        None => vec!["! no baseline: nothing is compared; give --baseline".to_owned()],
    };
    let sides = [
        ("checked".to_owned(), side.members(&samples)),
        ("baseline".to_owned(), baseline.as_ref().map_or(Value::Null, |(set, b)| b.members(set))),
        ("complete".to_owned(), json!(is_complete)),
        ("dropped".to_owned(), json!(dropped)),
        ("warnings".to_owned(), json!(warnings)),
    ];
    let mut notes = Vec::new();
    for side in std::iter::once(&side).chain(baseline.as_ref().map(|(_, side)| side)) {
        notes.extend(side.passed_over_everything(wanted)?);
        notes.extend(side.unmeasured(wanted)?);
    }
    let exit = show(context, &title, &verdicts, sides, warnings, notes)?;
    let failed = verdicts.iter().any(|verdict| verdict.outcome == Outcome::Failed);
    Ok(match exit {
        Exit::Ok if failed => Exit::CheckFailed,
        Exit::Ok if context.output.strict && !is_complete => Exit::Incomplete,
        exit => exit,
    })
}

fn show(
    context: &Context,
    title: &str,
    verdicts: &[Verdict],
    sides: [(String, Value); 5],
    warnings: Vec<String>,
    notes: Vec<String>,
) -> Result<Exit, Failure> {
    let format = context.output.format();
    if !format.is_human_readable() && !matches!(format, Format::Github | Format::Json) {
        warnings.iter().for_each(|warning| context.output.say(warning));
    }
    match format {
        Format::Github => {
            context.output.write(reports::github(verdicts, &warnings).as_bytes())?;
        }
        Format::Junit => context.output.write(reports::junit(title, verdicts)?.as_bytes())?,
        _ => {
            let mut view = View::new("check", None, table(verdicts));
            view.drawing = Some(drawing(title, verdicts));
            view.extra.extend(sides);
            let has_entries = verdicts.iter().any(Verdict::has_entries);
            let legend = has_entries.then(|| vec![text::LONG_MEANS.to_owned()]);
            view.notes = [legend.unwrap_or_default(), warnings, notes].concat();
            view.extra.extend([
                ("failed".to_owned(), json!(count(verdicts, Outcome::Failed))),
                ("passed".to_owned(), json!(count(verdicts, Outcome::Passed))),
                ("not_judged".to_owned(), json!(count(verdicts, Outcome::NotJudged))),
            ]);
            return context.output.show(view, 0);
        }
    }
    Ok(Exit::Ok)
}

fn table(verdicts: &[Verdict]) -> Table {
    table_of! {
        for verdict in verdicts, {
            let samples = Some(verdict.samples).filter(|samples| *samples != u64::MAX);
            let (low, high) = verdict.interval.unzip();
            // An interval is one of the value, or of its change.
            let is_change = verdict.baseline.is_some();
            let (change_low, change_high) = if is_change { (low, high) } else { (None, None) };
            let (low, high) = if is_change { (None, None) } else { (low, high) };
            let is_time = verdict.quantity.is_time();
            let ns = |value: Option<f64>| Cell::from(value.filter(|_| is_time).map(|ns| ns.round() as i64));
            let plain = |value: Option<f64>| number(value.filter(|_| !is_time));
        }
        Column::left("outcome", "outcome") =>
            Cell::Shown(verdict.outcome.in_words(), verdict.outcome.as_str().into()),
        Column::left("span", "span") => verdict.span.as_str().into(),
        Column::left("target", "target") => verdict.target.clone().into(),
        Column::left("by", "by") => verdict.by.map_or(Cell::Null, |by| by.as_str().into()),
        Column::left("metric", "metric") => verdict.quantity.as_str().into(),
        Column::left("limit", "limit") => verdict.limit.as_str().into(),
        Column::left("said", "measured") => verdict.said.as_str().into(),
        Column::right("value_ns", "value_ns") => ns(verdict.value),
        Column::right("baseline_ns", "baseline_ns") => ns(verdict.baseline),
        Column::right("low_ns", "low_ns") => ns(low),
        Column::right("high_ns", "high_ns") => ns(high),
        Column::right("value", "value") => plain(verdict.value),
        Column::right("baseline", "baseline") => plain(verdict.baseline),
        Column::right("low", "low") => plain(low),
        Column::right("high", "high") => plain(high),
        Column::right("change_low", "change_low") => number(change_low),
        Column::right("change_high", "change_high") => number(change_high),
        Column::right("samples", "samples") => samples.map_or(Cell::Null, Cell::Count),
    }
}

/// Whole numbers without a point.
fn number(value: Option<f64>) -> Cell {
    let Some(value) = value else { return Cell::Null };
    let is_whole = value.fract() == 0.0 && value.abs() < 9e15;
    Cell::Json(if is_whole { json!(value as i64) } else { json!(value) })
}

fn drawing(title: &str, verdicts: &[Verdict]) -> String {
    let width = |text: fn(&Verdict) -> String| {
        verdicts.iter().map(|verdict| text(verdict).chars().count()).max().unwrap_or(0)
    };
    let rule = |verdict: &Verdict| match verdict.span.is_empty() {
        true => verdict.quantity.as_str().to_owned(),
        false => format!("{}  {}", text::clean(&verdict.name()), verdict.quantity.as_str()),
    };
    let rules = width(rule);
    let limits = width(|verdict| verdict.limit.clone());
    let mut drawing = format!("check of {title}\n\n");
    for verdict in verdicts {
        let (style, mark) = match verdict.outcome {
            Outcome::Passed => (GOOD, '✓'),
            Outcome::Failed => (BAD, '✗'),
            Outcome::NotJudged => (FAINT, '–'),
        };
        drawing.push_str(&format!(
            " {style}{mark}{style:#} {:rules$}   {:limits$}   {}\n",
            rule(verdict),
            verdict.limit,
            text::clean(&verdict.said),
        ));
    }
    let counts = [Outcome::Failed, Outcome::Passed, Outcome::NotJudged];
    let counts = counts.map(|outcome| count(verdicts, outcome));
    let style = if counts[0] > 0 { BAD } else { GOOD };
    let [failed, passed, not_judged] = counts.map(text::count);
    drawing.push_str(&format!(
        "\n{style}{failed} failed{style:#}, {passed} passed, {not_judged} not judged\n"
    ));
    drawing
}
