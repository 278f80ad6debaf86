//! Scopes, in the general case.

use std::sync::Arc;

use tracing_core::Metadata;

use super::{FindAncestor, Recorder, Source};
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, Entered, NoThreadState, ThreadToken};
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::open_spans::{INLINE_WORDS, INSIDE, NewSpan, POLL, SlotPosition, SpanSlot};
use crate::recorder::record::{self, ENTERED};
use crate::recorder::sites::Answer;

/// The layer whose spans scopes are among.
const LAYER: u16 = 0;

/// What is known of a scope before its fields are.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// Callsite and parent, as in the [`record`].
    origin: u64,
    /// As in [`NewSpan`].
    head: u64,
    /// An id, 0 for the scope's own.
    root: u64,
}

impl Recorder {
    /// Counts a scope that would be kept, and cannot be.
    pub(crate) fn refuse_scope(&self, answer: Answer) {
        if answer == Answer::Full {
            self.drop_one(Kind::Span, DropReason::CallsitesFull);
        }
    }

    /// Opens a scope, and says its slot. The thread's next one finds a slot that is kept for it.
    pub(crate) fn open_scope(
        self: &Arc<Self>,
        callsite: CallsiteNumber,
        metadata: &'static Metadata<'static>,
        ancestor: FindAncestor<'_>,
        visit: &mut dyn FnMut(&mut FieldBuffer),
    ) -> Option<SlotPosition> {
        let token = match local::get(self) {
            Ok(token) => token,
            Err(why) => {
                self.drop_reentrant(Kind::Span, why);
                return None;
            }
        };
        if self.ring.is_closed() {
            self.drop_one(Kind::Span, self.closed_reason());
            return None;
        }
        // Before the fields: as of a span.
        let (parent, root) = self.around_scope(token, ancestor);
        let origin = Origin {
            origin: record::id_and(parent, record::callsite_low(callsite)),
            head: token.head() | record::callsite_high(callsite) | self.flags(callsite),
            root,
        };
        if let Some(owner) = self.table_owner() {
            token.add_scope_slot(owner, &self.open, self.scope_head(token.thread()));
        }
        if metadata.fields().is_empty() {
            return self.insert_scope(token, origin, None);
        }
        let mut fill = |fields: &mut FieldBuffer| {
            fields.begin(metadata.fields().len());
            token.in_user_code(|| visit(fields));
            self.insert_scope(token, origin, Some(fields))
        };
        let inserted = local::with_thread_state(|thread_state| fill(&mut thread_state.fields));
        inserted.unwrap_or_else(|why| match why {
            // The handler of a signal: as of a span.
            NoThreadState::InUse => {
                let position = self.insert_scope(token, origin, None)?;
                self.open.span(position).set_left_out();
                Some(position)
            }
            NoThreadState::Gone => fill(&mut FieldBuffer::new(self.field_words_max)),
        })
    }

    fn insert_scope(
        &self,
        token: ThreadToken,
        Origin { origin, head, root }: Origin,
        fields: Option<&FieldBuffer>,
    ) -> Option<SlotPosition> {
        let Some(position) = token.take_slot(&self.open).or_else(|| self.open.take_slot()) else {
            self.drop_one(Kind::Span, DropReason::OpenSpansFull);
            return None;
        };
        let start = self.clock.ticks();
        let id = token.next_id(self, start);
        let root = if root == 0 { id } else { root };
        let words = fields.map_or(&[][..], FieldBuffer::words);
        let (here, more) =
            if words.len() <= INLINE_WORDS { (words, &[][..]) } else { (&[][..], words) };
        let new = NewSpan { head: self.head_inside(head), id, root, start };
        self.open.fill(position, LAYER, origin, &new, here);
        let span = self.open.span(position);
        if let Some(fields) = fields {
            let kept =
                more.is_empty() || self.open.append_fields(position, id, more, fields.declared());
            fields.mark(span, kept);
        }
        self.enter_scope(token, position, span);
        Some(position)
    }

    /// `head` of the scopes of this thread whose callsite's number has no more than 16 bits.
    fn scope_head(&self, thread: u32) -> u64 {
        let entered = if self.busy_time { 0 } else { POLL };
        u64::from(thread) | u64::from(INSIDE) | entered
    }

    /// The header of the record of such a one that was entered once, at once, by its own thread only.
    pub(crate) fn scope_header(&self, thread: u32) -> u64 {
        let kind = if self.busy_time { 0 } else { record::UNTIMED };
        (self.scope_head(thread) + u64::from(ENTERED - INSIDE)) | kind
    }

    /// Completes a scope whose fields are in its slot, for whoever has the table. Returns its id.
    pub(crate) fn complete_scope(
        &self,
        token: ThreadToken,
        (position, span): (SlotPosition, &SpanSlot),
        callsite: u64,
        words: usize,
        ancestor: FindAncestor<'_>,
    ) -> u64 {
        let (parent, root) = self.around_scope(token, ancestor);
        let start = self.clock.ticks();
        let id = token.next_id(self, start);
        let root = if root == 0 { id } else { root };
        token.take_scope_slot(span);
        span.set_words(words);
        span.set_origin(parent | callsite);
        token.expect_here(span);
        span.complete_scope(id, root, start);
        token.push_here(local::link_of(position, id));
        id
    }

    /// The parent of a new scope and its root; 0 if there is none.
    fn around_scope(&self, token: ThreadToken, ancestor: FindAncestor<'_>) -> (u64, u64) {
        let parent = self.contextual(token, Source::hearing_all(LAYER), ancestor);
        parent.map_or((0, 0), |parent| (parent.id(), parent.root()))
    }

    /// What `head` says of one whose owner is inside from the beginning on.
    fn head_inside(&self, head: u64) -> u64 {
        if self.busy_time { head | u64::from(INSIDE) } else { head }
    }

    fn enter_scope(&self, token: ThreadToken, position: SlotPosition, span: &SpanSlot) {
        if !self.busy_time {
            span.begin_first_entry_untimed(span.head());
        }
        token.push_own(position, span);
    }

    /// A scope ends.
    pub(crate) fn close_scope(self: &Arc<Self>, position: SlotPosition) {
        let span = self.open.span(position);
        let now = self.clock.ticks();
        // Also from inside another callback. Else the span is over, and its slot stays what the thread is in.
        let token = local::get(self).ok().or_else(|| local::look(self));
        if let Some(token) = token {
            self.leave_own(token, LAYER, (position, span), Entered::Own(position), now);
        }
        self.publish_closed(position, span, now);
        match token {
            Some(_) => self.open.remove_direct(position),
            None => self.open.close(position, 0),
        }
    }
}
