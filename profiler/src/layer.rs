//! The front end for `tracing_subscriber`: a layer.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::Arc;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::fast::{self, Quick};
use crate::front::Front;
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
    front: Front,
    subscriber: PhantomData<fn(S)>,
}

impl<S> ProfilerLayer<S> {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        Self { front: Front::new(recorder, false), subscriber: PhantomData }
    }

    /// The recorder and the number of this layer.
    #[inline]
    fn front(&self) -> Option<(&Arc<Recorder>, u16)> {
        self.front.recorder().map(|recorder| (recorder, self.front.layer))
    }
}

impl<S> ProfilerLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    #[inline(never)]
    fn new_span_slowly(
        &self,
        attributes: &Attributes<'_>,
        key: NonZeroU64,
        context: Context<'_, S>,
    ) {
        if self.front.quick.new_span_with_new_ids(key.get(), attributes) {
            return;
        }
        if let Some((recorder, layer)) = self.front() {
            // For a parent that was filtered out for us: its nearest ancestor that was not. The
            // registry is asked for no span that is recorded itself.
            let id = Id::from_non_zero_u64(key);
            let ancestor = || context.span(&id)?.parent().map(|span| span.id().into_u64());
            recorder.new_span_slowly(layer, key.get(), attributes, &ancestor);
        }
    }

    #[inline(never)]
    fn enter_slowly(&self, id: &Id) {
        let key = id.into_u64();
        if fast::enter_first_place(&self.front.spans, key)
            || fast::enter_untimed(&self.front.untimed, key)
        {
            return;
        }
        if let Some((recorder, layer)) = self.front() {
            recorder.enter_slowly(layer, id.into_u64());
        }
    }

    #[inline(never)]
    fn exit_slowly(&self, id: &Id) {
        if fast::exit_untimed(&self.front.untimed, id) {
            return;
        }
        if let Some((recorder, layer)) = self.front() {
            recorder.exit_slowly(layer, id.into_u64());
        }
    }

    #[inline(never)]
    fn close_slowly(&self, key: u64) {
        if let Some((recorder, layer)) = self.front() {
            recorder.close_slowly(layer, key);
        }
    }
}

impl<S> fmt::Debug for ProfilerLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfilerLayer").field("enabled", &self.front().is_some()).finish()
    }
}

impl<S> Layer<S> for ProfilerLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if let Some((recorder, _)) = self.front() {
            // A full table is reported span by span, where it costs something.
            let _number = recorder.callsites.register(metadata);
        }
        // `never` would disable the callsite for every other layer, too.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // The id by value: a reference would keep it in memory on all ways.
        let key = id.into_non_zero_u64();
        match self.front.quick.new_span_quickly(key.get(), attributes) {
            Quick::Done(()) => {}
            Quick::HasFields((), span) => {
                self.front.quick.new_span_with_fields(span, attributes);
            }
            Quick::NotDone => self.new_span_slowly(attributes, key, context),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some((recorder, layer)) = self.front() {
            recorder.record(layer, id.into_u64(), values);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if let Some((recorder, layer)) = self.front() {
            recorder.follows_from(layer, id.into_u64(), follows.into_u64());
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some((recorder, layer)) = self.front() {
            let ancestor = || context.event_span(event).map(|span| span.id().into_u64());
            recorder.event(layer, event, &ancestor);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if !fast::enter_quickly(&self.front.spans, id.into_u64()) {
            self.enter_slowly(id);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !fast::exit_quickly(&self.front.spans, id) {
            self.exit_slowly(id);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        // The first question may call, so it comes before there is anything to be remembered.
        if fast::is_panicking() || !fast::close_quickly(&self.front.all, id.into_u64()) {
            self.close_slowly(id.into_u64());
        }
    }
}
