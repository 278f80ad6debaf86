//! What every front end does with a span: the core between `tracing`'s callbacks and the ring.
//!
//! After a thread's first span, and before its locals are destroyed, nothing here takes a lock,
//! allocates or calls the system; every loop is bounded. A field's `Debug` runs before anything in the
//! ring is claimed.

// The recorder, and what becomes of records when it has ended.
pub(crate) mod installed;
mod memory;
pub(crate) mod post_close_drain;
pub(crate) mod recording;

// The callbacks, a file for each; publishing.
mod amend;
pub(crate) mod answers;
mod close;
mod enter_exit;
mod entries;
mod event;
mod new_span;
mod publish;
mod scope;
pub(crate) mod scope_owner;

// Which recorded span something belongs to; ids of other systems.
#[cfg(feature = "opentelemetry")]
mod given_ids;
mod parents;

// Open spans; what each thread keeps for itself.
pub(crate) mod local;
pub(crate) mod open_spans;

// Records and fields, as words.
pub(crate) mod field_buffer;
pub(crate) mod field_room;
pub(crate) mod fields;
pub(crate) mod record;
pub(crate) mod status_hints;

// What is recorded: rules, and the decisions about callsites.
pub(crate) mod entry_rules;
pub(crate) mod log_events;
pub(crate) mod rule;
pub(crate) mod sites;
pub(crate) mod tally;

// Small numbers for callsites and threads.
pub(crate) mod callsites;
pub(crate) mod chunks;
pub(crate) mod described;
pub(crate) mod threads;

// Named moments.
#[cfg(feature = "gauges")]
mod gauge_sample;
pub(crate) mod gauges;
pub(crate) mod mark;

// Ticks, and the timeline.
pub(crate) mod clock;

// The ledger: `recorded = stored + dropped + in flight`.
pub(crate) mod account;
pub(crate) mod counters;
pub(crate) mod losses;
pub(crate) mod stats;
pub(crate) mod stats_now;

// Where tables lie: on the heap, or in a file that outlives the process.
pub(crate) mod names;
pub(crate) mod ring_file;
pub(crate) mod table_memory;

// How much of a table the system has provided.
pub(crate) mod page_map;

pub(crate) use self::parents::{FindAncestor, IsRecorded, NO_ANCESTOR, Source};
pub(crate) use self::recording::{DoesNotFit, Recorder, RecorderOptions};
