//! What is said where a run has no times inside of spans, and something that needs them is asked for: an empty
//! table, or a column of dashes, would look like an answer.

use spandrel_query::{Filter, Run};

/// Why there is nothing, and the way out.
const UNMEASURED: &str =
    "times inside of spans were not measured in this run; record with busy_time(true), the default";

/// Columns that need them, by what their keys begin with.
const NEEDED_BY: [&str; 6] =
    ["busy", "idle_ns", "first_entry_ns", "longest_entry_ns", "last_exit_ns", "work_ns"];

/// The same of a run, if it is so.
pub(crate) fn unmeasured(run: &Run) -> Option<&'static str> {
    (!run.has_busy_times()).then_some(UNMEASURED)
}

/// The same with the term of a filter that can hold for no span.
pub(crate) fn unmeasured_by(filter: &Filter, runs: &[Run]) -> Option<String> {
    let term = filter.term_of_busy_times()?;
    let of_runs = runs.iter().find_map(unmeasured)?;
    Some(format!("{}: {of_runs}", super::text::clean(term)))
}

/// Whether a column has nothing without them.
pub(super) fn is_needed_by(key: &str) -> bool {
    NEEDED_BY.iter().any(|needed| key.starts_with(needed))
}
