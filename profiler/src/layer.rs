//! The front end for `tracing_subscriber`: a layer.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::fast::{self, Quick};
use crate::open_spans::OpenSpan;
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
#[repr(C)] // `later` first: the compiler would otherwise form the address of `spans` for its own sake
pub struct ProfilerLayer<S> {
    /// The recorder of a layer that is not a profiler's first one.
    later: Option<Front>,
    /// That of the first one, for which there are quick paths. Neither for a profiler that is
    /// switched off.
    first: Option<Arc<Recorder>>,
    /// The places of the open spans, for the first layer if busy time is measured; else none.
    spans: Arc<[OpenSpan]>,
    /// The same if it is not measured.
    untimed: Arc<[OpenSpan]>,
    subscriber: PhantomData<fn(S)>,
}

struct Front {
    recorder: Arc<Recorder>,
    /// Tells this layer's spans from those of another layer of the same profiler.
    layer: u16,
}

/// The places of the open spans for entries and exits that take the time, and for those that do not; of
/// the two, one has none.
pub(crate) fn quick_places(first: Option<&Recorder>) -> [Arc<[OpenSpan]>; 2] {
    match first {
        Some(recorder) if recorder.busy_time => [recorder.open.places(), Arc::default()],
        Some(recorder) => [Arc::default(), recorder.open.places()],
        None => [Arc::default(), Arc::default()],
    }
}

impl<S> ProfilerLayer<S> {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        let (mut first, mut later) = (None, None);
        if let Some(recorder) = recorder.map(Arc::clone) {
            match recorder.next_layer(false) {
                0 => first = Some(recorder),
                layer => later = Some(Front { recorder, layer }),
            }
        }
        let [spans, untimed] = quick_places(first.as_deref());
        Self { later, first, spans, untimed, subscriber: PhantomData }
    }

    /// The recorder and the number of this layer.
    #[inline]
    fn front(&self) -> Option<(&Arc<Recorder>, u16)> {
        match &self.first {
            Some(recorder) => Some((recorder, 0)),
            None => self.later.as_ref().map(|front| (&front.recorder, front.layer)),
        }
    }
}

impl<S> ProfilerLayer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    #[inline(never)]
    fn new_span_slowly(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some((recorder, layer)) = self.front() {
            // For a parent that was filtered out for us: its nearest ancestor that was not. The
            // registry is asked for no span that is recorded itself.
            let ancestor = || context.span(id)?.parent().map(|span| span.id().into_u64());
            recorder.new_span_slowly(layer, id.into_u64(), attributes, &ancestor);
        }
    }

    #[inline(never)]
    fn enter_slowly(&self, id: &Id) {
        let key = id.into_u64();
        if fast::enter_first_place(&self.spans, key) || fast::enter_untimed(&self.untimed, key) {
            return;
        }
        if let Some((recorder, layer)) = self.front() {
            recorder.enter_slowly(layer, id.into_u64());
        }
    }

    #[inline(never)]
    fn exit_slowly(&self, id: &Id) {
        if fast::exit_untimed(&self.untimed, id.into_u64()) {
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
        if let Some(recorder) = &self.first {
            match recorder.new_span_quickly(id.into_u64(), attributes) {
                Quick::Done(()) => return,
                Quick::HasFields(place, span) => {
                    return recorder.new_span_with_fields(place, span, attributes);
                }
                Quick::NotDone => {}
            }
        }
        self.new_span_slowly(attributes, id, context);
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
        if !fast::enter_quickly(&self.spans, id.into_u64()) {
            self.enter_slowly(id);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !fast::exit_quickly(&self.spans, id.into_u64()) {
            self.exit_slowly(id);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(recorder) = &self.first
            && recorder.close_quickly(id.into_u64())
        {
            return;
        }
        self.close_slowly(id.into_u64());
    }
}
