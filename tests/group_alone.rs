//! What changes something of its whole process, such as its subscriber, its signal handlers or its limits: each test runs in a
//! process of its own ([`alone`](spandrel_tests::alone)).

mod backlog;
mod blocking_future_is_found;
mod blocking_future_on_workers_is_found;
mod burst_in_little_address_space;
mod callsites_met_at_once;
mod close_twice;
#[cfg(feature = "collected")]
mod collected_programs;
#[cfg(feature = "collected")]
mod containers;
mod deleted_names;
mod disk_full;
mod entered_in_a_used_slot;
mod file_size_limit;
mod fork_outlives_its_parent;
mod fork_without_exec;
#[cfg(all(feature = "gauges", target_os = "linux"))]
mod gauges_in_a_forked_child;
mod hostile_debug;
mod ids_of_one_thread;
mod interest_before_install;
mod interest_while_installing;
mod larger_than_memory;
mod level_hint;
mod levels;
mod little_memory;
#[cfg(feature = "log")]
mod log_records;
#[cfg(feature = "log")]
mod log_records_beside_a_logger;
#[cfg(feature = "log")]
mod log_records_by_their_target;
#[cfg(feature = "log")]
mod log_records_under_the_layer;
mod many_callsites;
mod memory_parts;
mod open_spans_at_flush;
mod own_subscriber_destructors;
mod panics_that_panic_again;
#[cfg(feature = "crash-proof")]
mod recovered_scopes;
#[cfg(feature = "collected")]
mod ring_file_cut;
#[cfg(feature = "crash-proof")]
mod ring_file_of_a_living_process;
mod same_span_in_signal_handlers;
mod scopes_beside_another_profiler;
mod scopes_ended_anywhere;
mod scopes_in_signal_handlers;
mod scopes_keep_their_values;
mod scopes_random_programs;
mod scopes_under_each_subscriber;
mod scopes_where_a_layer_panics;
mod scopes_whose_values_change_a_filter;
mod scopes_whose_values_change_the_subscriber;
mod short_threads;
mod spans_in_signal_handlers;
mod tables_that_a_handler_replaces;
mod thread_local_destructors;
mod unwanted_scopes_cost_nothing;
