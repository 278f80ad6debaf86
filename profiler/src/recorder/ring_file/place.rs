//! Where the ring files of a database are, and how they are found again.
//!
//! They lie in a folder of the user's own, in memory: `$XDG_RUNTIME_DIR/spandrel`, or `/dev/shm/spandrel-UID`. The name of a file
//! has a hash of the database's path, so that nobody has to open the files of all others to find those of one.
//! Which database it is for says the name of kind [`RUN`](super::layout::names::RUN) in it.

use std::io;
use std::path::{Path, PathBuf};

/// How the names of ring files end.
pub(crate) const SUFFIX: &str = ".ring";
/// What is put behind the name of one that makes no sense, so that nobody takes it for a ring, and nobody removes it.
pub(crate) const DAMAGED: &str = ".damaged";

/// The folders where a ring file may be, the best one first. Some may not be there.
pub(crate) fn folders() -> Vec<PathBuf> {
    let user = spandrel_ring::file::user_id();
    let mut folders = Vec::new();
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        folders.push(Path::new(&folder).join("spandrel"));
    }
    // The same for a process that has not been told.
    folders.push(PathBuf::from(format!("/run/user/{user}/spandrel")));
    if cfg!(target_os = "macos") {
        folders.push(std::env::temp_dir().join(format!("spandrel-{user}")));
    } else {
        folders.push(PathBuf::from(format!("/dev/shm/spandrel-{user}")));
    }
    folders.dedup();
    folders
}

/// The path of a database as ring files know it: without links, and from the root on. The file is there.
pub(crate) fn canonical(database: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(database)
}

/// A number for a [canonical](canonical) path, always the same. (FNV-1a.)
pub(crate) fn hash_of(database: &Path) -> u64 {
    let bytes = database.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The name of a ring file.
pub(crate) fn file_name(database: &Path, pid: u32, run: &str) -> String {
    format!("{:016x}-{pid}-{run}{SUFFIX}", hash_of(database))
}

/// The name of one that is collected: whoever collects knows the folder, and the program knows no database.
pub(crate) fn file_name_of_collected(pid: u32, run: &str) -> String {
    format!("collected-{pid}-{run}{SUFFIX}")
}

/// The process in the name of a ring file.
pub(crate) fn pid_of(file: &Path) -> Option<u32> {
    file.file_name()?.to_str()?.split('-').nth(1)?.parse().ok()
}

/// The files that may be rings of this database, whose path is [canonical](canonical): of living processes and of dead
/// ones, finished and not.
pub(crate) fn files_of(database: &Path) -> Vec<PathBuf> {
    let prefix = format!("{:016x}-", hash_of(database));
    let mut found = Vec::new();
    for folder in folders() {
        // What is not there, or not ours to read, has none.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let is_one = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(SUFFIX));
            if is_one {
                found.push(entry.path());
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_and_of_what_it_is() {
        let database = Path::new("/data/profile.db");
        // Fixed for good: a newer spandrel has to find what an older one has left.
        assert_eq!(hash_of(Path::new("a")), 0xAF63_DC4C_8601_EC8C);
        let name = file_name(database, 4_711, "00ff");
        assert_eq!(pid_of(Path::new(&name)), Some(4_711));
        assert!(
            name.starts_with(&format!("{:016x}-", hash_of(database))) && name.ends_with(".ring")
        );
        assert_ne!(hash_of(database), hash_of(Path::new("/data/profile.dc")));
    }
}
