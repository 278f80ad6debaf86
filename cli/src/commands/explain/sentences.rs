//! Findings as sentences, for a report.

use spandrel_query::explain::{Finding, Kind, Value};

use super::{Against, FEW, explain, hist, selection, value_text};
use crate::commands::prelude::*;

/// Smaller differences are not worth a sentence.
const DIFFERENCE_MIN: f64 = 0.1;
/// Most sentences about a name.
const SENTENCES: usize = 2;

/// What the slowest 5 % of the spans of a name have that the others have not; nothing where there are too
/// few of them to tell, or nothing sets them apart.
///
/// # Errors
///
/// When the profile cannot be read.
pub(in crate::commands) fn sentences(
    profile: &Profile,
    name: &str,
) -> Result<Vec<String>, Failure> {
    let wanted = selection::parse("p95..")?;
    let durations = hist::durations(profile, name)?;
    if durations.count() < FEW {
        return Ok(Vec::new());
    }
    let mut selection = wanted.of(&durations);
    let (explanation, _) =
        explain(profile, name, Against::Rest, &mut selection, wanted.subjects())?;
    if explanation.selected < FEW || explanation.rest < FEW {
        return Ok(Vec::new());
    }
    let stands_out = |finding: &&Finding| finding.difference() >= DIFFERENCE_MIN;
    let findings = explanation.findings.iter().filter(stands_out).take(SENTENCES);
    let bound = wanted.in_words(&selection);
    Ok(findings.map(|finding| sentence(name, &bound, finding)).collect())
}

fn sentence(name: &str, bound: &str, finding: &Finding) -> String {
    let (slow, rest) = (text::share(finding.selected), text::share(finding.other));
    let (name, field, value) = (text::clean(name), text::clean(&finding.name), value_text(finding));
    let share_of = match (finding.kind, &finding.value) {
        (Kind::Child, _) if !finding.name.ends_with(" time") => {
            format!("time in {field} is {slow} of the duration")
        }
        (Kind::Own | Kind::Child, _) => format!("{field} is {slow} of the duration"),
        (Kind::Start, _) => format!("{slow} started in {value}"),
        (_, Value::Absent) => format!("{slow} have no {field}"),
        (_, Value::AtLeast(_) | Value::Below(_)) => format!("{slow} have {field} {value}"),
        _ => format!("{slow} have {field} = {value}"),
    };
    format!("{name}, the slowest ({bound}): {share_of}, and {rest} of the others")
}
