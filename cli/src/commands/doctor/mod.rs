//! `spandrel doctor`: what is wrong with a recording, the figure that shows it, and the way out.

mod advice;
mod facts;
mod misleading;
mod rows;

use clap::Args;

use self::advice::{Finding, Severity};
use self::facts::Facts;
pub(super) use self::facts::caution;
use crate::arguments::{Context, Shared, group};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Column, Sheet, View, text};
use crate::profile::Profile;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Findings are problems (data are missing), warnings (they soon may be, or \
figures mislead) and\nhints. With --strict the exit code is 1 if there is a problem."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::RUN | group::PAGE | group::STRICT }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let facts = Facts::collect(&profile)?;
    let mut findings = advice::all(&facts);
    findings.extend(rows::findings(&profile)?);
    findings.sort_by_key(|finding| finding.severity);
    let mut sheet = Sheet::new(vec![
        Column::left("severity", "severity"),
        Column::left("topic", "topic"),
        Column::left("evidence", "what was found"),
        Column::left("advice", "the way out"),
    ]);
    for finding in &findings {
        let texts = [finding.severity.as_str(), finding.topic, &finding.evidence, &finding.advice];
        sheet.push(texts.map(|text| Cell::Text(text.into())).to_vec());
    }
    let has_problem = findings.iter().any(|finding| finding.severity == Severity::Problem);
    let mut view = View::new("doctor", Some(profile.header()?), sheet);
    view.drawing = Some(drawing(&findings));
    let exit = context.output.show(view, 0)?;
    Ok(if context.output.strict && has_problem { Exit::CheckFailed } else { exit })
}

/// What misleads whoever reads figures, a line each: of that, `top` speaks without being asked.
pub(super) fn in_short(profile: &Profile) -> Result<Vec<String>, Failure> {
    let facts = Facts::collect(profile)?;
    let findings = advice::all(&facts).into_iter().filter(|finding| match finding.topic {
        "nested" | "kept open" | "lag" | "fields" => true,
        "size" => finding.severity != Severity::Hint,
        // One that is over has left it behind, which makes no figure wrong.
        "log" => !facts.ended && !facts.recorder_gone,
        _ => false,
    });
    let line = |finding: Finding| {
        format!("! {}: {}: try `spandrel doctor`", finding.topic, text::clean(&finding.evidence))
    };
    Ok(findings.map(line).collect())
}

/// Each finding with its way out beneath.
fn drawing(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "✓ no problems found\n".into();
    }
    let mut drawing = String::new();
    for Finding { severity, topic, evidence, advice } in findings {
        let mark = match severity {
            Severity::Problem => "✗",
            Severity::Warning => "!",
            Severity::Hint => "·",
        };
        let (evidence, advice) = (text::clean(evidence), text::clean(advice));
        drawing.push_str(&format!("{mark} {topic}: {evidence}\n    {advice}\n"));
    }
    drawing
}
