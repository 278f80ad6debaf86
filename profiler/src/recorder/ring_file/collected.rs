//! The ring file of a recording that is collected, as its owner has it.

use super::own::OwnFile;
use crate::sync::Ordering;

impl OwnFile {
    /// Recording begins: what there is to say of the run is said.
    pub(crate) fn begin_collected(&self) {
        self.file.set_recording();
    }

    /// Says something in the names. `false` if there is no room.
    pub(crate) fn say(&self, kind: u8, numbers: &[u64], texts: &[&str]) -> bool {
        self.file.names().append(kind, numbers, texts).is_ok()
    }

    /// A word of whoever drains; 0 if he has said nothing.
    pub(crate) fn drainer(&self, word: usize) -> u64 {
        // Acquire: what he had done before he said so.
        self.file.drainer().get(word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Nothing more comes; the file stays, for whoever collects it.
    pub(crate) fn close(&self) {
        self.file.set_closed();
    }
}
