//! Threads enter spans and leave them.

use std::sync::Arc;

use tracing_core::Metadata;

use super::Recorder;
use super::entries::Ending;
use crate::recorder::local::{self, Detailed, Entered, ThreadToken};
use crate::recorder::open_spans::{Measured, SlotPosition, SpanSlot};
use crate::recorder::record::{self, id_of};

impl Recorder {
    /// Key and callsite of the span of a direct layer that the thread is in.
    pub(crate) fn current(&self, layer: u16) -> Option<(u64, &'static Metadata<'static>)> {
        // A scope has no key: for `tracing`, the thread is in the span around the scope.
        let span = local::look(self)?.current_with_key(&self.open, layer)?;
        let metadata = self.callsites.metadata(record::callsite(span.origin(), span.head()))?;
        Some((self.open.key(layer, span), metadata))
    }

    /// A thread enters a span: the general case.
    #[inline(never)]
    pub(crate) fn enter_slow(self: &Arc<Self>, layer: u16, key: u64) {
        // A callback inside another one is ignored: its span goes on without this entry. Nothing is
        // counted, as the span itself is not lost.
        let Ok(token) = local::get(self) else { return };
        let Some((position, span)) = token.find(&self.open, layer, key) else {
            return self.enter_unrecorded(token, layer, key);
        };
        let foreign = self.open.foreign(position);
        if span.is_owned_by(token.thread()) {
            let is_aside =
                !span.has_owner_inside() && self.note_own_around(token, layer, (position, span));
            let measured = Measured { times: self.busy_time, entries: self.has_entries() };
            if span.own_enter(foreign, measured, || self.poll_ticks()) {
                match layer {
                    0 => token.push_own(position, span),
                    _ => token.push_detailed(Detailed::new(layer, key, position, 0)),
                }
                if is_aside {
                    span.set_aside();
                }
            }
        } else if let Some(Entered::Detailed(index, mut again)) =
            token.entered(&self.open, layer, key)
        {
            again.depth = again.depth.saturating_add(1);
            token.update(index, again);
        } else {
            self.note_around(token, layer, (position, span));
            let now = self.poll_ticks();
            span.begin_foreign_entry(foreign, now);
            token.push_detailed(Detailed::new(layer, key, position, now));
        }
    }

    /// A thread leaves a span: the general case.
    #[inline(never)]
    pub(crate) fn exit_slow(self: &Arc<Self>, layer: u16, key: u64) {
        // As in `enter_slow`.
        let Ok(token) = local::get(self) else { return };
        let Some(entered) = token.entered(&self.open, layer, key) else {
            // A signal handler may have entered a span that its thread was just entering or leaving.
            if let Some((_, span)) = token.find(&self.open, layer, key)
                && span.is_owned_by(token.thread())
                && span.is_nested()
            {
                span.own_exit(|| self.poll_ticks());
                return;
            }
            // The span may have been closed since, on another thread or inside another callback.
            if let Some((closed, position)) = token.closed(&self.open) {
                token.leave(&self.open, closed);
                self.open.remove(position);
            }
            return;
        };
        let position = match entered {
            Entered::Detailed(_, unrecorded) if unrecorded.is_unrecorded() => {
                return token.leave(&self.open, entered);
            }
            Entered::Own(position) | Entered::Detailed(_, Detailed { position, .. }) => position,
        };
        let span = self.open.span(position);
        if !span.is(layer, key) {
            return token.leave(&self.open, entered); // closed, as above
        }
        token.set_last_position(position);
        let now = self.poll_ticks();
        if span.is_owned_by(token.thread()) {
            if span.is_nested() {
                span.own_exit(|| now);
                return;
            }
            return self.leave_own(token, layer, (position, span), entered, now);
        }
        let mut ending = None;
        if let Entered::Detailed(index, mut detailed) = entered {
            if detailed.depth > 1 {
                detailed.depth -= 1;
                return token.update(index, detailed);
            }
            self.open.foreign(position).end(detailed.since, now, token.thread());
            ending =
                self.has_entries().then(|| self.ending_foreign(position, span, detailed.since));
        }
        let around = ending.map(|_| self.around(token, layer, entered));
        token.leave(&self.open, entered);
        if let (Some(ending), Some(around)) = (ending, around) {
            self.record_entry(token, (position, span), ending, around, now);
            token.set_long_age(self.long_age());
        }
    }

    /// A thread leaves a span of its own, which it has entered once more than left.
    pub(super) fn leave_own(
        &self,
        token: ThreadToken,
        layer: u16,
        (position, span): (SlotPosition, &SpanSlot),
        entered: Entered,
        now: u64,
    ) {
        let is_aside = span.is_aside();
        let ending = self.has_entries().then(|| self.ending_own(position, span)).flatten();
        // If a thread was inside the parent when the owner entered, the span knows what it has to say
        // about that, whatever was left since.
        let is_apart = is_aside && self.open.foreign(position).is_looked_at();
        let ending = ending.map(|ending| Ending { is_apart, ..ending });
        let around = ending.map(|_| self.around(token, layer, entered));
        token.leave(&self.open, entered);
        // Last, as in the fast paths.
        span.own_exit(|| now);
        if is_aside {
            // The next entry, too, has to check where it is.
            token.expect_nowhere(span);
        }
        if let (Some(ending), Some(around)) = (ending, around) {
            self.record_entry(token, (position, span), ending, around, now);
            token.set_long_age(self.long_age());
        }
    }

    /// A thread is about to enter a span: is it elsewhere than inside the span's parent? Returns whether
    /// it is inside another span, or such an entry has been before, so that this one has to be recorded.
    fn note_around(
        &self,
        token: ThreadToken,
        layer: u16,
        (position, span): (SlotPosition, &SpanSlot),
    ) -> bool {
        if !self.has_entries() {
            return false;
        }
        let around = token.current(&self.open, layer).map_or(0, SpanSlot::id);
        if around != id_of(span.origin()) {
            span.set_stray(self.open.foreign(position));
        }
        around != 0 && self.open.foreign(position).is_stray()
    }

    /// The same for the owner, which is outside of the span.
    fn note_own_around(
        &self,
        token: ThreadToken,
        layer: u16,
        (position, span): (SlotPosition, &SpanSlot),
    ) -> bool {
        let is_aside = self.note_around(token, layer, (position, span));
        let foreign = self.open.foreign(position);
        if foreign.is_stray() {
            span.set_looked_at(foreign);
        }
        is_aside
    }

    /// The entry that the span's owner is about to end; `None` if it is not inside.
    fn ending_own(&self, position: SlotPosition, span: &SpanSlot) -> Option<Ending> {
        let (entered, count) = span.own_entry()?;
        let is_first = count == 1 && self.open.foreign(position).count() == 0;
        Some(Ending { entered, count, is_first, is_apart: false })
    }

    /// The entry that another thread has just ended.
    fn ending_foreign(&self, position: SlotPosition, span: &SpanSlot, entered: u64) -> Ending {
        let count = self.open.foreign(position).count();
        let is_first = count == 1 && !span.was_entered_by_owner();
        Ending { entered, count, is_first, is_apart: true }
    }
}
