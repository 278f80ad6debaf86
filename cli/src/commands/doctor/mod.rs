//! `spandrel doctor`: what is wrong with a recording, the figure that shows it, and what to do.

mod advice;
mod ends;
mod facts;
mod long_lived;
mod misleading;
mod rows;

use serde_json::Value;

use self::advice::{Finding, Severity};
pub(super) use self::ends::in_other_profiles;
use self::facts::Facts;
pub(super) use self::facts::caution;
use super::prelude::*;
use crate::recorder::State;
use spandrel_query::OrderRows as _;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Findings are problems (data are missing), warnings (they soon may be, or \
figures mislead) and\nhints. With --strict the exit code is 1 if there is a problem; else it is 5 if the profile is \
incomplete."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::RUN | group::PAGE | group::STRICT }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let facts = Facts::collect(&profile)?.with_left_rings(&profile)?;
    let mut findings = advice::all(&facts);
    findings.extend(rows::findings(&profile)?);
    findings.extend(long_lived::by_lifetime(&profile)?);
    findings.order_by_key(|finding| finding.severity);
    let table = table_of! {
        for finding in &findings, {}
        Column::left("severity", "severity") => finding.severity.as_str().into(),
        Column::left("topic", "topic") => finding.topic.into(),
        Column::left("evidence", "what was found") => finding.evidence.as_str().into(),
        Column::left("advice", "the way out") => finding.advice.as_str().into(),
    };
    let has_problem = findings.iter().any(|finding| finding.severity == Severity::Problem);
    let mut header = profile.header()?;
    header.is_of_doctor = true;
    header.state = Some(State::with(&profile.run, &facts.left));
    let mut view = View::new("doctor", Some(header), table);
    view.drawing = Some(drawing(&findings));
    let exit = context.output.show(view, 0)?;
    Ok(if context.output.strict && has_problem { Exit::CheckFailed } else { exit })
}

/// What makes figures misleading; `top` and `info` say it, too.
pub(super) struct Misleading {
    /// A line each.
    pub(super) lines: Vec<String>,
    /// The name whose self time is waiting, for programs.
    pub(super) waiting: Value,
}

/// All that misleads.
pub(super) fn in_short(profile: &Profile) -> Result<Misleading, Failure> {
    let facts = Facts::collect(profile)?;
    let findings = advice::all(&facts).into_iter().filter(|finding| match finding.topic {
        "nested" | "kept open" | "waiting" | "lag" | "fields" => true,
        "size" => finding.severity != Severity::Hint,
        // If the recording is over, it has left that behind, and no figure is wrong.
        "log" => !facts.ended && !facts.recorder_gone,
        _ => false,
    });
    let line = |finding: Finding| match finding.topic {
        "waiting" => in_one_line(&finding),
        topic => format!("! {topic}: {}: try `spandrel doctor`", text::clean(&finding.evidence)),
    };
    let lines = findings.map(line).collect();
    Ok(Misleading { lines, waiting: long_lived::json(facts.waiting.as_ref()) })
}

/// A name whose self time is waiting.
pub(super) fn waiting(profile: &Profile) -> Result<Misleading, Failure> {
    let found = profile.reader.mostly_waiting(profile.run.id)?;
    let finding = found.as_ref().map(|found| long_lived::told_of(found, profile));
    let lines = finding.iter().map(in_one_line).collect();
    Ok(Misleading { lines, waiting: long_lived::json(found.as_ref()) })
}

/// With what to do about it.
fn in_one_line(finding: &Finding) -> String {
    let Finding { topic, evidence, advice, .. } = finding;
    format!("! {topic}: {}: {}", text::clean(evidence), text::clean(advice))
}

/// Each finding, and below it what to do.
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
