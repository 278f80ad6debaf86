//! What stands in the rows of a profile.

mod deleted_run;
mod error_behind_long_field;
mod events;
mod field_recorded_by_two_threads;
mod field_types;
mod followed_by_any_client;
mod former_names;
#[cfg(feature = "gauges")]
mod gauges;
mod instrument_macro;
mod linked_spans;
mod links;
mod long_fields;
mod marks;
mod rows_of_somebody_else;
mod run_row;
mod sections;
mod snapshot;
mod status;
mod status_by_conventions;
mod status_by_value;
mod status_of_instrument_err;
mod taps;
mod trace_ids_of_fields;
mod two_profilers;
