//! The command as its users meet it: what it prints, its exit codes, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::panic)]

mod asked_by;
mod check;
mod completions;
mod contract;
mod copies;
mod destinations;
mod endings;
mod events;
mod explained_entries;
mod figures;
mod fixture;
mod flame_of_entries;
mod frames;
mod headers;
mod json;
mod large;
mod live;
mod long_lived;
mod meanwhile;
#[cfg(unix)]
mod narrow;
mod nothing_recorded;
mod obeyed;
mod options;
mod prune;
mod refused;
mod rows;
mod snapshots;
mod spreadsheet;
mod sql;
mod symptoms;
mod trace_ids;
mod tree;
mod tree_of_entries;
mod what_is_there;
