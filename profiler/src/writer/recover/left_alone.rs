//! Why a collector has left a ring alone, as it says in the ring file itself: who looks at the profile has not seen what that
//! collector has printed.
//!
//! It is for people only. Nobody vouches for it, as for the rest of the file: it is a text, and no longer than there is room.

use std::fs::File;
#[cfg(feature = "collected")]
use std::path::Path;

#[cfg(feature = "collected")]
use spandrel_ring::file::monotonic_ns;
use spandrel_ring::file::{DRAINER_WORDS, Reader};

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

#[cfg(all(test, feature = "collected", target_os = "linux", not(miri)))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panicking

    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Profiler;
    use crate::recorder::ring_file::place;

    #[test]
    fn what_is_said_is_cut_to_its_room_and_what_somebody_else_has_written_is_not_said() {
        let mut folder = tempfile::Builder::new();
        let folder = folder.permissions(Permissions::from_mode(0o700)).tempdir_in("/dev/shm");
        let folder = folder.unwrap();
        let builder = Profiler::builder().collected(folder.path()).ring_capacity(1 << 12);
        let profiler = builder.partitions(1).max_open_spans(64).build().unwrap();
        let path = place::files_in_folder(folder.path()).unwrap().remove(0);
        let said = || said(&mut Reader::open(&path).unwrap()).unwrap();
        assert_eq!(said(), None);
        say(&path, &format!("{}: its ids are others", path.display()));
        assert_eq!(said().unwrap(), "its ids are others");
        // Of two bytes each, and one before them.
        say(&path, &format!("a{}", "é".repeat(BYTES_MAX)));
        assert_eq!(said().unwrap(), format!("a{}", "é".repeat(BYTES_MAX / 2 - 1)));
        let mut reader = Reader::open_to_drain(&path).unwrap();
        for (word, value) in [
            (LEFT_ALONE_BYTES, u64::MAX),
            (LEFT_ALONE_BYTES, BYTES_MAX as u64 + 1),
            (LEFT_ALONE_WHY, u64::MAX),
            (LEFT_ALONE_AT, 0),
        ] {
            say(&path, "why");
            assert_eq!(said().unwrap(), "why");
            reader.set_drainer(word, value).unwrap();
            assert_eq!(said(), None, "{word}: {value}");
        }
        // Somebody drains it by now: it is not for others to write there.
        assert!(reader.lock_to_drain().unwrap());
        say(&path, "too late");
        assert_eq!(said(), None);
        profiler.close().unwrap();
    }
}
