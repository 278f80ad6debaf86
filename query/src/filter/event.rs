//! Filters for events. An event has a callsite, a thread, a time, a span around it and fields; it has no duration,
//! entries or status.
//!
//! As in the rest of the language, a comparison with what is missing is false. The message is the field `message`, as
//! in `tracing`; `has:error` means level ERROR.

use std::sync::Arc;

use super::super::SpanRef;
use super::expression::Expression;
use super::key::{NumberKey, level_rank};
use super::operator::Operator;
use super::term::{Term, Test};
use super::{Filter, Matcher};
use crate::reader::Event;
use crate::span_ref::nothing;

/// Tests many events of one profile.
#[derive(Debug)]
pub struct EventMatcher {
    matcher: Matcher,
    needs_fields: bool,
}

impl Filter {
    /// A matcher for events of one profile, each by what it has itself.
    pub fn event_matcher(&self) -> EventMatcher {
        let filter = Self { expression: of_events(&self.expression) };
        EventMatcher { matcher: filter.matcher(), needs_fields: filter.needs_fields() }
    }

    /// The terms that test what no event has: they are always false.
    pub fn terms_beyond_events(&self) -> Vec<&str> {
        let beyond = self.expression.terms().filter(|term| event_test(term).is_none());
        beyond.map(|term| term.source.as_str()).collect()
    }
}

impl EventMatcher {
    /// Whether the event matches.
    pub fn matches(&mut self, event: &Event) -> bool {
        let fields = if self.needs_fields { fields_of(event) } else { None };
        // The remaining terms do not test the values that are made up here.
        self.matcher.matches(&SpanRef {
            id: event.id,
            run_id: event.run_id,
            parent_id: event.span_id,
            callsite: &event.callsite,
            start_ns: event.at_ns,
            longest_thread: &event.thread,
            fields: fields.as_deref(),
            ..nothing()
        })
    }
}

/// The same expression, with false for terms that test what no event has.
fn of_events(expression: &Expression) -> Expression {
    match expression {
        Expression::All(parts) => Expression::All(parts.iter().map(of_events).collect()),
        Expression::Any(parts) => Expression::Any(parts.iter().map(of_events).collect()),
        Expression::Not(inner) => Expression::Not(Box::new(of_events(inner))),
        Expression::Term(term) => match event_test(term) {
            Some(test) => Expression::Term(Term { source: term.source.clone(), test }),
            None => Expression::Any(Vec::new()),
        },
    }
}

/// The test of a term for events; `None` if it is always false.
fn event_test(term: &Term) -> Option<Test> {
    match &term.test {
        Test::Failed => Some(Test::Level { operator: Operator::Equal, rank: level_rank("error")? }),
        Test::Number { key: NumberKey::Start | NumberKey::Parent, .. }
        | Test::Text { .. }
        | Test::Level { .. }
        | Test::HasParent
        | Test::HasFields
        | Test::HasField(_)
        | Test::Field(..) => Some(term.test.clone()),
        Test::Number { .. } | Test::Status { .. } | Test::Root => None,
        Test::TraceId { .. } | Test::HasTraceId => None,
    }
}

/// The fields with the message among them.
fn fields_of(event: &Event) -> Option<Arc<str>> {
    let Some(message) = &event.message else { return event.fields.as_deref().map(Arc::from) };
    let message = serde_json::Value::from(message.as_str());
    let rest = event.fields.as_deref().and_then(|fields| fields.trim().strip_prefix('{'));
    Some(match rest.map(str::trim_start) {
        None | Some("" | "}") => format!("{{\"message\":{message}}}").into(),
        Some(rest) => format!("{{\"message\":{message},{rest}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{Callsite, Thread};

    fn event(message: Option<&str>, fields: Option<&str>, span_id: Option<u64>) -> Event {
        let callsite = Callsite {
            name: "event src/cart.rs:9".into(),
            target: "shop::cart".into(),
            level: "ERROR".into(),
            ..Callsite::default()
        };
        let thread = Thread { name: Some("worker-1".into()), ..Thread::default() };
        Event {
            id: 12,
            run_id: 1,
            span_id,
            callsite: Arc::new(callsite),
            thread: Arc::new(thread),
            at_ns: 5_000_000_000,
            message: message.map(str::to_owned),
            fields: fields.map(str::to_owned),
        }
    }

    fn holds(text: &str, event: &Event) -> bool {
        Filter::parse(text).unwrap().event_matcher().matches(event)
    }

    #[test]
    fn an_event_is_asked_for_what_it_has() {
        let event = event(Some("no \"answer\""), Some(r#"{"shard":7}"#), Some(3));
        for (text, expected) in [
            ("", true),
            ("cart.rs", true),
            ("name=db.*", false),
            ("target~^shop", true),
            ("level<=warn", true),
            ("level=info", false),
            ("thread=worker-*", true),
            ("field.shard=7", true),
            ("field.shard=8", false),
            ("field.message~answer", true),
            ("has:field.message has:fields", true),
            ("start>=+5s parent=s3 has:parent", true),
            ("start>+5s", false),
            ("has:error", true),
        ] {
            assert_eq!(holds(text, &event), expected, "{text}");
        }
    }

    #[test]
    fn what_it_has_not_is_never_true() {
        let event = event(None, None, None);
        for term in [
            "dur>=0s",
            "self<1s",
            "busy>=0s",
            "idle>=0s",
            "polls=0",
            "id=s12",
            "trace=t0",
            "status=ok",
            "status!=error",
            "is:ok",
            "is:root",
            "has:parent",
            "has:fields",
        ] {
            assert!(!holds(term, &event), "{term}");
            assert!(holds(&format!("not {term}"), &event), "not {term}");
            assert!(holds(&format!("{term} or level=error"), &event), "{term}");
        }
        let filter = Filter::parse("level=error (dur>1s or not is:root) parent=s1").unwrap();
        assert_eq!(filter.terms_beyond_events(), ["dur>1s", "is:root"]);
    }

    #[test]
    fn the_message_is_a_field_among_the_others() {
        let of = |message, fields| fields_of(&event(message, fields, None)).unwrap().to_string();
        assert_eq!(of(Some("a"), None), r#"{"message":"a"}"#);
        assert_eq!(of(Some("a"), Some("{}")), r#"{"message":"a"}"#);
        assert_eq!(of(Some("\u{1b}\""), Some(r#"{"b":1}"#)), r#"{"message":"\u001b\"","b":1}"#);
        assert_eq!(of(None, Some(r#"{"b":1}"#)), r#"{"b":1}"#);
    }
}
