//! What makes figures misleading, and limits that leave nothing to look at.

use super::advice::{Finding, Severity};
use super::facts::Facts;
use crate::output::text;

/// A recursive span is hardly deeper than this.
const DEPTH_MIN: u64 = 32;
/// If this share of the spans was kept open after their work, it is no accident.
const KEPT_OPEN_MIN: u64 = 3;
/// If the writer is so far behind ...
const LAG_NS: i64 = 5_000_000_000;
/// ... it is this many times slower than its settings say.
const LAG_INTERVALS: i64 = 4;
/// Bytes of a row with a few fields, if there are no rows to measure.
const ROW_BYTES: u64 = 160;
/// A limit should be this many times as large as what retention cannot delete, and one batch.
const LIMIT_TIMES: u64 = 4;

pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let waiting = super::long_lived::waiting(facts);
    let findings = [nested(facts), kept_open(facts), waiting, lag(facts), small_limit(facts)];
    findings.into_iter().flatten().collect()
}

fn nested(facts: &Facts) -> Option<Finding> {
    let nested = facts.nested.as_ref().filter(|nested| nested.depth >= DEPTH_MIN)?;
    let name = &nested.name;
    Some(Severity::Warning.finding("nested",
        format!(
            "{name} is inside itself, {} deep (s{})",
            text::count(nested.depth),
            nested.span_id
        ),
        "if it does not call itself, its total counts the same time again and again: a guard of enter() is \
         held over an .await (use .instrument(span) or #[instrument]), or each one starts the next from \
         within (give that span `parent: None`, and follows_from)",
    ))
}

fn kept_open(facts: &Facts) -> Option<Finding> {
    let kept = facts.kept_open.as_ref().filter(|kept| kept.times >= KEPT_OPEN_MIN)?;
    Some(Severity::Warning.finding("kept open",
        format!(
            "{} waits for {}, which it has spawned: s{} was left at +{} and closed at +{}",
            kept.name,
            kept.child,
            kept.span_id,
            text::duration_in_words(kept.left_ns),
            text::duration_in_words(kept.closed_ns)
        ),
        "the layer's `Registry` keeps a span open until its children have closed, so its duration is not \
         that of its work: give the spawned span `parent: None` and follows_from, or record with \
         profiler.subscriber(), where a span ends with its last handle",
    ))
}

fn lag(facts: &Facts) -> Option<Finding> {
    let lag_ns = facts.lag_ns();
    let interval = facts.setting("flush_interval_ms").unwrap_or(0);
    let usual_ns = i64::try_from(interval).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    (lag_ns >= LAG_NS.max(usual_ns.saturating_mul(LAG_INTERVALS))).then(|| {
        Severity::Warning.finding("lag",
            format!("the writer was behind by {} and more", text::duration_in_words(lag_ns)),
            "spans came faster than they were stored: until it had caught up, live views showed what was \
             past, and a crash would have cost that much; record fewer spans (SPANDREL_SPANS, \
             SPANDREL_FILTER), or to a faster disk (SPANDREL_DB)",
        )
    })
}

fn rows(number: u64) -> String {
    let rows = text::agree(number, "span or event", "spans and events");
    format!("{} {rows}", text::count(number))
}

/// A limit that leaves hardly anything.
fn small_limit(facts: &Facts) -> Option<Finding> {
    if facts.pruned == 0 {
        return None;
    }
    let batch = facts.setting("batch_size").unwrap_or(0).max(1);
    let sensible = facts
        .file_bytes
        .saturating_sub(facts.free_bytes)
        .saturating_sub(facts.kept.saturating_mul(ROW_BYTES))
        .saturating_add(batch.saturating_mul(ROW_BYTES))
        .saturating_mul(LIMIT_TIMES)
        .div_ceil(1_000_000)
        .saturating_mul(1_000_000);
    let deleted = || match facts.kept {
        0 => format!("all {} were deleted again", rows(facts.pruned)),
        kept => format!(
            "only {} of {} are left",
            text::count(kept),
            rows(facts.pruned.saturating_add(kept))
        ),
    };
    let limit = facts.setting("max_bytes").filter(|limit| *limit > 0 && *limit < sensible);
    if let Some(limit) = limit.filter(|_| facts.kept < batch) {
        let severity = if facts.kept == 0 { Severity::Problem } else { Severity::Warning };
        return Some(severity.finding(
            "size",
            format!(
                "the limit of {} has room for the tables and hardly a batch: {}",
                text::bytes(limit),
                deleted()
            ),
            format!("the smallest that makes sense here: SPANDREL_MAX_BYTES={sensible}"),
        ));
    }
    let seconds = facts.setting("max_age_s").filter(|_| facts.kept == 0)?;
    Some(Severity::Hint.finding(
        "age",
        format!("{}: they were older than {}", deleted(), text::counted(seconds, "second")),
        "SPANDREL_MAX_AGE_S says how old they may be while the program runs",
    ))
}

#[cfg(test)]
mod tests {
    use spandrel_query::WriterStat;

    use super::*;

    fn lag_of(rows: &[(i64, u64, u64)], settings: serde_json::Value) -> Option<String> {
        let row = |&(second, recorded, stored): &(i64, u64, u64)| WriterStat {
            at_ns: second * 1_000_000_000,
            recorded,
            stored,
            events_dropped: r#"{"ring_full":7}"#.into(),
            events_recorded: 7,
            ..WriterStat::default()
        };
        let stats = rows.iter().map(row).collect();
        lag(&Facts { stats, settings, ..Facts::default() }).map(|finding| finding.evidence)
    }

    #[test]
    fn a_writer_that_is_far_behind_is_told_of() {
        // Of what was recorded by the second second, some was not yet stored by the tenth.
        let behind: Vec<_> = (1..=10).map(|at| (at, at as u64 * 1_000, at as u64 * 150)).collect();
        let told = lag_of(&behind, serde_json::Value::Null).unwrap();
        assert_eq!(told, "the writer was behind by 8.00 s and more");
        let waits = serde_json::json!({ "flush_interval_ms": 3_600_000 });
        assert_eq!(lag_of(&behind, waits), None, "it was told to");
        let steady: Vec<_> =
            (1..=100).map(|at| (at, at as u64 * 1_000, at as u64 * 1_000 - 900)).collect();
        assert_eq!(lag_of(&steady, serde_json::Value::Null), None);
        let idle = [(1, 10, 10), (2_000, 10, 10), (2_001, 30, 20), (9_000, 40, 40)];
        assert_eq!(lag_of(&idle, serde_json::Value::Null), None);
        assert_eq!(lag_of(&[], serde_json::Value::Null), None);
    }
}
