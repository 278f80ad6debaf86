//! Why a collector has left a ring alone, as it says in the ring file itself: who looks at the profile has not seen what that
//! collector has printed.
//!
//! It is for people only. Nobody vouches for it, as for the rest of the file: it is a text, and no longer than there is room.

use std::fs::File;
use std::path::Path;

use spandrel_ring::file::{DRAINER_WORDS, Reader, monotonic_ns};

use crate::recorder::ring_file::layout::drainer::{
    LEFT_ALONE_AT, LEFT_ALONE_BYTES, LEFT_ALONE_WHY,
};

/// Room for the text.
const BYTES_MAX: usize = (DRAINER_WORDS - LEFT_ALONE_WHY) * 8;

/// Says so in a file that nobody drains. One in which nobody can write stays as it is: whoever looks at it has the same reason
/// not to read it.
#[cfg(feature = "collected")]
pub(in crate::writer) fn say(path: &Path, why: &str) {
    let Ok(mut reader) = Reader::open_to_drain(path) else { return };
    if !reader.lock_to_drain().unwrap_or(false) {
        return;
    }
    let shown = path.display().to_string();
    let why = why.strip_prefix(&shown).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(why);
    let fits = |end: &usize| why.is_char_boundary(*end);
    let end = (0..=BYTES_MAX.min(why.len())).rev().find(fits).unwrap_or(0);
    let why = why.get(..end).unwrap_or_default();
    let mut write = || -> std::io::Result<()> {
        // Nothing is said while it is being written.
        reader.set_drainer(LEFT_ALONE_AT, 0)?;
        for (at, bytes) in why.as_bytes().chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            reader.set_drainer(LEFT_ALONE_WHY + at, u64::from_ne_bytes(word))?;
        }
        reader.set_drainer(LEFT_ALONE_BYTES, why.len() as u64)?;
        reader.set_drainer(LEFT_ALONE_AT, monotonic_ns())
    };
    // The collector itself has told it.
    _ = write();
}

/// What a file says of that.
pub(super) fn said(reader: &mut Reader<File>) -> std::io::Result<Option<String>> {
    let words = reader.drainer()?;
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    let bytes = usize::try_from(word(LEFT_ALONE_BYTES)).unwrap_or(usize::MAX);
    if word(LEFT_ALONE_AT) == 0 || bytes > BYTES_MAX {
        return Ok(None);
    }
    let text = words.iter().skip(LEFT_ALONE_WHY).flat_map(|word| word.to_ne_bytes());
    let text = String::from_utf8(text.take(bytes).collect());
    Ok(text.ok().filter(|text| !text.is_empty()))
}
