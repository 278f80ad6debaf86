//! A span is created.

use std::sync::Arc;

use tracing_core::span::Attributes;

use super::{FindAncestor, Recorder, Source};
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, NoThreadState, ThreadToken};
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::open_spans::{INLINE_WORDS, LONG, NewSpan};
use crate::recorder::record;
use crate::recorder::sites::Answer;

impl Recorder {
    /// A span is created: the general case. `answer` is that of the front end's filter. Returns the
    /// span's key if it is recorded: `key`, or a new one if the layer is direct.
    #[inline(never)]
    pub(crate) fn new_span_slow(
        self: &Arc<Self>,
        source: Source,
        key: u64,
        attributes: &Attributes<'_>,
        answer: Answer,
        ancestor: FindAncestor<'_>,
    ) -> Option<u64> {
        if matches!(answer, Answer::Below | Answer::Marks) {
            return None;
        }
        match local::get(self) {
            Ok(token) => self.new_span_in(token, source, key, attributes, answer, ancestor),
            Err(why) => {
                self.drop_reentrant(Kind::Span, why);
                None
            }
        }
    }

    #[inline(always)]
    fn new_span_in(
        &self,
        token: ThreadToken,
        source: Source,
        key: u64,
        attributes: &Attributes<'_>,
        answer: Answer,
        ancestor: FindAncestor<'_>,
    ) -> Option<u64> {
        if self.ring.is_closed() {
            self.drop_one(Kind::Span, self.closed_reason());
            return None;
        }
        let metadata = attributes.metadata();
        let Answer::Kept(callsite) = answer else {
            self.drop_one(Kind::Span, DropReason::CallsitesFull);
            return None;
        };
        // Before the fields: a part of a very deep chain is in the thread's own state, which the fields
        // use.
        let parent = if attributes.is_contextual() {
            self.contextual(token, source, ancestor)
        } else {
            let named = attributes.parent();
            named.and_then(|parent| self.named(token, source.layer, parent.into_u64(), ancestor))
        };
        let (parent, root) = parent.map_or((0, 0), |span| (span.id(), span.root()));
        let origin = Origin {
            layer: source.layer,
            origin: record::id_and(parent, record::callsite_low(callsite)),
            head: token.head() | record::callsite_high(callsite) | self.flags(callsite),
            root,
        };
        if metadata.fields().is_empty() {
            return self.insert_span(token, key, origin, None);
        }
        let inserted = local::with_thread_state(|thread_state| {
            let fields = &mut thread_state.fields;
            fields.begin(metadata.fields().len());
            token.in_user_code(|| attributes.record(fields));
            self.insert_span(token, key, origin, Some(fields))
        });
        inserted.unwrap_or_else(|why| match why {
            NoThreadState::InUse => self.insert_span_without_fields(token, key, origin),
            NoThreadState::Gone => {
                self.insert_span_of_ending_thread(token, key, origin, attributes)
            }
        })
    }

    /// The flags in the `head` of a new span.
    pub(super) fn flags(&self, callsite: CallsiteNumber) -> u64 {
        if self.records_all(callsite) { u64::from(LONG) } else { 0 }
    }

    /// A signal handler has interrupted the thread while it uses its buffer: the span without its fields
    /// is better than no span.
    #[cold]
    #[inline(never)]
    fn insert_span_without_fields(
        &self,
        token: ThreadToken,
        key: u64,
        origin: Origin,
    ) -> Option<u64> {
        let layer = origin.layer;
        let key = self.insert_span(token, key, origin, None)?;
        if let Some((_, span)) = token.find(&self.open, layer, key) {
            span.set_left_out();
        }
        Some(key)
    }

    #[cold]
    #[inline(never)]
    fn insert_span_of_ending_thread(
        &self,
        token: ThreadToken,
        key: u64,
        origin: Origin,
        attributes: &Attributes<'_>,
    ) -> Option<u64> {
        let mut fields = FieldBuffer::new(self.field_words_max);
        fields.begin(attributes.metadata().fields().len());
        token.in_user_code(|| attributes.record(&mut fields));
        self.insert_span(token, key, origin, Some(&fields))
    }

    fn insert_span(
        &self,
        token: ThreadToken,
        key: u64,
        origin: Origin,
        fields: Option<&FieldBuffer>,
    ) -> Option<u64> {
        let Origin { layer, origin, head, root } = origin;
        let start = self.clock.ticks();
        let id = token.next_id(self, start);
        let root = if root == 0 { id } else { root };
        let new = NewSpan { head, id, root, start };
        let words = fields.map_or(&[][..], FieldBuffer::words);
        let (here, more) =
            if words.len() <= INLINE_WORDS { (words, &[][..]) } else { (&[][..], words) };
        let inserted = if self.open.is_direct(layer) {
            let position = token.take_slot(&self.open).or_else(|| self.open.take_slot());
            position.map(|position| {
                (position, self.open.insert_at(position, layer, origin, &new, here))
            })
        } else {
            self.open.insert(layer, key, origin, &new, here).map(|position| (position, key))
        };
        let Some((position, key)) = inserted else {
            self.drop_one(Kind::Span, DropReason::OpenSpansFull);
            return None;
        };
        if let Some(fields) = fields {
            let kept =
                more.is_empty() || self.open.append_fields(position, id, more, fields.declared());
            fields.mark(self.open.span(position), kept);
        }
        if layer == 0 {
            token.expect_inside(&self.open, record::id_of(origin), self.open.span(position));
        }
        token.set_last_position(position);
        Some(key)
    }
}

/// What a new span gets from its surroundings.
#[derive(Debug, Clone, Copy)]
struct Origin {
    layer: u16,
    /// Callsite and parent, as in a [`record`].
    origin: u64,
    /// As in [`NewSpan`].
    head: u64,
    /// The id of the root; 0 if it is its own root.
    root: u64,
}
