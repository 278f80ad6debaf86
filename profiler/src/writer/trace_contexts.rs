//! The ids by which other systems know a span: from its fields `trace_id`, `span_id` and `traceparent`,
//! and from an OpenTelemetry layer beside ours.

use spandrel_storage::{OtelSpanId, TraceContext, TraceId};

use crate::recorder::described::Described;
use crate::recorder::fields::{Fields, Value};
use crate::redact::{Redaction, Secrecy};

/// The longest text that is looked at: a header of a later version may have more than 55 bytes.
const TEXT_BYTES_MAX: usize = 128;

/// What a field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Trace,
    Span,
    /// A header of W3C Trace Context.
    Parent,
}

/// The fields of a callsite that tell such ids; nearly always none.
#[derive(Debug, Default)]
pub(super) struct IdFields(Option<Box<[(usize, Role)]>>);

impl IdFields {
    /// Those fields of a callsite of spans, without secret ones.
    pub(super) fn of(site: &Described<'_>, redaction: &Redaction) -> Self {
        let role = |name: &str| match name {
            "trace_id" => Some(Role::Trace),
            "span_id" => Some(Role::Span),
            "traceparent" => Some(Role::Parent),
            _ => None,
        };
        let fields = site.fields.iter().copied().enumerate();
        let roles = fields.filter_map(|(at, name)| Some((at, name, role(name)?)));
        let roles = roles.filter(|(_, name, _)| redaction.secrecy(name) == Secrecy::None);
        let roles: Box<[_]> = roles.map(|(at, _, role)| (at, role)).collect();
        let says_trace = roles.iter().any(|(_, role)| *role != Role::Span);
        Self(Some(roles).filter(|_| site.is_span && says_trace))
    }

    /// The same of a span of a process that is gone, which may have had a layer of OpenTelemetry's.
    #[cfg(feature = "crash-proof")]
    pub(super) fn context_of_dead(&self, words: &[u64]) -> Option<TraceContext> {
        let said = self.context(words);
        given(words, said).or(said)
    }

    /// How other systems know a span with these words of fields.
    #[inline(always)]
    pub(super) fn context(&self, words: &[u64]) -> Option<TraceContext> {
        let said = match &self.0 {
            Some(roles) => said(roles, words),
            None => None,
        };
        #[cfg(feature = "opentelemetry")]
        let said = given(words, said).or(said);
        said
    }
}

/// What the fields tell; the last value of a field that was recorded more than once.
#[cold]
fn said(roles: &[(usize, Role)], words: &[u64]) -> Option<TraceContext> {
    let (mut trace_id, mut span_id, mut header) = (None, None, None);
    for field in Fields::new(words).filter(|field| !field.is_cut()) {
        let Some((_, role)) = roles.iter().find(|(index, _)| *index == field.index) else {
            continue;
        };
        let mut bytes = [0; TEXT_BYTES_MAX];
        let Some(text) = text(field.value, &mut bytes) else { continue };
        match role {
            Role::Trace => trace_id = TraceId::from_field(text),
            Role::Span => span_id = OtelSpanId::from_field(text),
            Role::Parent => header = TraceContext::from_traceparent(text),
        }
    }
    let trace_id = trace_id.or(header.map(|header| header.trace_id))?;
    // A caller from another trace is not the parent.
    let header = header.filter(|header| header.trace_id == trace_id);
    Some(TraceContext { trace_id, span_id, parent_id: header.and_then(|header| header.parent_id) })
}

/// The ids from the OpenTelemetry layer; the fields tell the parent.
#[cfg(any(feature = "opentelemetry", feature = "crash-proof"))]
fn given(words: &[u64], said: Option<TraceContext>) -> Option<TraceContext> {
    let (trace_id, span_id) = crate::recorder::fields::given_ids(words)?;
    let trace_id = TraceId::new(trace_id)?;
    let said = said.filter(|said| said.trace_id == trace_id);
    let parent_id = said.and_then(|said| said.parent_id);
    Some(TraceContext { trace_id, span_id: OtelSpanId::new(span_id), parent_id })
}

/// A short text, from its words.
fn text<'a>(value: Value<'_>, bytes: &'a mut [u8; TEXT_BYTES_MAX]) -> Option<&'a str> {
    let Value::Str(words, len) = value else { return None };
    for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    std::str::from_utf8(bytes.get(..len)?).ok()
}
