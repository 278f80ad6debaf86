//! Other processes beside a recording: they ask, read, lock, delete, or are killed.

mod asked_from_outside;
mod bad_input;
mod control_after_kill;
mod control_file_locked;
mod control_file_spoiled;
mod file_cut_short;
mod file_renamed_while_read;
mod flush_when_the_log_is_gone;
mod from_env;
mod host_reads_its_profile;
mod live_readers_off;
mod locked_by_another_process;
mod log_made_anew;
mod log_not_merged;
mod log_taken_away;
mod secrets_stay_out;
mod several_processes;
mod somebody_elses_file;
mod spoiled_while_read;
