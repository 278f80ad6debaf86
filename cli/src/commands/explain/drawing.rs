//! Findings as lines with bars.

use anstyle::{AnsiColor, Style};
use spandrel_query::Explanation;
use spandrel_query::explain::{Finding, Kind};
use unicode_width::UnicodeWidthStr;

use super::value_text;
use crate::output::text;

const HEADING: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const MORE: Style = AnsiColor::Yellow.on_default();
const LESS: Style = AnsiColor::Blue.on_default();

/// Columns of the longest field, value and bar.
const FIELD_MAX: usize = 24;
const VALUE_MAX: usize = 40;
const BAR: usize = 12;
/// Columns that the rest of a line takes.
const BESIDE: usize = 58;

pub(super) fn draw(title: &str, explanation: &Explanation, shown: usize, columns: usize) -> String {
    let mut page = format!("{HEADING}{title}{HEADING:#}\n");
    let findings = explanation.findings.get(..shown).unwrap_or(&explanation.findings);
    if findings.is_empty() {
        return page;
    }
    let value_max = columns.saturating_sub(BESIDE + FIELD_MAX / 2).clamp(10, VALUE_MAX);
    let rows: Vec<(String, String, &Finding)> = findings
        .iter()
        .map(|f| {
            (text::cut(&text::clean(&f.name), FIELD_MAX), text::cut(&value_text(f), value_max), f)
        })
        .collect();
    let widest = |of: fn(&(String, String, &Finding)) -> usize, least: usize| {
        rows.iter().map(of).max().unwrap_or(0).max(least)
    };
    let field = widest(|row| row.0.width(), 5);
    let value = widest(|row| row.1.width(), 5);
    page.push_str(&format!(
        "{FAINT}  {:field$}  {:value$}  {:>8}  {:>8}  {:>10}{FAINT:#}\n",
        "field", "value", "selected", "other", "difference"
    ));
    for (name, what, finding) in rows {
        page.push_str(&line(&name, field, &what, value, finding));
    }
    page
}

fn line(name: &str, field: usize, what: &str, value: usize, finding: &Finding) -> String {
    let difference = finding.difference();
    let style = if difference > 0.0 { MORE } else { LESS };
    let bar = text::bar(difference.abs(), BAR);
    let space = |text: &str, columns: usize| " ".repeat(columns.saturating_sub(text.width()));
    let unit = match finding.kind {
        Kind::Own | Kind::Child => "  (share of duration)",
        _ => "",
    };
    let padding = if unit.is_empty() { String::new() } else { space(&bar, BAR) };
    format!(
        "  {name}{}  {what}{}  {:>8}  {:>8}  {:>+10.1}  {style}{bar}{style:#}{padding}\
         {FAINT}{unit}{FAINT:#}\n",
        space(name, field),
        space(what, value),
        text::share(finding.selected),
        text::share(finding.other),
        difference * 100.0,
    )
}
