//! The command as its users meet it: what it prints, its exit codes, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asked_by;
mod beside;
mod changed;
mod check;
#[path = "../book/console.rs"]
mod console;
mod copies;
mod crashed;
mod events;
mod exported;
mod figures;
mod fixture;
mod frames;
mod json;
mod left_in_rings;
mod live;
mod long_lived;
mod lost_entries;
mod meanwhile;
#[cfg(unix)]
mod narrow;
mod never_entered;
mod nothing_recorded;
mod obeyed;
mod open;
mod open_trace;
mod options;
mod prune;
mod refused;
#[cfg(all(target_os = "linux", feature = "collected"))]
mod rings;
#[cfg(all(target_os = "linux", feature = "collected"))]
mod rings_gone;
mod rows;
mod said;
mod spreadsheet;
mod sql;
mod stalls_of_loops;
mod symptoms;
mod trace_ids;
mod tree;
mod unmeasured;
mod waiting;
mod what_is_there;
