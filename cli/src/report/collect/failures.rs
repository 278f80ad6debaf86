//! Spans that failed, by name and by what they say.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use serde_json::{Map, Value};
use spandrel_query::OrderRows as _;
use spandrel_query::{Columns, Filter, SpanRef, event_text};
use spandrel_storage::Status;

use super::names::Names;
use super::text;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::report::bounds;
use crate::report::data::FailureFact;

/// Fields that say why, the first one that is there.
const SAY_WHY: [&str; 6] =
    ["error", "exception.message", "err", "error.message", "reason", "panic"];

#[derive(Debug)]
struct Failed {
    id: u64,
    root: u64,
    name: i64,
    status: Status,
    start_ns: i64,
    fields: Option<String>,
    /// What the last event in it says, those of level ERROR before others.
    event: Option<String>,
    is_error_event: bool,
}

/// The kinds of failures, the most frequent first, and how many of the failed spans were looked at.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) list: Vec<FailureFact>,
    pub(super) looked_at: u64,
    /// Kinds that are in no list.
    pub(super) left_out: u64,
    /// Roots of an example of each.
    pub(super) roots: Vec<u64>,
}

/// Looks at the latest of the spans that failed.
///
/// # Errors
///
/// When the profile cannot be read.
pub(super) fn failures(profile: &Profile, names: &mut Names) -> Result<Failures, Failure> {
    let has_error =
        Filter::parse("has:error").map_err(|error| Failure::cannot_read(error.render()))?;
    let filter = has_error.and(profile.filter.clone());
    let mut latest = VecDeque::new();
    profile.reader.scan_filtered(&profile.pass(Columns::All), &filter, |span| {
        if latest.len() == bounds::FAILED_SPANS {
            latest.pop_front();
        }
        latest.push_back(failed(span, names));
        ControlFlow::Continue(())
    })?;
    let mut latest = Vec::from(latest);
    read_events(profile, &mut latest)?;
    Ok(in_kinds(latest))
}

fn failed(span: &SpanRef<'_>, names: &mut Names) -> Failed {
    Failed {
        id: span.id,
        root: span.root_id,
        name: names.of_callsite(span.callsite),
        status: span.status,
        start_ns: span.start_ns,
        fields: span.fields.and_then(why),
        event: None,
        is_error_event: false,
    }
}

/// What fields say of a failure.
fn why(fields: &str) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_str(fields).ok()?;
    let said = SAY_WHY.iter().find_map(|key| match fields.get(*key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::String(_) | Value::Null | Value::Bool(_) => None,
        other => Some(other.to_string()),
    })?;
    Some(text::cut(&said, bounds::VALUE_CHARS))
}

fn read_events(profile: &Profile, failed: &mut [Failed]) -> Result<(), Failure> {
    if profile.run.events == 0 || failed.is_empty() {
        return Ok(());
    }
    let places: HashMap<u64, usize> =
        failed.iter().enumerate().map(|(at, span)| (span.id, at)).collect();
    profile.reader.events(profile.run.id, |event| {
        let place = event.span_id.and_then(|id| places.get(&id));
        let Some(span) = place.and_then(|at| failed.get_mut(*at)) else { return };
        let is_error = *event.callsite.level == *"ERROR";
        if span.is_error_event && !is_error {
            return;
        }
        let (message, fields) = (event.message.as_deref(), event.fields.as_deref());
        if let Some(said) = event_text(&event.callsite.name, message, fields) {
            span.event = Some(text::cut(&said, bounds::VALUE_CHARS));
            span.is_error_event = is_error;
        }
    })?;
    Ok(())
}

/// Puts together what has name and text in common.
fn in_kinds(failed: Vec<Failed>) -> Failures {
    let looked_at = failed.len() as u64;
    let mut kinds: HashMap<(i64, String), (FailureFact, u64)> = HashMap::new();
    for span in failed {
        let message = span.event.or(span.fields).unwrap_or_default();
        let status = span.status.as_str();
        let key = (span.name, message.clone());
        let (fact, root) = kinds.entry(key).or_insert_with(|| {
            (FailureFact { name: span.name, message, ..FailureFact::default() }, span.root)
        });
        fact.spans += 1;
        // The latest of them is the example.
        if fact.spans == 1 || span.start_ns >= fact.last_ns {
            fact.last_ns = span.start_ns;
            fact.status = status;
            fact.span = format!("s{}", span.id);
            fact.trace = format!("t{}", span.root);
            *root = span.root;
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.order_by_key(|(fact, _)| (Reverse(fact.spans), Reverse(fact.last_ns)));
    let left_out = kinds.len().saturating_sub(bounds::FAILURES) as u64;
    kinds.truncate(bounds::FAILURES);
    let roots = kinds.iter().map(|(_, root)| *root).collect();
    Failures { list: kinds.into_iter().map(|(fact, _)| fact).collect(), looked_at, left_out, roots }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, name: i64, event: &str, fields: &str) -> Failed {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Failed {
            id,
            root: id / 10,
            name,
            status: Status::Error,
            start_ns: id as i64,
            fields: said(fields),
            event: said(event),
            is_error_event: false,
        }
    }

    #[test]
    fn failures_are_counted_by_name_and_text_with_the_latest_as_example() {
        let failures = in_kinds(vec![
            span(10, 1, "timed out", "io"),
            span(21, 1, "timed out", ""),
            span(30, 2, "timed out", ""),
            span(40, 1, "", "io"),
            span(50, 1, "", ""),
            span(20, 1, "timed out", ""),
        ]);
        let list = failures.list.iter();
        let list: Vec<_> = list.map(|f| (f.name, &*f.message, f.spans, &*f.span)).collect();
        assert_eq!(
            list,
            [
                (1, "timed out", 3, "s21"),
                (1, "", 1, "s50"),
                (1, "io", 1, "s40"),
                (2, "timed out", 1, "s30")
            ]
        );
        assert_eq!((failures.roots, failures.looked_at), (vec![2, 5, 4, 3], 6));
    }

    #[test]
    fn fields_say_why_by_their_usual_names() {
        assert_eq!(why(r#"{"a":1,"err":"second","error":"first"}"#).as_deref(), Some("first"));
        assert_eq!(why(r#"{"error":true,"err":{"code":7}}"#).as_deref(), Some(r#"{"code":7}"#));
        assert_eq!(why(r#"{"a":1}"#), None);
        assert_eq!(why("broken"), None);
    }
}
