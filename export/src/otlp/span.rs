//! The attributes of a span, and fields that describe the span itself: `otel.name`, `otel.kind`, `otel.status_code`
//! and `otel.status_description` mean what they mean to `tracing-opentelemetry`.

use std::borrow::Cow;

use super::super::fields::Value;
use super::attributes::{Attributes, Fields, shortened};
use super::wire::{WireFormat, list};
use spandrel_query::SpanRef;
use spandrel_storage::Status;

/// The default kind of a span: internal.
const INTERNAL: u8 = 1;

/// `Status.code`.
const OK: u8 = 1;
const ERROR: u8 = 2;

/// What the fields say about the span itself.
#[derive(Debug, Default)]
struct SpanSemantics {
    name: Option<String>,
    kind: Option<u8>,
    code: Option<u8>,
    description: Option<String>,
}

/// The texts of a span that are written beside its attributes.
pub(super) struct Described<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) kind: u8,
    pub(super) code: u8,
    /// Why it failed, if its fields say so.
    pub(super) description: Option<String>,
    pub(super) dropped_attributes: u32,
}

/// Writes the attributes.
pub(super) fn describe<'a, W: WireFormat>(
    span: &SpanRef<'a>,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Described<'a> {
    let mut fields = Fields::of(span.fields);
    let said = SpanSemantics::take_from(&mut fields);
    let mut attributes = Attributes::<W>::new(out, list::OF_SPAN, bytes_max);
    ours(span, &mut attributes, &fields);
    if said.name.is_some() {
        attributes.text("spandrel.name", &span.callsite.name);
    }
    attributes.fields(&fields);
    let failed = matches!(span.status, Status::Error | Status::Panicked);
    let code = said.code.unwrap_or(if failed { ERROR } else { 0 });
    let panicked = || (span.status == Status::Panicked).then(|| "panicked".to_owned());
    Described {
        name: match said.name {
            Some(name) => Cow::Owned(shortened(&name).into_owned()),
            None => shortened(&span.callsite.name),
        },
        kind: said.kind.unwrap_or(INTERNAL),
        code,
        description: said.description.or_else(panicked).filter(|_| code == ERROR),
        dropped_attributes: attributes.dropped,
    }
}

/// Writes spandrel's own attributes of a span.
fn ours<W: WireFormat>(
    span: &SpanRef<'_>,
    attributes: &mut Attributes<'_, W>,
    beside: &Fields<'_>,
) {
    let thread = span.longest_thread;
    attributes.of_callsite(span.callsite, beside);
    attributes.conventional("thread.id", &Value::Integer(thread.os_id as i64), beside);
    if let Some(name) = &thread.name {
        attributes.conventional("thread.name", &Value::Text(shortened(name)), beside);
    }
    if span.thread.id != thread.id {
        match &span.thread.name {
            Some(name) => attributes.text("spandrel.made_on", name),
            None => attributes.text("spandrel.made_on", &format!("thread {}", span.thread.os_id)),
        }
    }
    attributes.text("spandrel.status", span.status.as_str());
    if let Some(busy_ns) = span.busy_ns {
        attributes.integer("spandrel.busy_ns", busy_ns);
        if let Some(duration_ns) = span.duration_ns {
            attributes.integer("spandrel.idle_ns", duration_ns.saturating_sub(busy_ns));
        }
    }
    if let Some(self_ns) = span.self_ns {
        attributes.integer("spandrel.self_ns", self_ns);
    }
    attributes.integer("spandrel.entries", i64::try_from(span.entries).unwrap_or(i64::MAX));
    for (name, ns) in [
        ("spandrel.first_entry_ns", span.first_entry_ns),
        ("spandrel.longest_entry_ns", span.longest_entry_ns),
        ("spandrel.last_exit_ns", span.last_exit_ns),
    ] {
        if let Some(ns) = ns {
            attributes.integer(name, ns);
        }
    }
    if let Some(context) = &span.context {
        if context.span_id.is_some() {
            attributes.integer("spandrel.id", span.id as i64);
        }
        if let Some(parent_id) = span.parent_id
            && (context.begins || context.parent_id.is_some())
        {
            attributes.integer("spandrel.parent_id", parent_id as i64);
        }
    }
    if span.duration_ns.is_none() {
        attributes.add("spandrel.unfinished", &Value::Bool(true));
    }
}

impl SpanSemantics {
    /// Takes the fields that describe the span. Values without a meaning in OTLP stay fields.
    fn take_from(fields: &mut Fields<'_>) -> Self {
        if !fields.members.iter().any(|(name, _)| name.starts_with("otel.")) {
            return Self::default();
        }
        let mut said = Self::default();
        let text = |name| fields.text(name).map(str::to_owned);
        said.name = text("otel.name");
        said.kind = text("otel.kind").and_then(|kind| kind_of(&kind));
        said.code = text("otel.status_code").and_then(|code| code_of(&code));
        // The older name, and the one that took its place.
        let description = ["otel.status_description", "otel.status_message"];
        let description = description.into_iter().find_map(|name| Some((name, text(name)?)));
        let mut taken = Vec::new();
        taken.extend(said.name.is_some().then_some("otel.name"));
        taken.extend(said.kind.is_some().then_some("otel.kind"));
        taken.extend(said.code.is_some().then_some("otel.status_code"));
        if let Some((name, description)) = description
            && said.code.is_none_or(|code| code == ERROR)
        {
            // A reason implies that it failed.
            said.code = Some(ERROR);
            said.description = Some(description);
            taken.push(name);
        }
        fields.members.retain(|(name, _)| !taken.contains(&name.as_ref()));
        said
    }
}

fn kind_of(text: &str) -> Option<u8> {
    Some(match text.to_ascii_lowercase().as_str() {
        "internal" => INTERNAL,
        "server" => 2,
        "client" => 3,
        "producer" => 4,
        "consumer" => 5,
        _ => return None,
    })
}

fn code_of(text: &str) -> Option<u8> {
    Some(match text.to_ascii_lowercase().as_str() {
        "ok" => OK,
        "error" => ERROR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> (Option<String>, Option<u8>, Option<u8>, Option<String>, usize) {
        let mut fields = Fields::of(Some(json));
        let said = SpanSemantics::take_from(&mut fields);
        (said.name, said.kind, said.code, said.description, fields.members.len())
    }

    #[test]
    fn what_the_program_says_of_its_span_is_heeded() {
        let all = r#"{"otel.name":"GET /","otel.kind":"Server","otel.status_code":"ERROR",
            "otel.status_description":"gone","a":1}"#;
        let gone = Some("gone".to_owned());
        assert_eq!(said(all), (Some("GET /".to_owned()), Some(2), Some(2), gone.clone(), 1));
        let only_why = r#"{"otel.status_message":"gone"}"#;
        assert_eq!(said(only_why), (None, None, Some(2), gone, 0));
        let ok = r#"{"otel.status_code":"ok","otel.status_description":"all well"}"#;
        assert_eq!(said(ok), (None, None, Some(1), None, 1), "OTLP has no place for it");
    }

    #[test]
    fn what_cannot_be_heeded_stays_a_field() {
        let odd = r#"{"otel.name":7,"otel.kind":"sideways","otel.status_code":"maybe","otel.x":1}"#;
        assert_eq!(said(odd), (None, None, None, None, 4));
        assert_eq!(said(r#"{"otel.name":""}"#), (None, None, None, None, 1));
    }
}
