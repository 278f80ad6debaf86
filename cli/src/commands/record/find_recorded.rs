//! If a program names its own database, it does not record where it is told to: then this looks around
//! for where it did.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spandrel_query::{OrderRows as _, Reader, Run};

use crate::profile::{is_profile, written};

/// Most files and folders that are looked at.
const ENTRIES_MAX: usize = 5_000;
/// How deep folders are searched.
const DEPTH_MAX: usize = 3;
/// Some file systems keep times only to one or two seconds.
const GRAIN: Duration = Duration::from_secs(2);

/// The profile in a folder, or below it, in which runs have begun since then, and these runs; if there
/// are several, the one that was written last.
pub(super) fn recorded(
    folder: &Path,
    since: SystemTime,
    told: &Path,
) -> Option<(PathBuf, Vec<Run>)> {
    let since_ns = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let since_ns = i64::try_from(since_ns).unwrap_or(i64::MAX);
    let mut found: Vec<(SystemTime, PathBuf)> = profiles(folder)
        .into_iter()
        .filter(|path| path != told)
        .filter_map(|path| Some((written(&path)?, path)))
        .filter(|(written, _)| *written + GRAIN >= since)
        .collect();
    found.order_by(Ord::cmp);
    found.into_iter().rev().find_map(|(_, path)| {
        let mut runs = Reader::open(&path).and_then(|reader| reader.runs()).ok()?;
        runs.retain(|run| run.info.started_unix_ns >= since_ns);
        (!runs.is_empty()).then_some((path, runs))
    })
}

/// What is a profile by the start of the file.
fn profiles(folder: &Path) -> Vec<PathBuf> {
    let mut folders = VecDeque::from([(folder.to_owned(), 0)]);
    let (mut found, mut looked) = (Vec::new(), 0);
    while let Some((folder, depth)) = folders.pop_front() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            looked += 1;
            if looked > ENTRIES_MAX {
                return found;
            }
            let path = entry.path();
            // Links are not followed, and what is not a file is not opened.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => {
                    folders.push_back((path, depth + 1));
                }
                Ok(kind) if kind.is_file() && is_profile(&path) => found.push(path),
                _ => {}
            }
        }
    }
    found
}
