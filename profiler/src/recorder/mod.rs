//! What every front end does with a span: the core between `tracing`'s callbacks and the ring.
//!
//! Nothing here takes a lock, allocates or calls the system after a thread's first span (and before
//! its locals are destroyed); every loop is bounded. A field's `Debug` runs before anything of the
//! ring is claimed.

pub(crate) mod account;
mod amend;
pub(crate) mod callsites;
pub(crate) mod chunks;
pub(crate) mod clock;
mod close;
pub(crate) mod counters;
mod enter_exit;
mod entries;
pub(crate) mod entry_rules;
mod event;
pub(crate) mod field_buffer;
pub(crate) mod field_room;
pub(crate) mod fields;
#[cfg(feature = "opentelemetry")]
mod given_ids;
mod kin;
pub(crate) mod late;
pub(crate) mod local;
pub(crate) mod log_events;
pub(crate) mod losses;
mod memory;
mod new_span;
pub(crate) mod open_spans;
pub(crate) mod page_map;
mod publish;
pub(crate) mod record;
pub(crate) mod recording;
pub(crate) mod rule;
pub(crate) mod said;
pub(crate) mod sites;
pub(crate) mod stats;
pub(crate) mod tally;
pub(crate) mod threads;

pub(crate) use self::kin::{FindAncestor, IsRecorded, NO_ANCESTOR, Source};
pub(crate) use self::recording::{DoesNotFit, Recorder, RecorderOptions};
