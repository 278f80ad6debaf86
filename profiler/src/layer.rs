//! The front end for `tracing_subscriber`: a layer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::recorder::Recorder;

/// A [`tracing_subscriber::Layer`] that records every span and event it is shown.
///
/// Made by [`Profiler::layer`](crate::Profiler::layer). It composes with other layers and with
/// per-layer filters, keeps nothing in the registry's extensions, and never disables a callsite for
/// the layers beside it. When the profiler is closed, the layer stays where it is and only counts.
///
/// Under a per-layer filter, the parent of a span is the innermost *recorded* span that its thread
/// is in, or, if it names a parent that was filtered out, the nearest recorded ancestor of that
/// one. An event that names a filtered parent belongs to no span.
pub struct ProfilerLayer<S> {
    /// None for a profiler that is switched off.
    front: Option<Front>,
    subscriber: PhantomData<fn(S)>,
}

struct Front {
    recorder: Arc<Recorder>,
    /// Tells this layer's spans from those of another layer of the same profiler.
    layer: u16,
}

impl<S> ProfilerLayer<S> {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        let front = recorder
            .map(|recorder| Front { recorder: Arc::clone(recorder), layer: recorder.next_layer() });
        Self { front, subscriber: PhantomData }
    }
}

impl<S> fmt::Debug for ProfilerLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfilerLayer").field("enabled", &self.front.is_some()).finish()
    }
}

impl<S> Layer<S> for ProfilerLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if let Some(front) = &self.front {
            // A full table is reported span by span, where it costs something.
            let _number = front.recorder.callsites.register(metadata);
        }
        // `never` would disable the callsite for every other layer, too.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(front) = &self.front {
            // For a parent that was filtered out for us: its nearest ancestor that was not. The
            // registry is asked for no span that is recorded itself.
            let ancestor = || context.span(id)?.parent().map(|span| span.id().into_u64());
            front.recorder.new_span(front.layer, id.into_u64(), attributes, ancestor);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(front) = &self.front {
            front.recorder.record(front.layer, id.into_u64(), values);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if let Some(front) = &self.front {
            front.recorder.follows_from(front.layer, id.into_u64(), follows.into_u64());
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(front) = &self.front {
            let ancestor = || context.event_span(event).map(|span| span.id().into_u64());
            front.recorder.event(front.layer, event, &ancestor);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(front) = &self.front {
            front.recorder.enter(front.layer, id.into_u64());
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(front) = &self.front {
            front.recorder.exit(front.layer, id.into_u64());
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(front) = &self.front {
            front.recorder.close_span(front.layer, id.into_u64());
        }
    }
}
