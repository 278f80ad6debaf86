//! Waiting for room.

use std::time::Duration;

use super::core::Core;
use super::error::{Refused, Why};
use super::store::Store;

/// Whether a call that finds no room is the last one, and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    Once,
    Again,
}

/// Makes a call again for as long as there is no room.
pub(crate) fn wait_for_room<S: Store, V, R>(
    core: &Core<S>,
    timeout: Duration,
    value: V,
    call: impl Fn(V) -> Result<R, Refused<V>>,
) -> Result<R, Refused<V>> {
    let mut value = match call(value) {
        Err(Refused { why: Why::Full, value }) => value,
        other => return other,
    };
    core.partition(0).counts.blocked += 1;
    let until = core.until(timeout);
    loop {
        // Before the call: what changes behind it is not missed.
        let changes = core.changes();
        value = match call(value) {
            Err(Refused { why: Why::Full, value }) => value,
            other => return other,
        };
        if !core.wait_for_change(changes, until) {
            core.partition(0).counts.refused_timed_out += 1;
            return Err(Refused { why: Why::TimedOut, value });
        }
    }
}
