//! How a recording ends, and what happens to its file while it lasts.

mod after_close;
mod asked_behind_thousands;
mod control_file_hostile;
mod drop_closes;
mod error_kinds_are_made;
mod file_deleted;
mod leaked_spans;
mod lost_batch;
mod open_at_close;
mod open_table_full;
mod reader_keeps_the_log;
mod refusal_is_over;
mod renamed_while_refused;
mod size_limit;
mod spans_outlive_the_profiler;
mod stale_span_id;
mod writer_panic;
