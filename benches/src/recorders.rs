//! What records the spans, from nothing at all to spandrel.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spandrel::{Entries, Profiler, ProfilerBuilder};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// A subscriber to compare, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorder {
    /// No subscriber.
    Nobody,
    /// `Registry` without a layer. Nothing tells it then to let go of spans that have closed, so it
    /// grows: fewer instructions, but more time, than with a layer that does nothing.
    Registry,
    /// `Registry` and a layer that does nothing: the floor of every layer, and the measure of ours.
    Noop,
    /// `Registry` and a layer that keeps each span's start in its `Extensions`, as most layers do.
    Extensions,
    /// `Registry` and spandrel's layer.
    Spandrel,
    /// The smallest possible subscriber, which only hands out ids: the floor of every subscriber.
    Ids,
    /// Spandrel's own subscriber, without `Registry`.
    Subscriber,
    /// The same with `busy_time(false)`: two readings of the clock instead of four.
    Untimed,
    /// The same subscriber, with a rule that records all entries of other spans.
    Ruled,
    /// Spandrel's layer, with its ring in a file.
    InFileLayer,
    /// Spandrel's own subscriber, with its ring in a file.
    InFile,
}

/// With its ring in a file.
#[cfg(feature = "crash-proof")]
pub fn in_file(builder: ProfilerBuilder) -> ProfilerBuilder {
    builder.crash_proof(true)
}

/// The same, of a program that was built without.
///
/// # Panics
///
/// Always.
#[cfg(not(feature = "crash-proof"))]
#[allow(clippy::panic, reason = "a benchmark of what is not there")]
pub fn in_file(_: ProfilerBuilder) -> ProfilerBuilder {
    panic!("this takes the feature `crash-proof`")
}

impl Recorder {
    /// Those that record, or could, in the order of the tables.
    pub const ALL: [Self; 11] = [
        Self::Nobody,
        Self::Registry,
        Self::Noop,
        Self::Extensions,
        Self::Spandrel,
        Self::Ids,
        Self::Subscriber,
        Self::Untimed,
        Self::Ruled,
        Self::InFileLayer,
        Self::InFile,
    ];

    /// The name in tables and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "no_subscriber",
            Self::Registry => "registry",
            Self::Noop => "noop_layer",
            Self::Extensions => "extensions",
            Self::Spandrel => "spandrel",
            Self::Ids => "ids_only",
            Self::Subscriber => "subscriber",
            Self::Untimed => "untimed",
            Self::Ruled => "ruled",
            Self::InFileLayer => "in_file_layer",
            Self::InFile => "in_file",
        }
    }

    /// The recorder of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recorder| recorder.name() == name)
    }

    /// Makes this recorder the process's subscriber, once and for all. (A subscriber of one thread
    /// would do too, but `tracing` finds it more slowly and counts its references, which no
    /// program that runs in earnest pays for.) Spandrel writes to `database`, the others ignore it.
    ///
    /// # Panics
    ///
    /// If there is a subscriber already, or the profiler cannot be built.
    #[must_use]
    pub fn install(
        self,
        database: &Path,
        ring_capacity: usize,
        threads: usize,
    ) -> Option<Profiler> {
        let registry = tracing_subscriber::registry();
        match self {
            Self::Nobody => Ok(()),
            Self::Registry => subscriber::set_global_default(registry),
            Self::Noop => subscriber::set_global_default(registry.with(NoopLayer)),
            Self::Extensions => subscriber::set_global_default(registry.with(ExtensionsLayer)),
            Self::Ids => subscriber::set_global_default(IdsOnly(AtomicU64::new(1))),
            Self::Spandrel
            | Self::Subscriber
            | Self::Untimed
            | Self::Ruled
            | Self::InFileLayer
            | Self::InFile => {
                let mut builder = Profiler::builder();
                let is_in_file = matches!(self, Self::InFileLayer | Self::InFile);
                if is_in_file {
                    builder = in_file(builder);
                }
                if self == Self::Ruled {
                    builder = builder.entries_of("others", Entries::All);
                }
                let profiler = builder
                    .database(database)
                    .ring_capacity(ring_capacity)
                    .partitions(threads)
                    .busy_time(self != Self::Untimed)
                    .close_timeout(Duration::from_secs(600))
                    .build()
                    .expect("the profiler starts");
                assert_eq!(profiler.stats().crash_proof_error, None);
                if !matches!(self, Self::Spandrel | Self::InFileLayer) {
                    profiler.subscriber().init().expect("this is the only subscriber");
                } else {
                    subscriber::set_global_default(registry.with(profiler.layer::<Registry>()))
                        .expect("this is the only subscriber");
                }
                return Some(profiler);
            }
        }
        .expect("this is the only subscriber");
        None
    }
}

/// Does nothing.
#[derive(Debug)]
pub struct NoopLayer;

impl<S: Subscriber> Layer<S> for NoopLayer {}

struct IdsOnly(AtomicU64);

impl Subscriber for IdsOnly {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        let id = self.0.load(Ordering::Relaxed);
        self.0.store(id + 1, Ordering::Relaxed);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Keeps each span's start in its `Extensions`, as most layers do.
#[derive(Debug)]
pub struct ExtensionsLayer;

struct Start(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ExtensionsLayer {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Start(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(start) = span.extensions().get::<Start>()
        {
            black_box(start.0.elapsed());
        }
    }
}
