//! Feature `opentelemetry`: asks a layer of `tracing-opentelemetry` beside ours for the ids of spans.
//!
//! That layer makes up the ids when it *starts* a span: when a thread enters it, or when it gets a
//! child. If it is asked for them earlier, it starts the span at once; and then it is too late for
//! [`set_parent`], which programs call right after they have made a span, to continue the trace of a
//! request. Once a span has closed, the ids are gone. So it is asked when a thread enters a span for the
//! first time, or makes a child of a span that nobody has entered. The ids of a span that is never
//! entered and has no children are not known.
//!
//! Only the ids of spans in which a trace begins are kept: of a root, or of a span whose parent is in
//! another trace, or in none. For all others, a lock and some words in each record would only repeat
//! what is known from their parents; except their own ids, by which nobody looks for them.
//!
//! This is the only place where a callback takes a lock: those of the registry's extensions and of the
//! layer's data, which that layer takes itself at this moment.
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

/// A span was created.
#[inline]
pub(crate) fn made<S>(
    front: &FrontEnd<Hashed>,
    attributes: &Attributes<'_>,
    context: &Context<'_, S>,
) where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // A span in which others are created counts as entered.
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
        // First: if there is no such layer, there is no need to look for the parent.
        let ids = ids_of(dispatch, id)?;
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id());
        let around = parent.as_ref().and_then(|parent| ids_of(dispatch, parent));
        Some(ids).filter(|ids| around.is_none_or(|around| around.trace != ids.trace))
    });
    if let Some(ids) = ids {
        recorder.keep_ids(front.layer, id.into_u64(), ids);
    }
}

/// The ids from that layer, if there is one and it knows the span.
fn ids_of(dispatch: &Dispatch, id: &Id) -> Option<GivenIds> {
    // The ids and the sampling are made by code of the program's.
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
