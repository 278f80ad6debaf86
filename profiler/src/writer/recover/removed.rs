//! The ring file of a program that is collected, where it is not in its folder any more though the program lives; or is
//! there, with nothing in it.
//!
//! A file that was removed stays as long as somebody has it open. So its owner and a collector go on with it, and no later
//! collector finds it. Linux shows it among the descriptors of its owner: there it can be read, and asked whether anybody
//! drains it.

use std::path::{Path, PathBuf};

use spandrel_ring::file::{OpenError, Reader};

use super::in_folder::{FolderRing, look_at_open};
use crate::panics;
use crate::recorder::ring_file::place;

/// What became of the ring file of a process that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemovedRing {
    /// The process has it open, and whoever drains it does; nobody else finds it.
    Open(Box<FolderRing>),
    /// Nobody has one of this run: it has come to its end.
    Gone,
    /// It cannot be asked from here.
    Unseen,
}

/// What became of the ring file of this run of a process that lives, which is in no folder.
#[must_use]
pub fn removed(pid: u32, run: &str) -> RemovedRing {
    // Only Linux has these names; and only of the user's own processes.
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return RemovedRing::Unseen };
    for link in open.flatten().map(|entry| entry.path()) {
        let Ok(named) = std::fs::read_link(&link) else { continue };
        let named = without_mark(&named);
        if place::run_of(&named) != Some(run) {
            continue;
        }
        let looked = panics::catch(|| look_at_open(&named, &link));
        return match looked {
            Ok(Ok(Some(ring))) => RemovedRing::Open(Box::new(ring)),
            _ => RemovedRing::Unseen,
        };
    }
    RemovedRing::Gone
}

/// The path of a file that was removed, which Linux marks.
fn without_mark(named: &Path) -> PathBuf {
    let text = named.as_os_str().to_str().and_then(|text| text.strip_suffix(" (deleted)"));
    text.map_or_else(|| named.to_owned(), PathBuf::from)
}

/// The file of this run in a folder, if somebody has emptied it: nothing in it says that it is a ring file.
#[must_use]
pub fn emptied(folder: &Path, run: &str) -> Option<PathBuf> {
    let paths = place::files_in_folder(folder).ok()?;
    let path = paths.into_iter().find(|path| place::run_of(path) == Some(run))?;
    matches!(Reader::open(&path), Err(OpenError::NoRing)).then_some(path)
}
