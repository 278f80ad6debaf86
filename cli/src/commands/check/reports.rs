//! Verdicts as build servers read them.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::judge::{Outcome, Verdict, count};
use crate::failure::Failure;
use crate::output::text;

/// Annotations of GitHub Actions:
/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
pub(super) fn github(verdicts: &[Verdict], warnings: &[String]) -> String {
    let mut lines = String::new();
    for warning in warnings {
        let warning = escape(warning.trim_start_matches("! "), false);
        lines.push_str(&format!("::warning title=spandrel::{warning}\n"));
    }
    for verdict in verdicts {
        let kind = match verdict.outcome {
            Outcome::Failed => "error",
            Outcome::NotJudged => "notice",
            Outcome::Passed => continue,
        };
        let title = escape(&format!("spandrel: {}", rule(verdict)), true);
        let message = escape(&format!("{} (limit {})", verdict.said, verdict.limit), false);
        lines.push_str(&format!("::{kind} title={title}::{message}\n"));
    }
    let count = |outcome| count(verdicts, outcome);
    lines.push_str(&format!(
        "{} failed, {} passed, {} not judged\n",
        count(Outcome::Failed),
        count(Outcome::Passed),
        count(Outcome::NotJudged)
    ));
    lines
}

/// What the commands of GitHub take for their own is escaped.
fn escape(text: &str, is_property: bool) -> String {
    let text = text::clean(text).replace('%', "%25");
    if is_property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

fn rule(verdict: &Verdict) -> String {
    format!("{} {}", verdict.name(), verdict.quantity.as_str()).trim_start().to_owned()
}

/// A JUnit report: a test case for each verdict.
pub(super) fn junit(title: &str, verdicts: &[Verdict]) -> Result<String, Failure> {
    let mut suite = TestSuite::new("spandrel check");
    for verdict in verdicts {
        let said = text::for_xml(&format!("{} (limit {})", verdict.said, verdict.limit));
        let status = match verdict.outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Failed => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(&said);
                status
            }
            Outcome::NotJudged => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(&said);
                status
            }
        };
        let mut case = TestCase::new(text::for_xml(&rule(verdict)), status);
        case.set_classname("spandrel").set_system_out(&said);
        suite.add_test_case(case);
    }
    let mut report = Report::new(text::for_xml(title));
    report.add_test_suite(suite);
    report
        .to_string()
        .map_err(|error| Failure::cannot_read(format!("cannot write the report: {error}")))
}
