//! Callsites that are made while the program runs.

use std::sync::OnceLock;

use tracing::dispatcher::Dispatch;
use tracing::metadata::{Kind, Level, Metadata};
use tracing::span::Attributes;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::{Event, Interest};

/// A callsite that is made while the program runs. It lives as long as the process.
struct Made(OnceLock<Metadata<'static>>);

impl Callsite for Made {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("made before it is used")
    }
}

/// A new callsite, without fields.
pub fn make(name: String, level: Level, kind: Kind) -> &'static Metadata<'static> {
    let made: &'static Made = Box::leak(Box::new(Made(OnceLock::new())));
    let fields = FieldSet::new(&[], Identifier(made));
    let name: &'static str = name.leak();
    let metadata = Metadata::new(name, "made", level, None, None, None, fields, kind);
    made.0.get_or_init(|| metadata)
}

/// What the macros do: asks, and makes a span, or an event, if it is wanted.
pub fn use_callsite(dispatch: &Dispatch, metadata: &'static Metadata<'static>) {
    if dispatch.register_callsite(metadata).is_never() || !dispatch.enabled(metadata) {
        return;
    }
    let values = metadata.fields().value_set(&[]);
    if metadata.is_event() {
        return dispatch.event(&Event::new(metadata, &values));
    }
    let id = dispatch.new_span(&Attributes::new(metadata, &values));
    dispatch.enter(&id);
    dispatch.exit(&id);
    dispatch.try_close(id);
}
