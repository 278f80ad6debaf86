//! Where a layer stands among others, as far as its level hint has to know.
//!
//! `tracing-subscriber` combines the hints of two layers by taking the larger one, and to give none is
//! less than to give any: a layer that gives `DEBUG` silences what is `TRACE` for one beside it that
//! gives none, as `fmt` does, because it wants all there is. Only where it knows of a layer with
//! a filter of its own does it let "none" win. So we say
//!
//! * our level if we are alone on a registry,
//! * our level, as a layer with a filter does, if there is one layer above us; whatever that says, the
//!   combination is right then,
//! * our level above others that gave a hint: what we add to it takes nothing from anybody,
//! * nothing wherever we are not sure: then all is dispatched to us as it is to the others.
//!
//! What is below tells itself when the layer is put upon it. For each layer that is put above,
//! `tracing-subscriber` asks those below, by a downcast to a private marker, whether they have a filter
//! of their own; these questions are counted. The markers are found by a layer that listens to them
//! ([`Markers`]); should a version to come ask in another way, none is found, and we say nothing.
//!
//! A layer of a profiler that is switched off says what `None` says, which nobody takes for a wish.
//!
//! The same questions tell whether the layer hears of all spans: a filter around it answers for itself. So
//! who is asked once he is put upon something has none around him.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing_core::subscriber::NoSubscriber;
use tracing_core::{LevelFilter, Subscriber};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::Registry;

/// Not put upon anything yet.
const NOWHERE: u8 = 0;
/// Somewhere that says too little.
const UNSURE: u8 = 1;
/// Nobody below wants anything.
const LOWEST: u8 = 2;
/// All below have said what they want.
const BOUNDED: u8 = 3;

/// The marker types that `tracing-subscriber` downcasts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Markers {
    /// For "has a filter of its own".
    filter: Option<TypeId>,
    /// For "is a layer that is not there".
    none: Option<TypeId>,
}

impl Markers {
    /// Asked for when a layer is made, and kept.
    fn get() -> Option<&'static Self> {
        static FOUND: OnceLock<Markers> = OnceLock::new();
        if FOUND.get().is_none() {
            // Not inside the lock of the `OnceLock`: this allocates.
            _ = FOUND.set(Self::listen());
        }
        FOUND.get()
    }

    fn listen() -> Self {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let layered = Listener(Rc::clone(&heard)).with_subscriber(NoSubscriber::default());
        let filter = heard.borrow_mut().pop();
        heard.borrow_mut().clear();
        let _hint = layered.max_level_hint();
        let none = heard.borrow_mut().pop();
        Self { filter, none: none.filter(|none| Some(*none) != filter) }
    }
}

/// Hears what it is taken for.
struct Listener(Rc<RefCell<Vec<TypeId>>>);

impl Listener {
    fn hear(&self, id: TypeId) -> Option<*const ()> {
        self.0.borrow_mut().push(id);
        None
    }
}

impl<S: Subscriber> Layer<S> for Listener {
    spandrel_ring::unsafe_method!(downcast_raw, TypeId, Option<*const ()>, hear);
}

thread_local! {
    /// One of our layers was asked for its hint.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Placement {
    /// By reference, and none is a value too: the layer would else have more values that it never
    /// takes than the registry below, and the compiler would put that behind it, which costs an
    /// instruction in each callback to get there.
    markers: Option<&'static Markers>,
    below: AtomicU8,
    /// How often it was asked for a filter of its own: once for itself, once for each layer above.
    questions: AtomicU8,
}

impl Placement {
    pub(crate) fn new() -> Self {
        Self { markers: Markers::get(), below: AtomicU8::new(NOWHERE), questions: AtomicU8::new(0) }
    }

    // Relaxed, here and below: a subscriber is put together by one thread before it is installed.

    /// The layer is put upon a subscriber.
    pub(crate) fn put_on<S: Subscriber>(&self, below: &S) {
        let is_registry = TypeId::of::<S>() == TypeId::of::<Registry>();
        ASKED.set(false);
        let hint = below.max_level_hint();
        // That of another profiler's layer may change, as this one's does.
        let is_another_of_us = ASKED.replace(false);
        let in_tree = self.questions.load(Ordering::Relaxed) > 0;
        let again = self.below.load(Ordering::Relaxed) != NOWHERE;
        let place = match hint {
            _ if in_tree || again || is_another_of_us => UNSURE,
            None if is_registry => LOWEST,
            Some(LevelFilter::OFF) => LOWEST,
            Some(_) => BOUNDED,
            None => UNSURE,
        };
        self.below.store(place, Ordering::Relaxed);
    }

    /// Whether to be taken for the type of this id, a marker: as a layer that is not there, or as one
    /// with a filter of its own. Calls `hears_all` if the question shows that there is no filter around
    /// this layer.
    pub(crate) fn is(&self, id: TypeId, is_absent: bool, hears_all: impl FnOnce()) -> bool {
        let Some(markers) = self.markers else { return false };
        if is_absent {
            return Some(id) == markers.none;
        }
        if Some(id) != markers.filter {
            return false;
        }
        let count = |n: u8| Some(n.saturating_add(1));
        let before = self.questions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        let below = self.below.load(Ordering::Relaxed);
        if below != NOWHERE {
            hears_all();
        }
        // The first question is about ourselves, the second one is of the layer above.
        before == Ok(1) && below == LOWEST
    }

    /// The hint for a layer that wants no more than `level`.
    pub(crate) fn hint(&self, level: LevelFilter) -> Option<LevelFilter> {
        ASKED.set(true);
        let layers_above = self.questions.load(Ordering::Relaxed).checked_sub(1)?;
        match self.below.load(Ordering::Relaxed) {
            BOUNDED => Some(level),
            LOWEST if layers_above <= 1 => Some(level),
            _ => None,
        }
    }
}
