//! What the store does with a file, one behaviour a module: one program, since each of its own would be linked with
//! SQLite once more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/rights.rs"]
mod rights;

mod appended_marks;
mod bulk_insert;
mod commits;
mod control;
mod control_hostile;
mod damaged;
mod deleted_rows;
mod drained;
mod earlier_entries;
mod file_modes;
mod foreign_schema;
mod full_and_busy;
mod huge_values;
mod in_use;
mod killed;
mod late_children;
mod log_length;
mod marks;
mod moved;
mod open_failures;
mod reading;
mod refused_rows;
mod resumed;
mod retention;
mod rollups;
mod rows_between_others;
mod rows_pruned_beside_others;
mod size_limit;
mod threads_pruned;
mod trace_contexts;
mod unused;
