//! How long entries take, by two layers around the one that is tested.
//!
//! Each is a plain layer with a mutex. One hears of an entry before the layer between them does, the other
//! after it; so whatever happens to the thread meanwhile, the entry as that layer saw it is at least as long
//! as from the second's beginning to the first's end, and at most as long as from the first's beginning to
//! the second's end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tracing::{Id, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// What both layers saw.
#[derive(Debug, Clone, Default)]
pub struct EntryWitness(Arc<Mutex<Seen>>);

/// An entry that goes on: its name and beginnings.
type Going = (&'static str, [Option<Instant>; 2]);

#[derive(Debug, Default)]
struct Seen {
    going: HashMap<(u64, ThreadId), Going>,
    /// The end by the first layer, until the second has seen it, too.
    ending: HashMap<(u64, ThreadId), Instant>,
    entries: Vec<(&'static str, Duration, Duration)>,
}

/// One of the two layers.
#[derive(Debug)]
pub struct Half {
    seen: EntryWitness,
    is_first: bool,
}

impl EntryWitness {
    /// The layer to add before the one that is tested, and the one to add after it.
    pub fn layers(&self) -> (Half, Half) {
        let half = |is_first| Half { seen: self.clone(), is_first };
        (half(true), half(false))
    }

    /// The longest entry of spans of a name, at least and at most.
    pub fn longest(&self, name: &str) -> (Duration, Duration) {
        let seen = self.0.lock().unwrap();
        let of_name = seen.entries.iter().filter(|entry| entry.0 == name);
        of_name.fold((Duration::ZERO, Duration::ZERO), |longest, entry| {
            (longest.0.max(entry.1), longest.1.max(entry.2))
        })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Half {
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let key = (id.into_u64(), thread::current().id());
        let name = context.span(id).unwrap().name();
        let mut seen = self.seen.0.lock().unwrap();
        let going = seen.going.entry(key).or_insert((name, [None; 2]));
        going.1[usize::from(!self.is_first)] = Some(Instant::now());
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let now = Instant::now();
        let key = (id.into_u64(), thread::current().id());
        let mut seen = self.seen.0.lock().unwrap();
        if self.is_first {
            seen.ending.insert(key, now);
            return;
        }
        let (name, [first, second]) = seen.going.remove(&key).unwrap();
        let ended = seen.ending.remove(&key).unwrap();
        seen.entries.push((name, ended - second.unwrap(), now - first.unwrap()));
    }
}
