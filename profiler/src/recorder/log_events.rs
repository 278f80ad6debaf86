//! Events that are records of the `log` crate, no matter what has made them: `tracing_subscriber`'s `init`, a
//! `LogTracer` of the program's, or our own [`init`](crate::ProfilerSubscriber::init).
//!
//! `tracing-log` has one callsite a level for all of them, whose target is `log`; the origin of a record
//! is in fields. Before `tracing-log` makes the event, it asks whether a callsite with the record's own
//! target is enabled; but a layer's answer has no effect then, so the target is checked again.

use std::fmt;

use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Metadata};

use crate::recorder::rule::{Rule, Verdict};

/// The field that has the target of the record.
pub(crate) const TARGET: &str = "log.target";
/// The target of all of them.
pub(crate) const LOG_TARGET: &str = "log";
/// Their name.
pub(crate) const LOG_NAME: &str = "log event";

/// Whether a callsite is that of `tracing-log` for a level.
pub(crate) fn is_of_log(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
        && metadata.target() == LOG_TARGET
        && metadata.name() == LOG_NAME
        && metadata.fields().field(TARGET).is_some()
}

/// What a rule says about such an event, by the target of the record.
pub(crate) fn judge(rule: &Rule, event: &Event<'_>) -> Verdict {
    let mut judge = Judge { rule, metadata: event.metadata(), verdict: None };
    event.record(&mut judge);
    judge.verdict.unwrap_or_else(|| rule.judge(event.metadata()))
}

/// Looks for the target and nothing else: no code of the user's is run.
struct Judge<'a> {
    rule: &'a Rule,
    metadata: &'a Metadata<'a>,
    verdict: Option<Verdict>,
}

impl Visit for Judge<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TARGET {
            self.verdict = Some(self.rule.judge_with_target(self.metadata, value));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
