//! A span profiler for programs that use [`tracing`](https://docs.rs/tracing).
//!
//! A layer records every span into a ring in constant time, without a lock, an allocation or a
//! system call (but for a thread's and a callsite's first); one daemon thread commits them in batches to a SQLite file that anybody can query
//! while the program still runs. [`Profiler::close`] flushes what remains and returns a
//! [`Report`] in which every span is accounted for.
//!
//! ```
//! use spandrel::Profiler;
//! use tracing_subscriber::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[cfg(feature = "database")] {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! let profiler = Profiler::builder().database("profile.db").build()?;
//! tracing_subscriber::registry().with(profiler.layer()).init();
//!
//! tracing::info_span!("greet", name = "world").in_scope(|| tracing::info!("hello"));
//!
//! let report = profiler.close()?;
//! assert_eq!((report.recorded, report.stored), (1, 1));
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! * `database` (with `bundled`): a thread of the program writes a SQLite file. It links SQLite, the system's
//!   unless it is bundled.
//! * `bundled` (default): `database`, and compiles SQLite and links it statically.
//! * `collected`: the program writes no database; another process collects what it records. For a program
//!   that should link no SQLite and needs no C compiler:
//!   `default-features = false, features = ["collected"]`. Eleven crates, and what only a
//!   database has, such as [`ProfilerBuilder::database`] and [`StoreOptions`], is not there.
//! * `gauges` (default): `Profiler::gauge`, values that are sampled once a second. It brings five crates, those of
//!   `parking_lot`; without it none of its code is there.
//! * `log` (default): [`ProfilerSubscriber::init`] takes the records of the `log` crate, too.
//! * `opentelemetry`: a layer keeps the ids by which a layer of `tracing-opentelemetry` 0.34 beside it knows
//!   the spans with which traces begin. It takes that layer's locks, once for each span, when that is
//!   entered for the first time.
//! * `crash-proof`: `ProfilerBuilder::crash_proof`, by which what is recorded outlives the process, and `recover`, which moves
//!   it into the profile. Linux and macOS.
//! * `faults`: for tests of spandrel itself, by which the writer can be made to panic or to lose a batch.
//!
//! One of `database` and `collected` has to be chosen. Both may be: features add up over all crates of a program.
//!
//! # What it promises
//!
//! 1. *It never blocks.* After a thread's and a callsite's first span: no lock, no heap allocation, no system
//!    call (but for one `futex` by the thread that fills a partition to more than half) and a bounded number of
//!    steps in every callback.
//! 2. *It never crashes its host.* No panic, abort, deadlock or stack overflow comes out of it, whatever a field's
//!    `Debug` does, whatever the disk does.
//! 3. *It never lies.* `recorded = stored + dropped{by reason} + in flight`, exact at every
//!    [snapshot](Profiler::stats). Losses stand in the database with their reason and time.

#![forbid(unsafe_code)]
// What only the writer asks of the recorder is compiled all the same: conditions would be in half of its files.
#![cfg_attr(not(feature = "database"), allow(dead_code, unused_imports))]
// Links to what only a database has are checked where that is there.
#![cfg_attr(not(feature = "database"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(not(any(feature = "database", feature = "collected")))]
compile_error!(
    "choose where spandrel records to: the feature `database` (a SQLite file, written by this program; \
     `bundled` compiles SQLite, too), or `collected` (`spandrel collect` writes it; no SQLite here)"
);

// What an application holds: the profiler, its settings, sections, the report.
mod handle;

// How `tracing` calls: the layer, the subscriber, their filter and fast paths.
mod front;

// From callbacks to records: open spans, what a thread keeps, callsites, the clock, the ledger.
mod recorder;

// From records to rows: one thread, whose rounds are in `writer/mod.rs`; also what dead and collected processes left.
#[cfg(feature = "database")]
mod writer;

/// What processes that are gone have left in their ring files, see
/// [`ProfilerBuilder::crash_proof`](crate::ProfilerBuilder::crash_proof).
#[cfg(all(feature = "database", feature = "crash-proof", not(spandrel_loom)))]
pub mod recover {
    pub use crate::writer::recover::{
        FolderRing, HomelessRing, IdsInProfile, OpenAtDeath, OpenInRing, OpenLook, OpenRings,
        Recovered, Recovery, RemovedRing, RingOpen, RingOwner, StoredRing, WaitingRing, emptied,
        homeless, in_folder, recover, recover_ring, removed, rings, waiting,
    };
}

/// What many programs record into ring files of one folder, see
/// [`ProfilerBuilder::collected`](crate::ProfilerBuilder::collected), collected into one profile.
#[cfg(all(feature = "database", feature = "collected", not(spandrel_loom)))]
pub mod collect {
    // For `spandrel record --collect`.
    #[doc(hidden)]
    pub use crate::recorder::ring_file::place::FOLDER_OF_COMMAND;
    pub use crate::writer::collect::{CollectOptions, Collected, Collecting, collect};
}

// What all of them use.
mod error;
mod json_string;
mod memory;
mod memory_use;
mod mutex;
mod panics;
mod redact;
mod sync;

// Functions for fuzzing with arbitrary words, for `fuzz/`.
#[cfg(all(feature = "database", any(test, spandrel_fuzz)))]
#[doc(hidden)]
pub mod fuzz;

pub use error::{Error, ErrorKind};
pub use front::scope::Scope;
pub use front::{FilterHandle, ProfilerLayer, ProfilerSubscriber};
pub use handle::{Arguments, Profiler, ProfilerBuilder, Report, Section};
#[cfg(feature = "database")]
pub use handle::{Commit, Commits, ReadError, Tap, TappedSpan};
#[cfg(feature = "gauges")]
pub use handle::{Gauge, GaugeValue, Samples};
pub use memory_use::{Memory, MemoryPart, MemoryUse};
pub use recorder::entry_rules::{Entries, NoSuchEntries};
pub use recorder::losses::{DropReason, Dropped};
pub use recorder::stats::{Ledger, Stats};
/// Why the store refused: the kind in [`ErrorKind::Storage`].
#[cfg(feature = "database")]
pub use spandrel_storage::ErrorKind as StorageErrorKind;
/// How a span ended.
#[cfg(feature = "database")]
pub use spandrel_storage::Status as SpanStatus;
#[cfg(feature = "database")]
pub use spandrel_storage::{Snapshot, SqliteVersion, StoreOptions, Synchronous};
#[cfg(feature = "faults")]
pub use writer::Fault;

/// The former name of [`ProfilerBuilder`], which `std::thread` has, too.
#[deprecated(since = "0.1.0", note = "it is `ProfilerBuilder`")]
pub type Builder = ProfilerBuilder;
/// The former name of [`ProfilerSubscriber`], which is also a trait of `tracing`.
#[deprecated(since = "0.1.0", note = "it is `ProfilerSubscriber`")]
pub type Subscriber = ProfilerSubscriber;

/// What [`scope!`] needs.
#[doc(hidden)]
pub mod __scope {
    pub use crate::front::scope::{
        FieldSet, Identifier, Kind, Level, Metadata, ScopeFields, ScopeValue, ScopeValues, Site,
        Wanted, debug_of, display_of, is_found, none,
    };
}
