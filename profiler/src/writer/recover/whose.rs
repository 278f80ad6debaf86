//! Of which profile a ring file is.
//!
//! It says the path of its profile, and which file that was. The path holds: a file that has taken the place of another
//! one gets what comes after that. Where the path leads nowhere, or to the same file, the file holds: its folder was
//! renamed, or it is mounted elsewhere, too. File systems give the number of a deleted file to the next one; so a profile
//! that is known by its number only has to have a row of the run.

use std::path::Path;

use crate::recorder::ring_file::dead_names::DeadRun;
use crate::recorder::ring_file::place;

/// By what a ring is a profile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Path,
    /// Only if the profile has a row of the run.
    File,
}

/// Whether a ring is of the profile with this canonical path.
pub(super) fn is_of(run: &DeadRun, database: &Path) -> Option<By> {
    if run.database == database.to_string_lossy() {
        return Some(By::Path);
    }
    let file = run.file.filter(|file| Some(*file) == place::file_number(database))?;
    let there = place::file_number(Path::new(&run.database));
    there.is_none_or(|there| there == file).then_some(By::File)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_path_holds_and_the_file_where_nothing_else_is_at_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (first, second) = (at("first.db"), at("second.db"));
        std::fs::write(&first, "").unwrap();
        std::fs::write(&second, "").unwrap();
        let run = |database: &Path, file| DeadRun {
            database: database.to_str().unwrap().to_owned(),
            file,
            ..DeadRun::default()
        };
        let of_first = run(&first, place::file_number(&first));
        assert_eq!(is_of(&of_first, &first), Some(By::Path));
        assert_eq!(is_of(&of_first, &second), None);
        // An older ring says the path alone.
        assert_eq!(is_of(&run(&first, None), &first), Some(By::Path));
        assert_eq!(is_of(&run(&at("gone.db"), None), &first), None);
        let moved = at("moved.db");
        std::fs::rename(&first, &moved).unwrap();
        assert_eq!(is_of(&of_first, &moved), Some(By::File));
        std::fs::hard_link(&moved, &first).unwrap();
        assert_eq!(is_of(&of_first, &moved), Some(By::File), "two paths of one file");
        // Another file has taken its place, and gets what comes after it.
        std::fs::rename(&second, &first).unwrap();
        assert_eq!((is_of(&of_first, &moved), is_of(&of_first, &first)), (None, Some(By::Path)));
    }
}
