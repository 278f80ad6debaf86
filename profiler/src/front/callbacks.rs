//! The callbacks of both front ends.
//!
//! Creating, entering, leaving and closing a span have a fast way, for the usual case, and end with a
//! call of a slow one for all other cases. The other callbacks have a slow way only.

use tracing_core::Event;
use tracing_core::span::{Attributes, Id, Record};

use super::fast::{self, AsKey, FastPath, FindSlot, publish_again, publish_without_times};
use super::front_end::FrontEnd;
use crate::recorder::local;
use crate::recorder::{FindAncestor, Recorder, Source};

impl<F: FindSlot> FrontEnd<F> {
    /// A span is created. `slow` is called if the fast way does not apply.
    #[inline(always)]
    pub(crate) fn new_span(
        &self,
        given: F::Given,
        attributes: &Attributes<'_>,
        slow: impl FnOnce() -> F::Key,
    ) -> F::Key {
        // Loaded once: so the front end itself need not stay in a register.
        let fast_recorder: &Recorder = &self.fast_recorder;
        match fast_recorder.new_span_fast::<F>(&self.sites, given, attributes) {
            FastPath::Done(key) => key,
            FastPath::HasFields(position, span) => {
                fast_recorder.new_span_with_fields::<F>(position, span, attributes)
            }
            FastPath::Fallback => slow(),
        }
    }

    /// A thread enters a span.
    #[inline(always)]
    pub(crate) fn enter(&self, id: impl AsKey) {
        if !fast::enter_at::<F, true>(&self.timed_slots, F::likely(id), id) {
            self.enter_slow(id);
        }
    }

    // `cold`, here and below, and not `inline(never)`: generic functions marked so are shared between
    // crates through a table of addresses, and a conditional jump cannot go through that.
    #[cold]
    fn enter_slow(&self, id: impl AsKey) {
        let Self { fast_recorder, timed_slots, untimed_slots, .. } = self;
        let key = id.key();
        let first = F::first(timed_slots, key);
        if !F::IS_DIRECT && fast::enter_at::<F, true>(timed_slots, first, key) {
            return F::remember(local::of_owner(), first);
        }
        if fast::enter_at::<F, false>(untimed_slots, F::likely(key), key) {
            return;
        }
        if let Some(position) = fast::enter_recorded::<F>(fast_recorder, timed_slots, first, key) {
            return F::remember(local::of_owner(), position);
        }
        if let Some(recorder) = self.recorder().filter(|_| !F::is_none(key)) {
            recorder.enter_slow(self.layer, key);
        }
    }

    /// A thread leaves a span.
    #[inline(always)]
    pub(crate) fn exit(&self, id: impl AsKey) {
        if !fast::exit_innermost::<F, true>(&self.timed_slots, id) {
            self.exit_slow(id);
        }
    }

    // `inline(never)` in this case; otherwise its caller reads the id too soon.
    #[inline(never)]
    fn exit_slow(&self, id: impl AsKey) {
        let Self { fast_recorder, timed_slots, untimed_slots, .. } = self;
        let key = id.key();
        if let Some(position) = fast::exit_recorded::<F>(fast_recorder, timed_slots, key) {
            return F::remember(local::of_owner(), position);
        }
        if fast::exit_innermost::<F, false>(untimed_slots, key) {
            return;
        }
        if let Some(recorder) = self.recorder().filter(|_| !F::is_none(key))
            && !F::exit_unrecorded(recorder, self.layer, key)
        {
            recorder.exit_slow(self.layer, key);
        }
    }

    /// A handle of a span is dropped, or the span closes. Returns whether it has closed.
    #[inline(always)]
    pub(crate) fn close(&self, key: u64) -> bool {
        // This may be a call, so it comes first, when no values have to be saved.
        if fast::is_panicking() {
            // A layer is somewhere inside of others: so its address is computed for one call instead of
            // two.
            return if F::IS_DIRECT { self.close_slow(key) } else { self.close_unusual(key) };
        }
        match fast::close_once::<F>(&self.timed_slots, key) {
            Some(position) => F::keep(&self.fast_recorder.open, position),
            None => self.close_unusual(key),
        }
    }

    /// The same for a span that was not entered exactly once.
    #[cold]
    fn close_unusual(&self, key: u64) -> bool {
        if !F::IS_DIRECT && fast::is_panicking() {
            return self.close_slow(key);
        }
        let Self { timed_slots, untimed_slots, .. } = self;
        if let Some(position) = fast::close_with::<F>(timed_slots, key, publish_again) {
            return F::keep(&self.fast_recorder.open, position);
        }
        let untimed = publish_without_times::<false>;
        if let Some(position) = fast::close_with::<F>(untimed_slots, key, untimed) {
            return F::keep(&self.fast_recorder.open, position);
        }
        let never_entered = publish_without_times::<true>;
        match fast::close_with::<F>(timed_slots, key, never_entered) {
            Some(position) => F::keep(&self.fast_recorder.open, position),
            None => self.close_slow(key),
        }
    }

    #[cold]
    fn close_slow(&self, key: u64) -> bool {
        self.recorder().is_some_and(|recorder| F::close_slow(recorder, self.layer, key))
    }

    /// Fields are recorded into an open span.
    pub(crate) fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(recorder) = self.recorder() {
            recorder.record(self.layer, id.into_u64(), values);
        }
    }

    /// A span follows from another one.
    pub(crate) fn follows_from(&self, id: &Id, follows: &Id) {
        if let Some(recorder) = self.recorder() {
            recorder.follows_from(self.layer, id.into_u64(), follows.into_u64());
        }
    }

    /// An event happens. `hears_all` tells whether the front end hears of all spans that the thread
    /// enters.
    #[inline(always)]
    pub(crate) fn event(
        &self,
        event: &Event<'_>,
        hears_all: impl FnOnce() -> bool,
        ancestor: FindAncestor<'_>,
    ) {
        if let Some(recorder) = self.recorder() {
            let answer = self.filter.answer_to_event(event);
            let source = Source { layer: self.layer, hears_all: hears_all() };
            recorder.event(source, event, answer, ancestor);
        }
    }
}
