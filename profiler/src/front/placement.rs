//! Where a layer stands among others: its level hint depends on that.
//!
//! `tracing-subscriber` combines the hints of two layers by taking the larger one, and no hint counts as
//! less than any hint: a layer with the hint `DEBUG` silences `TRACE` for a layer beside it that gives
//! no hint, such as `fmt`, because it wants everything. Only if it knows of a layer with a filter of its
//! own does it let "none" win. So the hint is
//!
//! * our level if we are alone on a registry,
//! * our level, and we claim to have a filter of our own, if there is one layer above us: then the
//!   combination is right whatever that layer says,
//! * our level above layers that have all given a hint: what we add to it takes nothing from anybody,
//! * none if we are not sure: then everything is dispatched to us, as it is to the others.
//!
//! What is below is known when the layer is put on top of it. For each layer that is put above,
//! `tracing-subscriber` asks the layers below, by a downcast to a private marker type, whether they have
//! a filter of their own; these questions are counted. The marker types are found by a test layer that
//! notes what it is asked ([`Markers`]). If a future version asks in another way, no markers are found,
//! and we give no hint.
//!
//! The layer of a profiler that is switched off answers like an `Option` that is `None`, which has no
//! effect on others.
//!
//! The same questions tell whether the layer hears of all spans: a filter around it would answer them
//! itself. So a layer that is asked after it was put on top of something has no filter around it.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing_core::subscriber::NoSubscriber;
use tracing_core::{LevelFilter, Subscriber};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::Registry;

/// Not yet on top of anything.
const NOWHERE: u8 = 0;
/// On top of something about which too little is known.
const UNSURE: u8 = 1;
/// The layers below want nothing.
const LOWEST: u8 = 2;
/// All layers below have given a hint.
const BOUNDED: u8 = 3;

/// The marker types that `tracing-subscriber` downcasts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Markers {
    /// The type that stands for "has a filter of its own".
    filter: Option<TypeId>,
    /// The type that stands for "is a layer that does not exist".
    none: Option<TypeId>,
}

impl Markers {
    /// Found when a layer is first made, and kept.
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

/// A layer that notes which types it is asked for.
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

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Placement {
    /// A reference, which may be `None`. Otherwise the layer would have more unused bit patterns than
    /// the registry, and the compiler would place the registry after it; to get there would cost an
    /// instruction in each callback.
    markers: Option<&'static Markers>,
    below: AtomicU8,
    /// How often it was asked whether it has a filter of its own: once about itself, then once for each
    /// layer above.
    questions: AtomicU8,
}

impl Placement {
    pub(crate) fn new() -> Self {
        Self { markers: Markers::get(), below: AtomicU8::new(NOWHERE), questions: AtomicU8::new(0) }
    }

    // Relaxed, here and below: one thread builds a subscriber before it is installed.

    /// The layer is put on top of a subscriber.
    pub(crate) fn put_on<S: Subscriber>(&self, below: &S) {
        let is_registry = TypeId::of::<S>() == TypeId::of::<Registry>();
        ASKED.set(false);
        let hint = below.max_level_hint();
        // The hint of another profiler's layer may change later, just as ours may.
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

    /// Whether to answer a downcast to this type, a marker: as a layer that does not exist, or as one
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
        // The first question is about this layer; the second one is asked for the layer above.
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
