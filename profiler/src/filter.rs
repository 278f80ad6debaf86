//! Which spans and events our own subscriber takes.
//!
//! `tracing` asks about a callsite once and keeps the answer, so a span of a callsite that is off
//! costs a load and a comparison. When the filter changes, it is made to ask about all of them again.
//! Answers are kept here, too, for whoever asks about a single span: no question takes a lock but
//! the first one about a callsite.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use tracing_core::dispatcher::{self, WeakDispatch};
use tracing_core::{Dispatch, LevelFilter, Metadata, callsite};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::Registry;

use crate::callsites::CALLSITES_MAX;
use crate::mutex::Mutex;
use crate::recorder::Recorder;

/// Not asked yet.
const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// A filter that can be changed while it is in use.
pub(crate) struct Filter {
    present: Mutex<Present>,
    /// The subscriber as `tracing` knows it.
    dispatch: Mutex<Option<WeakDispatch>>,
    /// By the number of the callsite.
    answers: Box<[AtomicU8]>,
}

struct Present {
    targets: Targets,
    /// The callsites that were asked about, with their numbers: answered at once when the filter
    /// changes, so that nobody else has to.
    asked: Vec<(usize, &'static Metadata<'static>)>,
}

impl Filter {
    pub(crate) fn new() -> Self {
        Self {
            present: Mutex::new(Present { targets: everything(), asked: Vec::new() }),
            dispatch: Mutex::new(None),
            answers: std::iter::repeat_with(|| AtomicU8::new(UNKNOWN))
                .take(CALLSITES_MAX)
                .collect(),
        }
    }

    /// Whether spans and events of this callsite are wanted.
    pub(crate) fn is_on(&self, recorder: &Recorder, metadata: &'static Metadata<'static>) -> bool {
        let number = recorder.callsites.number(metadata).map_or(usize::MAX, usize::from);
        // Relaxed: a late answer is that of a moment ago.
        match self.answers.get(number).map(|answer| answer.load(Ordering::Relaxed)) {
            Some(ON) => true,
            Some(OFF) => false,
            _ => self.ask(number, metadata),
        }
    }

    /// The same about metadata that are not the callsite's own: those of a record that comes from the
    /// `log` crate have its target, and a callsite in common with all others of their level.
    #[cold]
    pub(crate) fn is_on_once(&self, metadata: &Metadata<'_>) -> bool {
        let present = self.present.lock();
        present.is_some_and(|p| p.targets.would_enable(metadata.target(), metadata.level()))
    }

    #[cold]
    fn ask(&self, number: usize, metadata: &'static Metadata<'static>) -> bool {
        // The answer is kept under the lock, so that it is not one of a filter that was replaced.
        // A forked child that cannot have it wants nothing.
        let Some(mut present) = self.present.lock() else { return false };
        let is_on = present.targets.would_enable(metadata.target(), metadata.level());
        // Two threads may ask about the same callsite at once.
        if let Some(answer) = self.answers.get(number)
            && answer.swap(answer_of(is_on), Ordering::Relaxed) == UNKNOWN
        {
            present.asked.push((number, metadata));
        }
        is_on
    }

    /// Nothing beyond this level is wanted of any callsite.
    pub(crate) fn max_level(&self) -> Option<LevelFilter> {
        let Some(present) = self.present.lock() else { return Some(LevelFilter::OFF) };
        Layer::<Registry>::max_level_hint(&present.targets)
    }

    /// `tracing` knows of the subscriber from now on.
    pub(crate) fn set_dispatch(&self, dispatch: &Dispatch) {
        if let Some(mut known) = self.dispatch.lock() {
            *known = Some(dispatch.downgrade());
        }
    }

    /// Makes `tracing` ask about all callsites again.
    fn rebuild(&self) {
        let known = self.dispatch.lock();
        let dispatch = known.as_deref().and_then(|known| known.as_ref()?.upgrade());
        drop(known);
        if let Some(dispatch) = dispatch {
            // As long as a program has one subscriber, `tracing` asks that of the calling thread, and
            // the thread need not have one.
            dispatcher::with_default(&dispatch, callsite::rebuild_interest_cache);
        }
    }

    pub(crate) fn set(&self, targets: Targets) {
        let Some(mut present) = self.present.lock() else { return };
        for (number, metadata) in &present.asked {
            let is_on = targets.would_enable(metadata.target(), metadata.level());
            if let Some(answer) = self.answers.get(*number) {
                // Relaxed: as above.
                answer.store(answer_of(is_on), Ordering::Relaxed);
            }
        }
        present.targets = targets;
    }
}

fn answer_of(is_on: bool) -> u8 {
    if is_on { ON } else { OFF }
}

/// The filter that takes all there is.
fn everything() -> Targets {
    Targets::new().with_default(LevelFilter::TRACE)
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = self.present.lock().map(|present| present.targets.to_string());
        f.debug_tuple("Filter").field(&targets).finish()
    }
}

/// Changes the filter of a [`Subscriber`](crate::Subscriber) while it is installed.
///
/// Made by [`Subscriber::filter_handle`](crate::Subscriber::filter_handle). Once the subscriber is
/// gone, it does nothing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let profiler = spandrel::Profiler::builder().database(folder.path().join("profile.db")).build()?;
/// use tracing::Level;
///
/// let subscriber = profiler.subscriber().with_max_level(Level::INFO);
/// let filter = subscriber.filter_handle();
/// tracing::subscriber::with_default(subscriber, || {
///     assert!(tracing::debug_span!("query").is_disabled());
///     filter.set("info,my_crate::db=debug".parse::<tracing_subscriber::filter::Targets>()?);
///     assert!(!tracing::debug_span!(target: "my_crate::db", "query").is_disabled());
///     Ok::<(), tracing_subscriber::filter::ParseError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FilterHandle(Weak<Filter>);

impl FilterHandle {
    pub(crate) fn new(filter: &Arc<Filter>) -> Self {
        Self(Arc::downgrade(filter))
    }

    /// From now on just what `targets` enables is recorded. Spans that are open go on.
    ///
    /// # Blocking
    ///
    /// Takes `tracing`'s own lock on its list of callsites and asks about each of them again. No
    /// thread that records waits for it.
    pub fn set(&self, targets: Targets) {
        if let Some(filter) = self.0.upgrade() {
            filter.set(targets);
            filter.rebuild();
        }
    }

    /// The same with one level for all targets.
    pub fn set_max_level(&self, level: impl Into<LevelFilter>) {
        self.set(Targets::new().with_default(level));
    }

    /// The present filter; `None` once the subscriber is gone.
    #[must_use]
    pub fn targets(&self) -> Option<Targets> {
        let filter = self.0.upgrade()?;
        let present = filter.present.lock()?;
        Some(present.targets.clone())
    }
}
