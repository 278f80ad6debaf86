//! The ids that a layer of OpenTelemetry has given a span, kept with it.
//!
//! They stand behind its fields, as words that are padding for whoever reads those, so that they are in its record
//! when it closes, and seen while it is open. Where there is no room, they are not known.

use super::Recorder;
use crate::recorder::fields::GivenIds;

impl Recorder {
    /// Whether nobody has been inside a span yet, and nothing is known of its ids. `None`: it is not recorded.
    pub(crate) fn lacks_ids(&self, layer: u16, key: u64) -> Option<bool> {
        let (_, span) = self.open.find(layer, key)?;
        Some(!span.was_entered() && !self.open.has_given_ids(span))
    }

    /// Keeps the ids of a span.
    pub(crate) fn keep_ids(&self, layer: u16, key: u64, ids: GivenIds) {
        if let Some((position, span)) = self.open.find(layer, key) {
            let _has_room = self.open.add_given_ids(position, span.id(), ids);
        }
    }
}
