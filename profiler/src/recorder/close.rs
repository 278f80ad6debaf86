//! A span closes.

use std::sync::Arc;

use spandrel_ring::ClaimError;

use super::Recorder;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::losses::Kind;
use crate::recorder::open_spans::{SlotPosition, SpanSlot};
use crate::recorder::record::{ClosingSpan, Entries, SLOT_WORDS, Status, slots};
use crate::recorder::status_hints::StatusHints;

impl Recorder {
    /// A handle of a span of a direct layer is cloned.
    pub(crate) fn add_handle(&self, layer: u16, key: u64) {
        if let Some((position, _)) = self.open.find(layer, key) {
            self.open.add_handle(position);
        }
    }

    /// A handle of a span of a direct layer is dropped: the general case. Returns whether it was the
    /// last one; then the span is closed.
    #[inline(never)]
    pub(crate) fn drop_handle_slow(self: &Arc<Self>, layer: u16, key: u64) -> bool {
        let Some((position, span)) = self.open.find(layer, key) else { return false };
        if span.is_cloned() && !self.open.drop_handle(position) {
            return false;
        }
        self.close_slow(layer, key);
        true
    }

    /// A span closes: the general case.
    #[inline(never)]
    pub(crate) fn close_slow(self: &Arc<Self>, layer: u16, key: u64) {
        // Also from inside another callback: the span is over.
        let token = local::get(self).ok();
        let found = match token {
            Some(token) => token.find(&self.open, layer, key),
            None => self.open.find(layer, key),
        };
        let Some((position, span)) = found else { return };
        self.publish_closed(position, span, self.clock.ticks());
        if let Some(token) = token.filter(|token| span.is_owned_by(token.thread()))
            && let Some(entered) = token.entered(&self.open, layer, key)
        {
            // Its own thread is still inside.
            token.leave(&self.open, entered);
        }
        self.open.close(position, token.map_or(0, ThreadToken::thread));
    }

    pub(super) fn publish_closed(&self, position: SlotPosition, span: &SpanSlot, end: u64) {
        let in_place = span.field_words();
        // What the fields do not tell about the status, if there is anything.
        let said =
            Some(span.status_hints()).filter(|said| !said.is_nothing()).map(StatusHints::word);
        let field_words = in_place + usize::from(said.is_some());
        let foreign = self.open.foreign(position);
        let entries = span.entries(foreign, end);
        // If entries are not recorded, it is not known where they were.
        let inside = self.has_entries().then(|| span.inside_parent(foreign, end)).flatten();
        let around = (foreign.is_stray(), inside);
        let closing = closing(span, end, entries, around, self.busy_time);
        let (before, n) = closing.words(field_words);
        let fields = (0..in_place)
            .step_by(SLOT_WORDS)
            .flat_map(|index| self.open.fields_at(span, index))
            .take(in_place);
        let mut words = before.as_flattened()[..n].iter().copied().chain(fields).chain(said);
        let published = self.try_publish(Kind::Span, slots(n + field_words), |_| {
            std::array::from_fn(|_| words.next().unwrap_or(0))
        });
        if let Err(refused) = published
            // A closing writer may have stored this span as unfinished already.
            && (refused.error != ClaimError::Closed
                || self.open.try_claim_close(position, span.id()))
        {
            self.drop_refused(Kind::Span, refused);
        }
    }
}

/// The record of a span that closes.
fn closing(
    span: &SpanSlot,
    end: u64,
    entries: Entries,
    (is_stray, inside): (bool, Option<u64>),
    is_timed: bool,
) -> ClosingSpan {
    let status = if std::thread::panicking() {
        Status::Panicked
    } else if span.is_failed() {
        Status::Error
    } else {
        Status::Ok
    };
    ClosingSpan {
        head: span.head(),
        origin: span.origin(),
        status,
        left_out: span.has_left_out(),
        is_stray,
        inside,
        id: span.id(),
        root: span.root(),
        start: span.start(),
        end,
        entries,
        is_timed,
    }
}
