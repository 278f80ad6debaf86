//! Where the ring files of a database are, and how they are found again.
//!
//! They lie in a folder of the user's own, in memory: `$XDG_RUNTIME_DIR/spandrel`, or `/dev/shm/spandrel-UID`. The name of a file
//! has a hash of the database's path, so that nobody has to open the files of all others to find those of one.
//! Which database it is for says the name of kind [`RUN`](super::layout::names::RUN) in it.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "database")]
use crate::error::{Error, ErrorKind};

/// How the names of ring files end.
pub(crate) const SUFFIX: &str = ".ring";
/// What is put behind the name of one that makes no sense, so that nobody takes it for a ring, and nobody removes it.
pub(crate) const DAMAGED: &str = ".damaged";

/// How the name of a folder begins that a command makes for the programs that it starts, and removes when they have ended.
/// Nobody collects from one that is not there any more.
#[cfg(feature = "collected")]
pub const FOLDER_OF_COMMAND: &str = "spandrel-record-";

/// Whether it is a folder of a command that has ended.
#[cfg(feature = "collected")]
pub(crate) fn is_of_ended_command(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(FOLDER_OF_COMMAND.as_bytes())
        && folder.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

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

/// A number for a [canonical] path, always the same. (FNV-1a.)
pub(crate) fn hash_of(database: &Path) -> u64 {
    let bytes = database.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Which file a path leads to: its device, and its number there. `None` if it leads nowhere.
pub(crate) fn file_number(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        path.metadata().ok().map(|found| (found.dev(), found.ino())).filter(|(_, it)| *it != 0)
    }
    #[cfg(not(unix))]
    {
        _ = path;
        None
    }
}

/// The name of a ring file. It ends in which file the database is, so that it is found also where that has another path
/// by then.
pub(crate) fn file_name(database: &Path, pid: u32, run: &str) -> String {
    let file = file_ending(database).unwrap_or_else(|| SUFFIX.to_owned());
    format!("{:016x}-{pid}-{run}{file}", hash_of(database))
}

/// How the name of a ring file ends, if there is a database.
fn file_ending(database: &Path) -> Option<String> {
    let (device, number) = file_number(database)?;
    Some(format!("-{device:x}.{number:x}{SUFFIX}"))
}

/// The name of one that is collected: whoever collects knows the folder, and the program knows no database.
pub(crate) fn file_name_of_collected(pid: u32, run: &str) -> String {
    format!("collected-{pid}-{run}{SUFFIX}")
}

/// The process in the name of a ring file.
pub(crate) fn pid_of(file: &Path) -> Option<u32> {
    file.file_name()?.to_str()?.split('-').nth(1)?.parse().ok()
}

/// The run's `uuid` in the name of a ring file: of one that cannot be read nothing else says it.
#[cfg(feature = "database")]
pub(crate) fn run_of(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    name.split('-').nth(2).filter(|run| !run.is_empty())
}

/// Files that may be rings of a database.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) found: Vec<PathBuf>,
    /// Those that are not looked at, and why: one of each folder to which others may write.
    pub(crate) refused: Vec<(PathBuf, String)>,
}

/// The files that may be rings of this database, whose path is [canonical]: of living processes and of dead
/// ones, finished and not.
pub(crate) fn files_of(database: &Path) -> Files {
    files_in(&folders(), database)
}

/// The ring files of all databases, in folders that are safe.
pub(crate) fn files_of_all() -> Vec<PathBuf> {
    files_with(&folders(), |_| true).found
}

/// The ring files in the folder where programs of this user put them that have the same environment, if it is safe.
#[cfg(feature = "database")]
pub(crate) fn files_of_user() -> Vec<PathBuf> {
    let first = folders().into_iter().find(|it| it.parent().is_some_and(Path::is_dir));
    first.map_or_else(Vec::new, |folder| files_with(&[folder], |_| true).found)
}

/// The ring files in a folder that is collected; none if there is no such folder. It has to be as
/// [programs demand it](check_collected), too.
#[cfg(feature = "database")]
pub(crate) fn files_in_folder(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(about_folder(folder, &error)),
    };
    check_collected(folder)?;
    let is_ring = |path: &PathBuf| path.as_os_str().as_encoded_bytes().ends_with(SUFFIX.as_bytes());
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_ring).collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(feature = "database")]
fn about_folder(folder: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::RingFile, format!("{}: {why}", folder.display()))
}

/// Whether a folder is one into which programs record: its user's alone, and no link. Another one has no ring file of
/// theirs, but perhaps what somebody else has put there.
#[cfg(feature = "database")]
pub(crate) fn check_collected(folder: &Path) -> Result<(), Error> {
    use spandrel_ring::file::CreateError;

    match spandrel_ring::file::check_folder(folder) {
        Ok(()) => Ok(()),
        Err(CreateError::Io { source, .. }) => Err(about_folder(folder, &source)),
        // It names the folder, and says what programs say of it.
        Err(error) => Err(Error::new(ErrorKind::RingFile, error.to_string())),
    }
}

fn files_in(folders: &[PathBuf], database: &Path) -> Files {
    let prefix = format!("{:016x}-", hash_of(database));
    let ending = file_ending(database);
    files_with(folders, |name| {
        name.starts_with(&prefix) || ending.as_ref().is_some_and(|it| name.ends_with(it.as_str()))
    })
}

fn files_with(folders: &[PathBuf], is_wanted: impl Fn(&str) -> bool) -> Files {
    let is_one = |name: &std::ffi::OsStr| {
        name.to_str().is_some_and(|name| name.ends_with(SUFFIX) && is_wanted(name))
    };
    let mut files = Files::default();
    for folder in folders {
        // What is not there, or not ours to read, has none.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut found =
            entries.flatten().filter(|entry| is_one(&entry.file_name())).map(|entry| entry.path());
        match spandrel_ring::file::check_folder(folder) {
            Ok(()) => files.found.extend(found),
            // Anybody can make a folder of this name in `/dev/shm`, and put anything into it.
            Err(error) => {
                let why = |path| {
                    (
                        path,
                        format!("it is not read, as its folder is not safe: {error}; or remove it"),
                    )
                };
                files.refused.extend(found.next().map(why));
            }
        }
    }
    files.found.sort_unstable();
    files.found.dedup();
    files.refused.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", not(any(miri, spandrel_loom))))]
    fn files_in_a_folder_that_others_may_write_to_are_not_looked_at() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let database = Path::new("/data/profile.db");
        let ring = folder.path().join(file_name(database, 1, "00"));
        for name in [ring.clone(), folder.path().join("other.ring")] {
            std::fs::write(name, "").unwrap();
        }
        let link = folder.path().with_extension("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let folders = [folder.path().to_owned()];
        for (mode, is_safe) in [(0o700, true), (0o777, false), (0o750, false)] {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let files = files_in(&folders, database);
            assert_eq!(
                files.found,
                if is_safe { vec![ring.clone()] } else { Vec::new() },
                "{mode:o}"
            );
            assert_eq!(files.refused.len(), usize::from(!is_safe));
            for (path, why) in files.refused {
                assert_eq!(path, ring);
                assert!(why.contains("can be entered by others") && why.contains("0700"), "{why}");
            }
        }
        assert!(
            files_in(std::slice::from_ref(&link), database).found.is_empty(),
            "a link leads anywhere"
        );
        std::fs::remove_file(link).unwrap();
        if std::os::unix::fs::chown(folder.path(), Some(12_345), None).is_ok() {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
            let files = files_in(&folders, database);
            assert_eq!(files.found, [] as [PathBuf; 0]);
            assert!(files.refused[0].1.contains("is somebody else's"));
        }
    }

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
        #[cfg(feature = "database")]
        {
            let folder = tempfile::tempdir().unwrap();
            let there = folder.path().join("p.db");
            std::fs::write(&there, "").unwrap();
            let collected = file_name_of_collected(4_711, "00ff");
            for name in [name, file_name(&there, 4_711, "00ff"), collected] {
                assert_eq!(run_of(&folder.path().join(name)), Some("00ff"));
            }
            assert_eq!(run_of(Path::new("something.ring")), None);
        }
    }
}
