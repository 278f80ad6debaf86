//! Rings in files: of programs that are killed, and of those that are collected.

#[cfg(feature = "collected")]
mod collected;
#[cfg(feature = "collected")]
mod collected_beside_faults;
#[cfg(feature = "collected")]
mod collected_ends;
#[cfg(feature = "collected")]
mod collected_ids;
#[cfg(feature = "collected")]
mod collected_keep;
#[cfg(feature = "collected")]
mod collected_lost;
mod collected_refused;
#[cfg(feature = "collected")]
mod collected_twice;
#[cfg(feature = "collected")]
mod collector_killed_before_giving_back;
mod died_by_itself;
#[cfg(feature = "gauges")]
mod gauges_outlive;
mod homeless_rings;
mod killed_at_any_moment;
#[cfg(feature = "collected")]
mod killed_while_collected;
#[cfg(feature = "collected")]
mod killed_while_recovering;
#[cfg(feature = "collected")]
mod open_in_ring_files;
mod recovered;
