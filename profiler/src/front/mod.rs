//! Front ends: how `tracing` calls the recorder.

mod ancestry;
mod fast;
mod filter;
mod front_end;
mod layer;
mod linked_span;
#[cfg(feature = "log")]
pub(crate) mod log_records;
#[cfg(feature = "opentelemetry")]
mod open_telemetry;
mod placement;
mod subscriber;

pub use self::filter::FilterHandle;
pub use self::layer::ProfilerLayer;
pub use self::subscriber::Subscriber;
