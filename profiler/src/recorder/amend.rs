//! What is added to an open span: fields, and links to other spans.

use std::sync::Arc;

use tracing_core::span::Record;

use super::Recorder;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::local::{self, NoThreadState, Unavailable};
use crate::recorder::losses::Kind;
use crate::recorder::record::{self, Link};

impl Recorder {
    /// Fields are recorded into an open span.
    pub(crate) fn record(self: &Arc<Self>, layer: u16, key: u64, values: &Record<'_>) {
        let token = match local::get(self) {
            Ok(token) => token,
            Err(why) => {
                if why == Unavailable::Reentrant
                    && let Some((_, span)) = self.open.find(layer, key)
                {
                    // From inside another callback: the values are not recorded, and the span is marked
                    // as incomplete.
                    span.set_left_out();
                }
                return;
            }
        };
        let Some((position, span)) = token.find(&self.open, layer, key) else { return };
        let id = span.id();
        let metadata = self.callsites.metadata(record::callsite(span.origin(), span.head()));
        let declared = metadata.map_or(FIELDS_MAX, |metadata| metadata.fields().len());
        let record = |fields: &mut FieldBuffer| {
            fields.begin(declared);
            token.in_user_code(|| values.record(fields));
            // The values' own code may have closed the span.
            if !span.is(layer, key) || span.id() != id {
                return;
            }
            let kept = self.open.record_fields(position, id, fields.words(), declared);
            fields.mark(span, kept);
        };
        match local::with_thread_state(|thread_state| record(&mut thread_state.fields)) {
            Ok(()) => {}
            Err(NoThreadState::InUse) => span.set_left_out(),
            Err(NoThreadState::Gone) => record(&mut FieldBuffer::new(self.field_words_max)),
        }
    }

    /// A span follows from another one.
    pub(crate) fn follows_from(self: &Arc<Self>, layer: u16, key: u64, follows: u64) {
        let both = self.open.find(layer, key).zip(self.open.find(layer, follows));
        let Some(((_, span), (_, follows))) = both else { return };
        if let Err(why) = local::get(self) {
            return self.drop_reentrant(Kind::Link, why);
        }
        let link = Link { span: span.id(), follows: follows.id() }.words();
        self.publish(Kind::Link, 1, |_| link);
    }
}
