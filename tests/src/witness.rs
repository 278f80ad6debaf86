//! Spandrel's own subscriber between two models.
//!
//! It does by itself, with a mutex and maps, what `Registry` does for layers: it counts handles and
//! knows which spans each thread is in. Whatever spandrel's subscriber answers has to be the same.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Instant;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

use crate::comparison::Sandwich;

/// The subscriber; installed in the place of spandrel's.
#[derive(Debug)]
pub struct Witness {
    ours: spandrel::ProfilerSubscriber,
    models: Sandwich,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Handles of the spans that are open.
    handles: HashMap<u64, u64>,
    /// Those of them that have ever had more than one.
    cloned: HashSet<u64>,
    /// The spans that each thread is in, and whether it was in it already.
    stacks: HashMap<ThreadId, Vec<(u64, bool)>>,
}

impl Seen {
    fn current(&self) -> Option<Id> {
        let stack = self.stacks.get(&std::thread::current().id())?;
        // A span that was closed from inside is nobody's parent any more.
        let is_open = |id: &u64| self.handles.contains_key(id);
        let (id, _) = stack.iter().rev().find(|(id, again)| !again && is_open(id))?;
        Some(Id::from_u64(*id))
    }
}

impl Witness {
    /// Shows everything to `models`, too.
    pub fn new(ours: spandrel::ProfilerSubscriber, models: Sandwich) -> Self {
        Self { ours, models, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn parent(&self, is_contextual: bool, named: Option<&Id>) -> Option<Id> {
        let current = self.seen().current();
        assert_eq!(self.ours.current_span().id(), current.as_ref(), "the current span");
        if is_contextual { current } else { named.cloned() }
    }
}

impl Subscriber for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.ours.enabled(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = self.parent(attributes.is_contextual(), attributes.parent());
        let before = Instant::now();
        let id = self.ours.new_span(attributes);
        let after = Instant::now();
        self.models.below.new_span(attributes, &id, parent.clone(), before);
        self.models.above.new_span(attributes, &id, parent, after);
        let handles = self.seen().handles.insert(id.into_u64(), 1);
        assert_eq!(handles, None, "the id of an open span");
        id
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.models.below.record(id, values);
        self.ours.record(id, values);
        self.models.above.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.models.below.follows_from(id, follows);
        self.ours.record_follows_from(id, follows);
        self.models.above.follows_from(id, follows);
    }

    fn event(&self, event: &Event<'_>) {
        let span = self.parent(event.is_contextual(), event.parent());
        self.models.below.event(event, span.clone());
        self.ours.event(event);
        self.models.above.event(event, span);
    }

    fn enter(&self, id: &Id) {
        self.models.below.enter(id);
        self.ours.enter(id);
        self.models.above.enter(id);
        let mut seen = self.seen();
        let stack = seen.stacks.entry(std::thread::current().id()).or_default();
        let again = stack.iter().any(|(entered, _)| *entered == id.into_u64());
        stack.push((id.into_u64(), again));
    }

    fn exit(&self, id: &Id) {
        self.models.below.exit(id);
        self.ours.exit(id);
        self.models.above.exit(id);
        let mut seen = self.seen();
        let stack = seen.stacks.entry(std::thread::current().id()).or_default();
        let last = stack.iter().rposition(|(entered, _)| *entered == id.into_u64());
        stack.remove(last.expect("it was entered"));
    }

    fn clone_span(&self, id: &Id) -> Id {
        let mut seen = self.seen();
        *seen.handles.get_mut(&id.into_u64()).expect("it is open") += 1;
        seen.cloned.insert(id.into_u64());
        drop(seen);
        self.ours.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        let mut seen = self.seen();
        let handles = seen.handles.get_mut(&id.into_u64()).expect("it is open");
        *handles -= 1;
        let is_last = *handles == 0;
        let is_shared = seen.cloned.contains(&id.into_u64());
        if is_last {
            seen.handles.remove(&id.into_u64());
            seen.cloned.remove(&id.into_u64());
        }
        // Of several threads that drop handles of a span at once, the same one is the last for both.
        let _until_it_has_answered = is_shared.then_some(seen);
        if is_last {
            self.models.below.close(&id);
        }
        let closed = self.ours.try_close(id.clone());
        assert_eq!(closed, is_last, "whether the last handle is gone");
        if is_last {
            self.models.above.close(&id);
        }
        closed
    }

    fn current_span(&self) -> Current {
        self.ours.current_span()
    }
}
