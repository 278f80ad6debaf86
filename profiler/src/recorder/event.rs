//! An event happens.

use std::sync::Arc;

use tracing_core::{Event, Level, Metadata};

use super::{FindAncestor, Recorder, Source};
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::local::{self, NoThreadState, ThreadToken};
use crate::recorder::losses::{DropReason, Kind};
use crate::recorder::open_spans::SpanSlot;
use crate::recorder::record::{self, EVENT_WORDS, EventHead, slots};
use crate::recorder::sites::Answer;
use crate::recorder::status_hints::{is_of_instrument, may_be_of_instrument};

impl Recorder {
    /// An event happens; `answer` is that of the front end's filter.
    #[inline]
    pub(crate) fn event(
        self: &Arc<Self>,
        source: Source,
        event: &Event<'_>,
        answer: Answer,
        ancestor: FindAncestor<'_>,
    ) {
        if answer == Answer::Below {
            return;
        }
        match local::get(self) {
            Ok(token) => self.event_in(token, source, event, answer, ancestor),
            Err(why) if answer != Answer::Marks => self.drop_reentrant(Kind::Event, why),
            Err(_) => {}
        }
    }

    fn event_in(
        &self,
        token: ThreadToken,
        source: Source,
        event: &Event<'_>,
        answer: Answer,
        ancestor: FindAncestor<'_>,
    ) {
        let span = if event.is_contextual() {
            self.contextual(token, source, ancestor)
        } else {
            let named = event.parent();
            named.and_then(|parent| self.named(token, source.layer, parent.into_u64(), ancestor))
        };
        if let Some(span) = span
            && self.says_failed(event.metadata(), span)
        {
            span.set_failed();
        }
        let callsite = match answer {
            Answer::Kept(callsite) => callsite,
            Answer::Full => return self.drop_one(Kind::Event, DropReason::CallsitesFull),
            Answer::Marks | Answer::Below | Answer::ByTarget(_) => return,
        };
        let span = span.map_or(0, SpanSlot::id);
        let published = local::with_thread_state(|thread_state| {
            self.publish_event(token, &mut thread_state.fields, span, callsite, event)
        });
        match published {
            Ok(()) => {}
            Err(NoThreadState::InUse) => self.drop_one(Kind::Event, DropReason::Reentrant),
            Err(NoThreadState::Gone) => {
                let mut fields = FieldBuffer::new(self.field_words_max);
                self.publish_event(token, &mut fields, span, callsite, event);
            }
        }
    }

    /// Whether an event says that the span in which it happens has failed.
    #[inline]
    fn says_failed(&self, event: &Metadata<'_>, span: &SpanSlot) -> bool {
        *event.level() == Level::ERROR
            || may_be_of_instrument(event) && self.is_of_instrument(event, span)
    }

    #[cold]
    fn is_of_instrument(&self, event: &Metadata<'_>, span: &SpanSlot) -> bool {
        let callsite = record::callsite(span.origin(), span.head());
        let of = self.callsites.metadata(callsite);
        of.is_some_and(|of| is_of_instrument(event, of))
    }

    fn publish_event(
        &self,
        token: ThreadToken,
        fields: &mut FieldBuffer,
        span: u64,
        callsite: CallsiteNumber,
        event: &Event<'_>,
    ) {
        let at = self.clock.ticks();
        fields.begin_event(event.metadata().fields().len());
        token.in_user_code(|| event.record(fields));
        let id = token.next_id(self, at);
        let (thread, left_out) = (token.thread(), fields.has_left_out());
        let head = EventHead { callsite, thread, left_out, id, span, at };
        let words = fields.words();
        let mut all = head.words(words.len()).into_iter().chain(words.iter().copied());
        self.publish(Kind::Event, slots(EVENT_WORDS + words.len()), |_| {
            std::array::from_fn(|_| all.next().unwrap_or(0))
        });
    }
}
