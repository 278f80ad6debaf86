//! Finds the nearest recorded ancestor of a span in a registry.

use std::sync::OnceLock;

use tracing_core::dispatcher::WeakDispatch;
use tracing_core::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

use crate::recorder::IsRecorded;

/// How many ancestors are looked at.
const ANCESTORS_MAX: usize = 4096;

/// The way to the registry itself. The context that a layer gets in its callbacks shows nothing of spans
/// that a per-layer filter has hidden, not even their ancestors.
#[derive(Debug, Default)]
pub(crate) struct Ancestry {
    dispatch: OnceLock<WeakDispatch>,
}

impl Ancestry {
    /// Remembers the subscriber.
    pub(crate) fn set_dispatch(&self, dispatch: &Dispatch) {
        // Made before: nothing else happens inside the lock of a `OnceLock`.
        _ = self.dispatch.set(dispatch.downgrade());
    }

    /// The subscriber; `None` if it is not known, or gone.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn with_dispatch<R>(&self, mut f: impl FnMut(&Dispatch) -> Option<R>) -> Option<R> {
        match self.dispatch.get() {
            Some(dispatch) => f(&dispatch.upgrade()?),
            // The layer was put into the subscriber later, as by a `reload` layer.
            None => tracing_core::dispatcher::get_default(f),
        }
    }

    /// The nearest recorded span among the span that an event names, or that its thread is in, and the
    /// ancestors of that.
    pub(crate) fn of_event<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        is_recorded: IsRecorded<'_>,
    ) -> Option<u64>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let current = context.current_span();
        let id = if event.is_contextual() { current.id() } else { event.parent() }?;
        if let Some(span) = context.span(id) {
            return nearest(span.scope(), is_recorded);
        }
        // The caller holds one, too, so the subscriber is not dropped here.
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        let registry = dispatch.as_ref().and_then(|dispatch| dispatch.downcast_ref::<Registry>());
        match registry {
            Some(registry) => nearest(registry.span(id)?.scope(), is_recorded),
            // The registry is not `tracing-subscriber`'s, or the layer was put in later: use the other
            // spans that the thread is in.
            None if event.is_contextual() => {
                nearest(context.lookup_current()?.scope(), is_recorded)
            }
            None => None,
        }
    }
}

/// The nearest recorded one of these.
pub(crate) fn nearest<'a, R: LookupSpan<'a> + 'a>(
    scope: impl Iterator<Item = SpanRef<'a, R>>,
    is_recorded: IsRecorded<'_>,
) -> Option<u64> {
    let mut keys = scope.take(ANCESTORS_MAX).map(|span| span.id().into_u64());
    keys.find(|key| is_recorded(*key))
}
