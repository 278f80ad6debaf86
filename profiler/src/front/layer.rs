//! The front end for `tracing_subscriber`: a layer.

#[cfg(test)]
#[cfg(feature = "database")]
mod tests;

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::Arc;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::ancestry::nearest;
use super::fast::Hashed;
use super::filter::FilterHandle;
use super::front_end::FrontEnd;
#[cfg(feature = "opentelemetry")]
use super::open_telemetry;
use super::placement::Placement;
use crate::recorder::sites::Answer;
use crate::recorder::{IsRecorded, Recorder, Source};

/// A [`tracing_subscriber::Layer`] that records every span and event it is shown.
///
/// Made by [`Profiler::layer`](crate::Profiler::layer). It composes with other layers and with
/// per-layer filters, keeps nothing in the registry's extensions, and never disables a callsite for
/// the layers beside it. It has levels and a filter of its own ([`ProfilerBuilder::spans`](crate::ProfilerBuilder::spans),
/// [`ProfilerBuilder::events`](crate::ProfilerBuilder::events), [`ProfilerBuilder::filter`](crate::ProfilerBuilder::filter)), so that it
/// needs none of `tracing-subscriber`'s. Where it is alone, or beside layers that also say what they
/// want, `tracing` does not even make what none of them keeps. The layer of a profiler that is switched off
/// is one that is not there. When the profiler is closed, the layer stays where it is and only counts.
///
/// Where a span is not kept, because of a level or filter, of the layer's own or of `tracing-subscriber`'s
/// around it, what is opened or said inside belongs to the nearest of its ancestors that is recorded (no
/// further than 4,096 spans away); to no span if there is none. So it is also where the thread is in other
/// spans that are recorded, and where something names the span as its parent. A filter around the layer
/// costs a look into the registry for each new span; the layer's own costs it where such a span is the
/// innermost one.
pub struct ProfilerLayer<S> {
    front: FrontEnd<Hashed>,
    placement: Placement,
    subscriber: PhantomData<fn(S)>,
}

impl<S> ProfilerLayer<S> {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        Self {
            front: FrontEnd::new(recorder),
            placement: Placement::new(),
            subscriber: PhantomData,
        }
    }

    /// A handle to change the filter while the layer is installed.
    #[must_use]
    pub fn filter_handle(&self) -> FilterHandle {
        FilterHandle::new(&self.front.filter)
    }

    /// Whether the profiler is switched off; always checked first.
    #[inline(always)]
    fn is_absent(&self) -> bool {
        self.front.recorder().is_none()
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
    /// Answers downcasts to the layer itself, and to the markers that its placement asks for; what a
    /// marker points at is never used.
    ///
    /// Whenever a span closes, the layers above ask for the registry: this answer is known at compile
    /// time.
    #[inline(always)]
    fn downcast(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Registry>() {
            return None;
        }
        // Scopes ask for it.
        if id == TypeId::of::<FrontEnd<Hashed>>() {
            return Some(std::ptr::from_ref(&self.front).cast());
        }
        let hears_all = || self.front.filter.set_hears_all();
        let is_mine =
            id == TypeId::of::<Self>() || self.placement.is(id, self.is_absent(), hears_all);
        is_mine.then(|| std::ptr::from_ref(self).cast())
    }

    #[inline(never)]
    fn new_span_slow(&self, attributes: &Attributes<'_>, key: NonZeroU64, context: Context<'_, S>) {
        let Some((recorder, layer)) = self.front() else { return };
        let FrontEnd { fast_recorder, sites, filter, .. } = &self.front;
        let mut hears_all = filter.hears_all();
        if hears_all
            && let Some(()) =
                fast_recorder.new_span_with_new_ids::<Hashed>(sites, key.get(), attributes)
        {
            return;
        }
        let answer = filter.answer(attributes.metadata());
        if let Answer::Kept(callsite) = answer
            && !hears_all
            && attributes.is_contextual()
        {
            let current = context.current_span();
            let parent = current.id().map(Id::into_u64);
            if let Some(()) = fast_recorder.new_span_below(parent, callsite, key.get(), attributes)
            {
                return;
            }
            hears_all = !current.is_known(); // it is no use asking
        }
        let id = Id::from_non_zero_u64(key);
        let nearest =
            |is_recorded: IsRecorded<'_>| nearest(context.span(&id)?.scope().skip(1), is_recorded);
        let source = Source { layer, hears_all };
        recorder.new_span_slow(source, key.get(), attributes, answer, &nearest);
    }
}

/// Whether the registry can tell which span the thread is in.
#[cold]
#[inline(never)]
fn knows_current<S: Subscriber>(context: &Context<'_, S>) -> bool {
    context.current_span().is_known()
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
    spandrel_ring::unsafe_method!(downcast_raw, TypeId, Option<*const ()>, downcast);

    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.front.filter.set_dispatch(dispatch);
        self.front.ancestry.set_dispatch(dispatch);
    }

    fn on_layer(&mut self, below: &mut S) {
        self.placement.put_on(below);
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match self.is_absent() {
            true => Some(LevelFilter::OFF),
            false => self.placement.hint(self.front.filter.max_level()),
        }
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.front().is_some() {
            let _known_from_now_on = self.front.filter.answer(metadata);
        }
        // `never` would disable the callsite for every other layer, too.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.is_absent() {
            return;
        }
        // The id by value: a reference would keep it in memory on all paths.
        let key = id.into_non_zero_u64();
        self.front.new_span(key.get(), attributes, || {
            // A span that names its parent never takes the fast way.
            #[cfg(feature = "opentelemetry")]
            open_telemetry::made(&self.front, attributes, &context);
            self.new_span_slow(attributes, key, context);
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.front.record(id, values);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        self.front.follows_from(id, follows);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let FrontEnd { filter, ancestry, .. } = &self.front;
        let hears_all = || filter.hears_all() || !knows_current(&context);
        let nearest = |is_recorded: IsRecorded<'_>| ancestry.of_event(event, &context, is_recorded);
        self.front.event(event, hears_all, &nearest);
    }

    fn on_enter(&self, id: &Id, _context: Context<'_, S>) {
        #[cfg(feature = "opentelemetry")]
        open_telemetry::entering(&self.front, id, &_context);
        if !self.is_absent() {
            self.front.enter(id);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !self.is_absent() {
            self.front.exit(id);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if !self.is_absent() {
            self.front.close(id.into_u64());
        }
    }
}
