//! The profile database of spandrel: schema, append, retention and control on SQLite.
//!
//! A [`Store`] writes one file, and only one store can at a time. A [`Batch`] goes in as a whole or
//! not at all. [`ReadOnly`] opens the same file for reading at any time, also while it is written. The tables
//! and views are a contract; [`schema()`] prints them with a comment on each column. A
//! [`ControlClient`] asks a live recording for something, through a file beside its profile.
//!
//! What is asked of a profile is in the crate `spandrel-query`, which a program that records does without;
//! the formats of other programs are in `spandrel-export`.
//!
//! This crate knows nothing of `tracing`, and starts no thread.

#![forbid(unsafe_code)]

// What is in a file: tables, the rows that a writer stores, ids of other systems.
mod histogram;
mod record;
mod schema;
mod trace_context;

// Writing: a batch, a transaction.
mod append;
mod batches;
mod drained;
mod ids;
mod intern;
mod mend;
mod options;
mod rollup;
mod run_row;
mod store;
mod totals;

// Rows: large batches are copied, small ones go through statements.
mod bulk_insert;
mod column_values;
mod earlier_entries;
mod insert_entry;
mod insert_event;
mod insert_span;
mod late_children;
mod page_image;

// From a path to a connection; whose the file is, and whether it is still the same.
mod descriptors;
mod held;
mod location;
mod lock;
mod open;
mod ownership;
mod shield;
mod watch;

// Checkpoints of the log; deleting the oldest rows.
mod checkpoint;
mod file_size;
mod retention;

// Reading; copying; changing a profile that no process records into.
mod ended;
mod indexes;
mod merge;
mod read_only;
mod snapshot;

// Requests of other processes to a live recording.
mod control;

// SQLite: which one, and bounds on what it does.
mod compat;
mod sqlite;
mod steps;

// Used by all of these.
mod deadline;
mod did_you_mean;
mod error;
mod fast_hash_map;
mod memory;

// For the crates that read the file.
#[doc(hidden)]
pub mod internals;

pub use append::Appended;
pub use control::{Answer, AnswerState, Control, ControlClient, REQUEST_AGE_MAX, Request};
// For the other crates of this project; not what this crate is for.
#[doc(hidden)]
pub use deadline::{FOREVER, after};
#[doc(hidden)]
pub use did_you_mean::nearest;
pub use drained::{drained_in, has_ended_in, has_runs_in, run_number_in};
pub use error::{Error, ErrorKind};
pub use file_size::survive_file_size_limit;
pub use held::tell_of_locks;
pub use histogram::{Bucket, DecodeError, Histogram};
pub use location::Location;
pub use memory::{MemoryUse, StoreMemory};
pub use mend::{FreshIds, Mended};
pub use merge::{Merged, merge};
pub use options::{StoreOptions, Synchronous};
pub use read_only::ReadOnly;
pub use record::{
    Batch, CallsiteInfo, CallsiteKind, DrainedRow, EarlierRow, EntryRow, EventRow,
    GAUGE_NAME_BYTES_MAX, GaugeRow, LateChild, LateEntryTime, LinkRow, LossRow,
    MARK_LABEL_BYTES_MAX, MarkRow, OpenSpanRow, RingId, RunInfo, SpanRow, Status, Text,
    TraceContextRow, WriterStatRow, mark_label,
};
pub use retention::Pruned;
pub use schema::{APPLICATION_ID, SCHEMA_VERSION, schema};
pub use snapshot::{Snapshot, snapshot};
pub use sqlite::SqliteVersion;
pub use store::{Left, Lost, Recovered, Resumed, RunAside, Store, StoredChildren};
pub use trace_context::{NoId, OtelSpanId, TraceContext, TraceId};
