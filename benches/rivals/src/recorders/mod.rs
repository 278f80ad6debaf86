//! The recorders, each in its file with its setting and what it keeps.

mod counting_file;
mod dial9;
mod fastrace_native;
mod fastrace_tracing;
mod floors;
mod fmt_json;
mod hotpath;
#[cfg(feature = "lttng")]
mod lttng;
mod opentelemetry;
mod puffin;
pub mod spandrel;
mod tracing_chrome;
mod tracing_flame;
mod tracing_timing;
#[cfg(feature = "tracy")]
mod tracing_tracy;

use crate::recorder::Entry;

/// All of them, in the order of the table. A recorder is added here, and nowhere else.
pub const ALL: &[&Entry] = &[
    &floors::NOBODY,
    &floors::NOOP,
    &spandrel::LAYER,
    &spandrel::SUBSCRIBER,
    &spandrel::UNTIMED,
    &spandrel::SCOPES,
    &tracing_chrome::ENTRY,
    &tracing_flame::ENTRY,
    &opentelemetry::ENTRY,
    &dial9::ENTRY,
    &tracing_timing::ENTRY,
    &fmt_json::ENTRY,
    #[cfg(feature = "tracy")]
    &tracing_tracy::ENTRY,
    &fastrace_tracing::ENTRY,
    &fastrace_native::ENTRY,
    &hotpath::ENTRY,
    &puffin::ENTRY,
    #[cfg(feature = "lttng")]
    &lttng::ENTRY,
];

/// The floor of every layer.
pub const FLOOR: &Entry = &floors::NOOP;

/// What spandrel's subscriber is held against, on the same trees.
pub const FASTEST_RIVAL: &Entry = &fastrace_native::ENTRY;

/// The recorder of that key.
pub fn find(key: &str) -> Option<&'static Entry> {
    ALL.iter().copied().find(|entry| entry.key() == key)
}
