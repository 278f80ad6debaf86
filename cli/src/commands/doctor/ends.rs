//! How runs and spans ended, and what of a run is not in the profile: in a ring file, or in another profile.

use spandrel_query::Elsewhere;

use super::advice::{Finding, Severity};
use super::facts::Facts;
use crate::output::text;

/// How runs and spans ended, and what of them is not here.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for left in &facts.left {
        let severity = if left.is_missing { Severity::Problem } else { Severity::Warning };
        findings.push(severity.finding("ring file", left.what.clone(), left.way_out.clone()));
    }
    for left in &facts.left_others {
        findings.push(Severity::Warning.finding(
            "ring file",
            left.what.clone(),
            left.way_out.clone(),
        ));
    }
    if let Some(elsewhere) = &facts.elsewhere {
        findings.push(Severity::Warning.finding(
            "split",
            in_other_profiles(elsewhere),
            "the file was renamed while it was recorded into, or another collector has gone on with the run: figures \
             are of the part that is here, so look at the other profile, too",
        ));
    }
    if facts.crashed {
        findings.push(Severity::Warning.finding(
            "end",
            format!(
                "the process died; {} open then",
                text::counted_with(facts.unfinished, "span", text::WAS)
            ),
            "all that was recorded up to then was recovered; what was open says what it was doing: \
             `spandrel sql --recipe unfinished`",
        ));
    } else if !facts.ended && facts.recorder_gone && !facts.is_run_left() {
        findings.push(without_end(facts));
    }
    // The reason of a loss is reported with the loss.
    let refused = facts.was_refused_to_the_end();
    if let Some(error) = facts.last_error.as_ref().filter(|_| !refused) {
        findings.push(Severity::Warning.finding(
            "error",
            format!("the recorder says: {error}"),
            "what it means is explained under \"Messages and what to do\" in the book",
        ));
    }
    if facts.report_timed_out {
        findings.push(Severity::Problem.finding("end",
            "close() ran out of time".into(),
            if refused {
                "the database refused to the end, for the reason above: mend that; how long close() \
                 waits for it is set by .close_timeout(duration)"
            } else {
                "give it more: .close_timeout(duration)"
            },
        ));
    }
    if facts.earlier_killed > 0 {
        findings.push(Severity::Hint.finding(
            "runs",
            format!(
                "{} no end",
                text::counted_with(facts.earlier_killed as u64, "earlier run", text::HAS)
            ),
            "killed, or ended without close(); `spandrel runs` lists all",
        ));
    }
    if facts.unfinished > 0 && !facts.crashed {
        findings.push(Severity::Warning.finding("unfinished",
            format!(
                "{} open when the run ended",
                text::counted_with(facts.unfinished, "span", text::WAS)
            ),
            "what is unfinished counts in no percentile; close the profiler after the work has ended, or see which: \
             `spandrel sql --recipe unfinished`",
        ));
    }
    if facts.cut > 0 {
        let room = facts.setting("max_field_bytes").map_or(16_384, |now| (now * 4).min(32_768));
        findings.push(Severity::Hint.finding(
            "fields",
            format!(
                "{} {} fields that were cut or left out",
                text::counted(facts.cut, "span or event")
                    .replace("span or events", "spans and events"),
                text::agree(facts.cut, "has", "have")
            ),
            format!(
                "they are named under $truncated in the column fields; for more room: \
                 SPANDREL_MAX_FIELD_BYTES={room}"
            ),
        ));
    }
    if facts.log_unplaced > 0 {
        findings.push(Severity::Hint.finding("log records",
            format!(
                "{} of the crate `log` {} no target, file and line of {} own",
                text::counted(facts.log_unplaced, "record"),
                text::agree(facts.log_unplaced, "has", "have"),
                text::agree(facts.log_unplaced, "its", "their")
            ),
            "the program makes up more targets than are remembered (4,096), or long ones; their target is `log`, \
             and the fields `log.*` say where they come from",
        ));
    }
    findings
}

/// The run has no end, its process is gone, and nothing of it waits anywhere.
fn without_end(facts: &Facts) -> Finding {
    let is_crash_proof = facts.settings.get("crash_proof") == Some(&true.into());
    let (what, way_out) = match is_crash_proof {
        true => (
            "the run has no end, its process is gone, and so is its ring file",
            "the ring file was in memory: somebody has removed it, or the machine was started anew; what was committed \
             is here, at most the last half second is not",
        ),
        false => (
            "the run has no end, and its process is gone",
            "the program was killed, or ended without close(): what was committed is here, at most \
             the last half second is not; call close(), or hold the profiler until main returns",
        ),
    };
    Severity::Problem.finding("end", what.into(), way_out)
}

/// What of a run is in other profiles, in words.
pub(in crate::commands) fn in_other_profiles(elsewhere: &Elsewhere) -> String {
    let Elsewhere { spans, events, goes_on, .. } = *elsewhere;
    let earlier = match (spans, events) {
        (0, 0) => "a part of the run is in another profile".to_owned(),
        (0, events) => {
            format!(
                "{} of the run {} in another profile",
                text::counted(events, "event"),
                text::agree(events, "is", "are")
            )
        }
        (spans, _) => {
            format!(
                "{} of the run {} in another profile",
                text::counted(spans, "span"),
                text::agree(spans, "is", "are")
            )
        }
    };
    match (goes_on, spans + events) {
        (false, _) => earlier,
        (true, 0) => "the run goes on in another file, which has what came later".to_owned(),
        (true, _) => {
            format!("{earlier}, and it goes on in another file, which has what came later")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rings::Left;

    fn found(facts: &Facts) -> Vec<(&'static str, Severity)> {
        all(facts).iter().map(|finding| (finding.topic, finding.severity)).collect()
    }

    #[test]
    fn a_run_whose_ring_waits_has_not_just_lost_its_end() {
        let left = |run: &str, is_missing| Left {
            run: run.into(),
            what: "12 spans wait".into(),
            way_out: "`spandrel recover`".into(),
            is_missing,
            ..Left::default()
        };
        let facts =
            |left| Facts { uuid: "1".into(), left, recorder_gone: true, ..Facts::default() };
        let (ring, end) = (("ring file", Severity::Problem), ("end", Severity::Problem));
        assert_eq!(found(&facts(vec![left("1", true)])), [ring]);
        assert_eq!(found(&facts(vec![left("", true)])), [ring], "of several runs");
        assert_eq!(found(&facts(vec![left("2", true)])), [ring, end]);
        let lives = ("ring file", Severity::Warning);
        assert_eq!(found(&facts(vec![left("1", false)])), [lives]);
        assert_eq!(found(&facts(Vec::new())), [end]);
    }

    #[test]
    fn a_ring_file_that_is_gone_is_not_a_close_that_was_forgotten() {
        let settings = serde_json::json!({ "crash_proof": true });
        let facts = Facts { settings, recorder_gone: true, ..Facts::default() };
        let [finding] = &*all(&facts) else { panic!("one finding") };
        assert!(finding.evidence.contains("so is its ring file"), "{finding:?}");
        assert!(!finding.advice.contains("close()"), "{finding:?}");
    }

    #[test]
    fn a_part_is_said_to_be_one() {
        let part = |spans, events, goes_on| {
            let mut part = Elsewhere::default();
            (part.spans, part.events, part.goes_on) = (spans, events, goes_on);
            in_other_profiles(&part)
        };
        assert_eq!(part(4_711, 3, false), "4,711 spans of the run are in another profile");
        assert_eq!(part(0, 1, false), "1 event of the run is in another profile");
        assert!(part(0, 0, true).starts_with("the run goes on in another file"));
        assert!(part(2, 0, true).contains("2 spans") && part(2, 0, true).contains("goes on"));
        let mut elsewhere = Elsewhere::default();
        elsewhere.spans = 1;
        let facts = Facts { ended: true, elsewhere: Some(elsewhere), ..Facts::default() };
        assert_eq!(found(&facts), [("split", Severity::Warning)]);
    }
}
