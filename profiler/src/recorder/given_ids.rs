//! Ids that an OpenTelemetry layer has given a span, stored with it.
//!
//! They are stored after its fields, as padding, which readers of fields skip. So they are in its record
//! when it closes, and can be read while it is open. If there is no room, they are not stored.

use super::Recorder;
use crate::recorder::fields::GivenIds;

impl Recorder {
    /// Whether nobody has entered a span yet, and its ids are not known. `None` if it is not recorded.
    pub(crate) fn lacks_ids(&self, layer: u16, key: u64) -> Option<bool> {
        let (_, span) = self.open.find(layer, key)?;
        Some(!span.was_entered() && !self.open.has_given_ids(span))
    }

    /// Stores the ids of a span.
    pub(crate) fn keep_ids(&self, layer: u16, key: u64, ids: GivenIds) {
        if let Some((position, span)) = self.open.find(layer, key) {
            let _has_room = self.open.add_given_ids(position, span.id(), ids);
        }
    }
}
