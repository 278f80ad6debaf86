//! Feature `opentelemetry`: how a layer of `tracing-opentelemetry` beside ours knows a span.
//!
//! That makes up the ids when the span is *started*: when a thread enters it, or it gets a child; asked for them
//! sooner it starts the span at once, and then [`set_parent`] is too late, by which programs hand over
//! the trace of a request right after they have made its span. Once a span has closed, they are gone. So it is
//! asked when a thread enters a span for the first time, or makes a child of one that nobody has entered. Of a span
//! that is never entered and has no children they are not known.
//!
//! Kept are those of a span in which a trace begins: a root, or one whose parent is in another trace, or in
//! none. For all others it would be a lock, and some words of each record, to say what is known by their parents;
//! but for their own ids, by which nobody looks for them.
//!
//! Only here a lock is taken in a callback: that of the registry's extensions and of the layer's data, as
//! that layer does itself at this moment.
//!
//! [`set_parent`]: tracing_opentelemetry::OpenTelemetrySpanExt::set_parent

use opentelemetry::trace::TraceContextExt;
use tracing_core::span::{Attributes, Id};
use tracing_core::{Dispatch, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fast::Hashed;
use super::front_end::FrontEnd;
use crate::panics;
use crate::recorder::fields::GivenIds;

/// A thread is about to enter a span.
#[inline]
pub(crate) fn entering<S>(front: &FrontEnd<Hashed>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(recorder) = front.recorder() else { return };
    if recorder.lacks_ids(front.layer, id.into_u64()) == Some(true) {
        learn(front, id, context);
    }
}

/// A span was made.
#[inline]
pub(crate) fn made<S>(
    front: &FrontEnd<Hashed>,
    attributes: &Attributes<'_>,
    context: &Context<'_, S>,
) where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // One that others are made in is entered.
    if let Some(parent) = attributes.parent() {
        entering(front, parent, context);
    }
}

#[cold]
#[inline(never)]
fn learn<S>(front: &FrontEnd<Hashed>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let Some(recorder) = front.recorder() else { return };
    let ids = front.ancestry.with_dispatch(|dispatch| {
        // First: where there is no such layer, the parent need not be looked for.
        let ids = ids_of(dispatch, id)?;
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id());
        let around = parent.as_ref().and_then(|parent| ids_of(dispatch, parent));
        Some(ids).filter(|ids| around.is_none_or(|around| around.trace != ids.trace))
    });
    if let Some(ids) = ids {
        recorder.keep_ids(front.layer, id.into_u64(), ids);
    }
}

/// What that layer says of a span, if there is one and it has the span.
fn ids_of(dispatch: &Dispatch, id: &Id) -> Option<GivenIds> {
    // What makes up the ids, and decides about samples, is the program's.
    let asked = panics::catch(|| {
        let otel = get_otel_context(id, dispatch)?;
        let span = otel.span();
        let ids = span.span_context();
        ids.is_valid().then(|| GivenIds {
            trace: u128::from_be_bytes(ids.trace_id().to_bytes()),
            span: u64::from_be_bytes(ids.span_id().to_bytes()),
        })
    });
    asked.ok().flatten()
}
