//! What the behaviour tests share.
//!
//! | module | what it is for |
//! |---|---|
//! | [`mod@scratch`] | a folder for a test's database, and a profiler small enough to build often |
//! | [`mod@recording`] | a profiler in a folder of its own, and what it leaves in the file |
//! | [`mod@prelude`] | what nearly every test begins with |
//! | [`database`] | the rows of a profile database, read with SQLite alone |
//! | [`ledger`] | what must hold of every recording: the identity, and that the file agrees with it |
//! | [`model`] | a plain layer with a mutex and vectors, to compare with |
//! | `collecting` | programs whose ring files are collected (feature `collected`) |
//! | [`comparison`] | the database beside the model |
//! | [`programs`] | random programs of span operations |
//! | [`random_programs`] | those under a profiler between two models |
//! | [`child`] | the test itself run again as another process |
//! | [`alone`](mod@alone) | a test in a process of its own |
//! | [`host`] | a program that records on command, to be killed |
//! | [`self_times`] | self times, computed anew from the rows |
//! | [`sitter`] | somebody who reads and does not end his transaction |
//! | [`asking`] | asking a recording for something from outside |
//! | [`killing`] | programs that are killed at any moment, beside a witness that no kill reaches |
//! | [`deadly_calls`] | a call of the system that kills the process that makes it |
//! | [`interrupts`] | signals, also after each single instruction |
//! | [`entry_witness`] | how long entries take, by two layers around the one that is tested |
//! | [`mod@skipped`] | a test that cannot run here says so aloud |
//! | [`stalling`] | a program with a future that blocks its executor |
//! | [`limit`] | a time limit, so that a hang is a failure |
//! | [`layers`] | layers that stand beside the profiler's |
//! | [`made`] | callsites that are made while the program runs |
//! | [`tiny_disk`] | a file system of a few hundred KiB |
//! | [`allocations`] | an allocator that counts, by thread |
//! | [`unallocated`] | the program under which recording must not allocate |
//! | [`system`] | calls of the operating system |
//! | [`witness`] | spandrel's own subscriber between two models |

pub mod allocations;
pub mod alone;
pub mod asking;
pub mod child;
#[cfg(feature = "collected")]
pub mod collecting;
pub mod comparison;
pub mod database;
#[cfg(target_os = "linux")]
pub mod deadly_calls;
pub mod entry_witness;
pub mod host;
pub mod interrupts;
pub mod killing;
pub mod layers;
pub mod ledger;
pub mod limit;
pub mod made;
pub mod model;
pub mod prelude;
pub mod programs;
pub mod random_programs;
pub mod recording;
pub mod scratch;
pub mod self_times;
pub mod sitter;
pub mod skipped;
pub mod stalling;
pub mod system;
pub mod tiny_disk;
pub mod unallocated;
pub mod witness;

pub use database::Database;
pub use limit::{repeated, rounds, time_limit};
pub use recording::{Front, recorded, recorded_by_both, recording, recording_for, subscriber};
pub use scratch::{Scratch, dispatch, scratch, scratch_for, small, spin, within};
pub use skipped::skipped;
