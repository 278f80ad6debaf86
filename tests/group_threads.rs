//! Many threads at once: what `scripts/tsan.sh` and `scripts/soak.sh` run.

mod close_while_recording;
mod flush;
mod more_threads_than_partitions;
mod own_subscriber_filter;
mod own_subscriber_many_threads;
mod random_programs_at_once;
mod random_programs_in_turns;
mod ring_full;
