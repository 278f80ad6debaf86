//! The front end that is a whole `tracing` subscriber.

use std::any::TypeId;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata};
use tracing_subscriber::filter::Targets;

use super::fast::Indexed;
use super::filter::FilterHandle;
use super::front_end::FrontEnd;
use crate::error::{Error, ErrorKind};
use crate::recorder::open_spans::free_list::UNRECORDED;
use crate::recorder::sites::Answer;
use crate::recorder::{NO_ANCESTOR, Recorder, Source};

/// A `tracing` subscriber that records every span and event, and does nothing else.
///
/// Made by [`Profiler::subscriber`](crate::Profiler::subscriber).
///
/// # Which front end?
///
/// | | [`ProfilerSubscriber`] | [`ProfilerLayer`](crate::ProfilerLayer) on `Registry` |
/// |---|---|---|
/// | other layers beside it (`fmt`, OpenTelemetry, ...) | none | any |
/// | filter | [`with_max_level`](Self::with_max_level), [`with_filter`](Self::with_filter), changed at run time by a [`FilterHandle`] | any per-layer or global one |
/// | cost of a span | about a third | that of `Registry`, and a third more |
/// | more than 4,096 live threads | yes | `Registry` panics |
/// | a span that is opened while a thread's locals are destroyed | recorded | `Registry` panics or aborts |
/// | a span ends when | its last handle is dropped | its last handle is dropped *and* all of its children have ended |
///
/// So: the subscriber if the profile is all that is wanted of `tracing`, the layer otherwise. Both
/// may be used in one program, each on threads or in scopes of its own; they write to the same file.
///
/// ```
/// # #[cfg(feature = "database")] {
/// # let folder = tempfile::tempdir()?;
/// # let profiler = spandrel::Profiler::builder().database(folder.path().join("profile.db")).build()?;
/// profiler.subscriber().init()?;
///
/// tracing::info_span!("greet", name = "world").in_scope(|| tracing::info!("hello"));
///
/// assert_eq!(profiler.close()?.stored, 1);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a subscriber does nothing until it is installed"]
pub struct ProfilerSubscriber {
    front: FrontEnd<Indexed>,
}

impl ProfilerSubscriber {
    pub(crate) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        Self { front: FrontEnd::new(recorder) }
    }

    /// Records nothing more verbose than this;
    /// [`ProfilerBuilder::events`](crate::ProfilerBuilder::events) is a second limit for events.
    /// Replaces the levels and the filter of the builder.
    pub fn with_max_level(self, level: impl Into<LevelFilter>) -> Self {
        self.front.filter.set_max_level(level.into());
        self
    }

    /// Records exactly what these targets and levels enable, spans and events alike; a text like
    /// `info,my_crate::db=debug` can be parsed into it. Replaces the levels and the filter of the
    /// builder.
    pub fn with_filter(self, filter: Targets) -> Self {
        self.front.filter.set_targets(filter);
        self
    }

    /// A handle to change the filter while the subscriber is installed.
    #[must_use]
    pub fn filter_handle(&self) -> FilterHandle {
        FilterHandle::new(&self.front.filter)
    }

    /// Installs this as the subscriber of the whole program.
    ///
    /// With the feature `log`, which is on by default, records of the `log` crate become events, as
    /// with `tracing_subscriber`'s `init`: they have the target, file and line that they were logged
    /// with. [`log::max_level`] follows the filter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LoggerInstalled`] when the program has a logger already. The subscriber is
    /// installed then, and records what comes from `tracing`.
    ///
    /// [`ErrorKind::AlreadyInstalled`] when the program has a global subscriber; nothing is recorded
    /// by this one then. Use [`tracing::subscriber::with_default`] for a part of a program, or a
    /// [layer](crate::Profiler::layer) beside others.
    ///
    /// [`log::max_level`]: https://docs.rs/log/latest/log/fn.max_level.html
    /// [`tracing::subscriber::with_default`]: https://docs.rs/tracing/latest/tracing/subscriber/fn.with_default.html
    pub fn init(self) -> Result<(), Error> {
        let installed = tracing_core::dispatcher::set_global_default(Dispatch::new(self));
        // Callsites that another thread met before the installation were switched off.
        tracing_core::callsite::rebuild_interest_cache();
        installed.map_err(|source| {
            let message = "cannot install the subscriber: the program has one already; add the \
                           profiler to that one as a layer (`Profiler::layer`)";
            Error::new(ErrorKind::AlreadyInstalled, message).with_source(source)
        })?;
        #[cfg(feature = "log")]
        super::log_records::take()?;
        Ok(())
    }

    #[inline(never)]
    fn new_span_slow(&self, attributes: &Attributes<'_>) -> NonZeroU64 {
        let FrontEnd { fast_recorder, sites, filter, layer, .. } = &self.front;
        if let Some(key) = fast_recorder.new_span_with_new_ids::<Indexed>(sites, (), attributes) {
            return key;
        }
        let answer = filter.answer(attributes.metadata());
        let source = Source::hearing_all(*layer);
        let open = |recorder: &Arc<Recorder>| {
            recorder.new_span_slow(source, 0, attributes, answer, NO_ANCESTOR)
        };
        self.front.recorder().and_then(open).and_then(NonZeroU64::new).unwrap_or(UNRECORDED)
    }
}

impl fmt::Debug for ProfilerSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfilerSubscriber")
            .field("enabled", &self.front.recorder().is_some())
            .field("filter", &self.front.filter)
            .finish()
    }
}

impl ProfilerSubscriber {
    fn downcast(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<FrontEnd<Indexed>>() {
            return Some(std::ptr::from_ref(&self.front).cast()); // scopes ask for it
        }
        (id == TypeId::of::<Self>()).then(|| std::ptr::from_ref(self).cast())
    }
}

impl tracing_core::Subscriber for ProfilerSubscriber {
    spandrel_ring::unsafe_method!(downcast_raw, TypeId, Option<*const ()>, downcast);

    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.front.filter.set_dispatch(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if self.front.recorder().is_none() {
            return false;
        }
        let own = metadata.callsite().0.metadata();
        if !std::ptr::eq(metadata, own) {
            return self.front.filter.is_on_once(metadata, own);
        }
        self.front.filter.answer(own) != Answer::Below
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.front.filter.max_level())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let slow = || self.new_span_slow(attributes);
        Id::from_non_zero_u64(self.front.new_span((), attributes, slow))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.front.record(id, values);
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.front.follows_from(id, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.front.event(event, || true, NO_ANCESTOR);
    }

    fn enter(&self, id: &Id) {
        self.front.enter(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        self.front.exit(id.into_u64());
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(recorder) = self.front.recorder() {
            recorder.add_handle(self.front.layer, id.into_u64());
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.front.close(id.into_u64())
    }

    fn current_span(&self) -> Current {
        let current = self.front.recorder().and_then(|recorder| recorder.current(self.front.layer));
        current
            .map_or_else(Current::none, |(key, metadata)| Current::new(Id::from_u64(key), metadata))
    }
}
