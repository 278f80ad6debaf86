//! Scopes that are spans of `tracing` like any other.
//!
//! Where a filter decides anew each time, or hides spans from the layer, where two profilers listen, or somebody who is not
//! ours, nobody but `tracing` can tell who is to hear of a span and what its parent is. So it is made there.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Debug;

use tracing_core::field::{self, Field, Value, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Metadata, dispatcher};

use super::values::{ScopeFields, ScopeValues};

thread_local! {
    /// Those of this thread that are open, each at the index that its guard knows.
    static OPEN: RefCell<Vec<Option<Ordinary>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ordinary {
    dispatch: Dispatch,
    id: Id,
}

/// Opens one and enters it, if it is wanted, which is asked for unless it is known. Says its index.
pub(super) fn enter(
    metadata: &'static Metadata<'static>,
    is_enabled: bool,
    values: &dyn ScopeValues,
) -> Option<u32> {
    let made = dispatcher::get_default(|dispatch| {
        if !is_enabled && !dispatch.enabled(metadata) {
            return None;
        }
        let none = metadata.fields().value_set(&[]);
        let id = dispatch.new_span(&Attributes::new(metadata, &none));
        Some(Ordinary { dispatch: dispatch.clone(), id })
    });
    let span = made?;
    values.add_to(0, &mut ScopeFields::of_visitor(&mut Recording(metadata, &span), metadata));
    span.dispatch.enter(&span.id);
    put(span)
}

/// Leaves the one at this index, and closes it.
#[cold]
#[inline(never)]
pub(super) fn close(index: usize) {
    let take = |open: &RefCell<Vec<Option<Ordinary>>>| {
        let mut open = open.try_borrow_mut().ok()?;
        let span = open.get_mut(index)?.take();
        while open.pop_if(|last| last.is_none()).is_some() {}
        span
    };
    // Gone only with the thread's variables: the span stays open then.
    if let Some(Ordinary { dispatch, id }) = OPEN.try_with(take).ok().flatten() {
        // A `Registry` closes the parent, if nothing else keeps that open, for the subscriber that the thread has then:
        // perhaps another one by now.
        dispatcher::with_default(&dispatch, || {
            dispatch.exit(&id);
            dispatch.try_close(id);
        });
    }
}

/// Keeps one for its guard. Where that cannot be, it is over at once.
fn put(span: Ordinary) -> Option<u32> {
    let mut span = Some(span);
    let index = OPEN.try_with(|open| {
        let mut open = open.try_borrow_mut().ok()?;
        let index = u32::try_from(open.len()).ok()?;
        open.push(span.take());
        Some(index)
    });
    if let Some(Ordinary { dispatch, id }) = span {
        dispatch.exit(&id);
        dispatch.try_close(id);
    }
    index.ok().flatten()
}

/// Records each field of a span by itself.
struct Recording<'a>(&'static Metadata<'static>, &'a Ordinary);

impl Recording<'_> {
    fn record(&self, field: &Field, value: &dyn Value) {
        let Self(metadata, Ordinary { dispatch, id }) = self;
        let values = [(field, Some(value))];
        dispatch.record(id, &Record::new(&metadata.fields().value_set(&values)));
    }
}

impl Visit for Recording<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, &value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.record(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, &field::debug(value));
    }
}
