//! How long spans were entered, by two plain layers around the one that is tested.
//!
//! One hears of an entry before the layer between them does, the other after it; so whatever happens to the
//! thread meanwhile, the entry as that layer saw it is at least as long as from the second's beginning to the
//! first's end, and at most as long as from the first's beginning to the second's end.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The name of a span and the value of its field `name`, which is empty without one.
pub type Name = (String, String);

/// How long an entry took in nanoseconds, at least and at most.
pub type Entry = (i64, i64);

/// What both layers saw.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    going: HashMap<(u64, ThreadId), [Option<Instant>; 2]>,
    /// The end by the first layer, until the second has seen it, too.
    ending: HashMap<(u64, ThreadId), Instant>,
    /// In the order of their ends.
    entries: BTreeMap<Name, Vec<Entry>>,
}

/// One of the two layers.
#[derive(Debug)]
pub struct Half {
    seen: Witness,
    is_first: bool,
}

impl Witness {
    /// The layer to add before the one that is tested, and the one to add after it.
    pub fn layers(&self) -> (Half, Half) {
        let half = |is_first| Half { seen: self.clone(), is_first };
        (half(true), half(false))
    }

    /// All entries so far, in the order of their ends.
    pub fn entries(&self) -> BTreeMap<Name, Vec<Entry>> {
        self.0.lock().unwrap().entries.clone()
    }
}

/// The field `name` while a span's fields are looked through.
struct NameField(String);

impl Visit for NameField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            self.0 = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "name" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Half {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.is_first {
            let mut name = NameField(String::new());
            attributes.record(&mut name);
            context.span(id).unwrap().extensions_mut().insert(name);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let key = (id.into_u64(), thread::current().id());
        let mut seen = self.seen.0.lock().unwrap();
        seen.going.entry(key).or_default()[usize::from(!self.is_first)] = Some(Instant::now());
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let now = Instant::now();
        let key = (id.into_u64(), thread::current().id());
        let mut seen = self.seen.0.lock().unwrap();
        if self.is_first {
            seen.ending.insert(key, now);
            return;
        }
        let span = context.span(id).unwrap();
        let extensions = span.extensions();
        let name = (span.name().to_owned(), extensions.get::<NameField>().unwrap().0.clone());
        let [first, second] = seen.going.remove(&key).unwrap();
        let ended = seen.ending.remove(&key).unwrap();
        let entry = (nanoseconds(second.unwrap(), ended), nanoseconds(first.unwrap(), now));
        seen.entries.entry(name).or_default().push(entry);
    }
}

fn nanoseconds(from: Instant, to: Instant) -> i64 {
    to.duration_since(from).as_nanos() as i64
}
