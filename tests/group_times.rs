//! Entries of spans, and what of their time is whose.

mod busy_time_off;
mod counts_by_entries_of_all_threads;
mod earlier_entries_have_self_time;
mod entered_at_once;
mod entered_by_another_between;
mod entered_elsewhere;
mod entries_between_witnesses;
mod entry_records;
mod kept_open_is_nobodys_work;
mod many_polls;
mod misused_entries;
mod never_entered_beside_long_lived;
mod self_busy_adds_up;
mod self_time;
mod time_of_entries;
mod waits_without_end;
