//! Front ends: how `tracing` calls the recorder.

// The two front ends, what both hold, and the common case of their callbacks.
mod callbacks;
mod fast;
mod front_end;
mod layer;
mod subscriber;

// Which spans and events they take.
mod filter;

// What a layer asks the registry, and how it stands among other layers.
mod ancestry;
#[cfg(feature = "opentelemetry")]
mod open_telemetry;
mod placement;

// Records of the `log` crate; a macro for spawned work; spans without `tracing`'s callbacks.
mod linked_span;
#[cfg(feature = "log")]
pub(crate) mod log_records;
pub(crate) mod scope;

pub use self::filter::FilterHandle;
pub use self::layer::ProfilerLayer;
pub use self::subscriber::ProfilerSubscriber;
