//! Ring files that processes have left behind, of which the profile does not have everything yet.

use std::path::Path;

/// A ring that waits to be recovered.
pub(crate) struct WaitingRings {
    /// In a sentence.
    pub(crate) what: String,
}

/// The rings of a profile whose processes are gone, if there are any.
#[cfg(feature = "crash-proof")]
pub(crate) fn waiting(database: &Path) -> Option<WaitingRings> {
    use spandrel::recover::{RingOwner, waiting};

    use crate::output::text;

    // A look at a folder that fails says nothing of the profile.
    let rings = waiting(database).ok()?;
    let dead: Vec<_> = rings.iter().filter(|ring| ring.owner == RingOwner::Dead).collect();
    let first = dead.first()?;
    let who = match dead.len() {
        1 if first.was_closed => format!("process {} was closed before all was stored", first.pid),
        1 => format!("process {} has died", first.pid),
        many => format!("{} have ended", text::counted(many as u64, "process")),
    };
    Some(WaitingRings {
        what: format!("{who}, and what it recorded last is not in the profile yet"),
    })
}

#[cfg(not(feature = "crash-proof"))]
pub(crate) fn waiting(_: &Path) -> Option<WaitingRings> {
    None
}

/// The same as a line below a table, with the command that helps.
pub(crate) fn waiting_note(database: &Path) -> Option<String> {
    waiting(database).map(|waiting| format!("! {}: `spandrel recover`", waiting.what))
}
