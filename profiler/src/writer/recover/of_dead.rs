//! A recorder that records nothing, and knows what another process has told its ring file.

use std::sync::Arc;

use tracing_core::LevelFilter;

use crate::recorder::entry_rules::EntryRules;
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::recorder::ring_file::layout::settings;
use crate::recorder::rule::Rule;
use crate::recorder::threads::Threads;
use crate::recorder::{DoesNotFit, Recorder, RecorderOptions};

/// How that process has recorded, as far as rows depend on it.
#[derive(Debug, Clone, Copy)]
pub(in crate::writer) struct Rules {
    /// Whether the time inside spans was measured.
    pub(in crate::writer) busy_time: bool,
    /// Whether fields with names of conventions tell how spans have ended.
    pub(in crate::writer) status_rules: bool,
}

impl Rules {
    /// Of the flags in a ring file.
    pub(in crate::writer) fn of(flags: u64) -> Self {
        Self {
            busy_time: flags & settings::BUSY_TIME != 0,
            status_rules: flags & settings::STATUS_RULES != 0,
        }
    }
}

/// For a converter of its records; ids that it gives begin here.
pub(in crate::writer) fn recorder(
    names: &DeadNames,
    rules: Rules,
    first_id: u64,
) -> Result<Arc<Recorder>, DoesNotFit> {
    let options = RecorderOptions {
        ring_capacity: 64,
        partitions: 1,
        open_spans_max: 64,
        field_bytes_max: 1 << 10,
        rule: Rule::new(LevelFilter::OFF, LevelFilter::OFF),
        busy_time: rules.busy_time,
        status_rules: rules.status_rules,
        entries: EntryRules::default(),
        first_id,
    };
    let threads = Threads::of_dead(names.threads.values().cloned());
    Recorder::of_dead(&options, names.known_callsites(), threads)
}
