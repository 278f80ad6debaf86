//! Records a known load, and proves that it is all there.
//!
//! The same load goes first, if that is wished, over a layer that does nothing, then over the
//! profiler. After `close` the database is opened again and every row in it is compared with what
//! was sent.
//!
//! ```
//! use std::time::Duration;
//!
//! use spandrel_load::{Load, Rate};
//!
//! # fn main() -> Result<(), spandrel_load::Error> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! let load = Load {
//!     rate: Rate::PerSecond(10_000),
//!     length: Duration::from_millis(200),
//!     baseline: None,
//!     database: folder.path().join("load.db"),
//!     ..Load::default()
//! };
//! let outcome = load.prepare()?.run(&mut |_| ())?;
//! assert!(outcome.verified(), "{:?}", outcome.faults());
//! # Ok(())
//! # }
//! ```
//!
//! `workload` says what one unit of load is, `schedule` when each is due; `threads` or `tasks` make
//! them under `generator`, and `long_lived` the entries of spans that stay open; `sent` sums up,
//! `verify` compares with what is `stored`, where no name or field tells spans apart by the shape of their trees (`nameless`), or with what was
//! `entered`. [`report`] writes what people read, and a line for machines. Nothing
//! here prints: whoever runs a load says where the text goes.

#![forbid(unsafe_code)]

mod database;
mod entered;
mod error;
mod faults;
mod generator;
mod lag;
mod latency;
mod long_lived;
mod memory;
mod nameless;
mod progress;
pub mod report;
mod run;
mod schedule;
mod sent;
mod settings;
mod stored;
#[cfg(test)]
mod tampering;
mod tasks;
mod threads;
mod verify;
mod workload;

pub use database::make_room;
pub use error::{Error, ErrorKind};
pub use faults::Check;
pub use latency::Latencies;
pub use memory::Memory;
pub use progress::{Phase, Progress};
pub use run::{Made, Outcome, Prepared};
pub use settings::{Load, Rate, THREADS_MAX};
pub use verify::Verification;
pub use workload::{DEPTH_MAX, FIELDS_MAX};
