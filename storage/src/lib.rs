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

mod append;
mod batches;
mod checkpoint;
mod column_values;
mod compat;
mod control;
mod deadline;
mod descriptors;
mod earlier_entries;
mod ended;
mod error;
mod file_size;
mod held;
mod histogram;
mod ids;
mod image;
mod indexes;
mod insert_entry;
mod insert_event;
mod insert_span;
mod intern;
#[doc(hidden)]
pub mod internals;
mod late_children;
mod location;
mod lock;
mod memory;
mod mend;
mod merge;
mod near;
mod open;
mod options;
mod ownership;
mod quick_map;
mod read_only;
mod record;
mod retention;
mod rollup;
mod run_row;
mod schema;
mod shield;
mod snapshot;
mod sqlite;
mod steps;
mod store;
mod totals;
mod trace_context;
mod transfer;
mod watch;

pub use append::Appended;
pub use control::{Answer, AnswerState, Control, ControlClient, REQUEST_AGE_MAX, Request};
// For the crates beside this one, and no part of what it is for.
#[doc(hidden)]
pub use deadline::{FOREVER, after};
pub use error::{Error, ErrorKind};
pub use file_size::survive_file_size_limit;
pub use held::tell_of_locks;
pub use histogram::{Bucket, DecodeError, Histogram};
pub use location::Location;
pub use memory::{MemoryUse, StoreMemory};
pub use mend::{FreshIds, Mended};
pub use merge::{Merged, merge};
#[doc(hidden)]
pub use near::nearest;
pub use options::{StoreOptions, Synchronous};
pub use read_only::ReadOnly;
pub use record::{
    Batch, CallsiteInfo, CallsiteKind, EarlierRow, EntryRow, EventRow, LateChild, LateEntryTime,
    LinkRow, LossRow, MARK_LABEL_BYTES_MAX, MarkRow, OpenSpanRow, RunInfo, SpanRow, Status, Text,
    TraceContextRow, WriterStatRow, mark_label,
};
pub use retention::Pruned;
pub use schema::{APPLICATION_ID, SCHEMA_VERSION, schema};
pub use snapshot::{Snapshot, snapshot};
pub use sqlite::SqliteVersion;
pub use store::{Left, Recovered, Store};
pub use trace_context::{NoId, OtelSpanId, TraceContext, TraceId};
