//! Rows that contradict the row of the run: nothing was counted as lost, but something is missing.

use super::advice::{Finding, Severity};
use crate::commands::prelude::*;

/// A finding for each contradiction.
pub(super) fn findings(profile: &Profile) -> Result<Vec<Finding>, Failure> {
    let found = profile.reader.contradictions(profile.run.id)?;
    let number = |number: i64| {
        let sign = if number < 0 { "-" } else { "" };
        format!("{sign}{}", text::count(number.unsigned_abs()))
    };
    let findings = found.into_iter().map(|one| Finding {
        severity: Severity::Problem,
        topic: "rows",
        evidence: match one.expected {
            0 => format!("{}: {}", one.what, number(one.found)),
            expected => format!(
                "{}: the run says {}, the file has {}",
                one.what,
                number(expected),
                number(one.found)
            ),
        },
        advice:
            "somebody has changed the file, or it was damaged: figures of this run are not to be \
                 trusted; take a copy that nobody has touched, or record anew"
                .into(),
    });
    Ok(findings.collect())
}
