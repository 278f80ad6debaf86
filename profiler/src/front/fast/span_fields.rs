//! A span with fields is created: the part that begins with the visit of its fields.

use spandrel_ring::timestamp;
use tracing_core::span::Attributes;

use super::inline_fields::InlineFields;
use crate::recorder::Recorder;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, ThreadToken};
use crate::recorder::open_spans::{NewSpan, SpanSlot};

impl Recorder {
    /// Visits the fields of a contextual span of the first layer and opens it. The caller has taken a
    /// slot, stored the callsite in it, and begun a change, which ends here. Returns its id.
    ///
    /// After the visit of the fields there is no way back, because code of the user's may have run. So
    /// rare cases are called from here, and not left to the general path. During the visit only one
    /// value has to be saved: the span, which the visitor has.
    #[inline(always)]
    pub(super) fn fill_with_fields(
        &self,
        token: ThreadToken,
        span: &SpanSlot,
        attributes: &Attributes<'_>,
    ) -> u64 {
        let mut visitor = InlineFields::new(span);
        attributes.record(&mut visitor);
        let Some(words) = visitor.len_if_inline() else {
            return self.complete_overflowed(token, attributes, &visitor);
        };
        let span = visitor.span();
        let start = timestamp::read();
        let id = token.next_id_in_change(self, start);
        // Each case ends by itself: after a call, the thread's cells would have to be looked up again.
        // And no two of them end alike, as in `complete_plain`.
        if token.is_outside() {
            span.set_words(words);
            token.expect_outside(span);
            span.complete(&NewSpan { head: token.fast_head(), id, root: id, start });
            token.end_change();
            return id;
        }
        let Some((_, parent)) = self.parent_fast(token) else {
            return self.complete_slow(token, span, words);
        };
        span.set_words(words);
        token.expect_here(span);
        span.set_origin(parent.id() | span.origin());
        span.complete(&NewSpan { head: token.fast_head(), id, root: parent.root(), start });
        token.end_change();
        id
    }

    /// Opens a span whose fields and callsite are in its slot, if its parent has to be looked for.
    /// Returns its id.
    #[cold]
    #[inline(never)]
    fn complete_slow(&self, token: ThreadToken, span: &SpanSlot, words: usize) -> u64 {
        let id = self.complete_in_change(token, span, words);
        token.end_change();
        id
    }

    fn complete_in_change(&self, token: ThreadToken, span: &SpanSlot, words: usize) -> u64 {
        // If the layer has not recorded the parent, that was found out before.
        let parent = token.current(&self.open, 0);
        let (parent, root) = parent.map_or((0, 0), |span| (span.id(), span.root()));
        span.set_origin(parent | span.origin());
        token.expect_inside(&self.open, parent, span);
        let start = timestamp::read();
        let id = token.next_id_in_change(self, start);
        let root = if root == 0 { id } else { root };
        span.set_words(words);
        span.complete(&NewSpan { head: token.head(), id, root, start });
        id
    }

    /// The same if the slot has no room for all fields.
    #[cold]
    #[inline(never)]
    fn complete_overflowed(
        &self,
        token: ThreadToken,
        attributes: &Attributes<'_>,
        visitor: &InlineFields<'_>,
    ) -> u64 {
        // If the thread is ending and has no buffer any more, all fields go through another one.
        let words = if visitor.has_failed() { 0 } else { visitor.len() };
        let span = visitor.span();
        let id = self.complete_in_change(token, span, words);
        let append = |fields: &FieldBuffer| {
            let position = self.open.position_of(span);
            let kept = self.open.append_fields(position, id, fields.words(), fields.declared());
            fields.mark(span, kept);
        };
        if visitor.has_failed() {
            let mut fields = FieldBuffer::new(self.field_words_max);
            fields.begin(attributes.metadata().fields().len());
            token.in_user_code(|| attributes.record(&mut fields));
            append(&fields);
        } else {
            let appended = local::with_thread_state(|thread_state| append(&thread_state.fields));
            if appended.is_err() {
                span.set_left_out();
            }
        }
        token.end_change();
        id
    }
}
