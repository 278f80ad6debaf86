//! The profile that a command looks at: the file, the run, and what of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use spandrel_storage::{APPLICATION_ID, Reader, Run};

use crate::failure::Failure;
use crate::output::Header;

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) db: Option<PathBuf>,
    pub(crate) run: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) between: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) utc: bool,
}

/// An open profile, and the run in it.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) reader: Reader,
    pub(crate) run: Run,
}

impl Wanted {
    /// The file: the one that was named, or the newest profile in the current folder.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        match &self.db {
            Some(path) => Ok(path.clone()),
            None => newest(Path::new(".")).ok_or_else(|| {
                Failure::cannot_read("there is no profile in this folder")
                    .hint("--db FILE or $SPANDREL_DB name one; a program with the layer makes one")
            }),
        }
    }

    /// Opens the file.
    pub(crate) fn reader(&self) -> Result<Reader, Failure> {
        Ok(Reader::open(self.path()?)?)
    }

    /// Opens the file and finds the run.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let reader = self.reader()?;
        let run = reader.latest_run()?.ok_or_else(|| {
            Failure::cannot_read(format!("{} holds no run", reader.path().display()))
                .hint("nothing was recorded into it yet")
        })?;
        Ok(Profile { reader, run })
    }
}

impl Profile {
    /// The header of every view: which run, and what is missing.
    pub(crate) fn header(&self) -> Result<Header, Failure> {
        Ok(Header::new(self.run.clone(), self.reader.losses(self.run.id)?))
    }
}

/// The profile in a folder that was written last.
fn newest(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let path = entry.path();
        let is_named_so = path.extension().is_some_and(|end| end == "db");
        (is_named_so && is_profile(&path)).then(|| Some((written(&path)?, path)))?
    });
    let path = files.max()?.1;
    Some(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
}

/// When a profile was written last: a live one writes its log only.
fn written(path: &Path) -> Option<SystemTime> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let times = [path.as_os_str(), &log].map(|path| fs::metadata(path).ok()?.modified().ok());
    times.into_iter().flatten().max()
}

/// Whether the start of the file says that it is a profile: <https://sqlite.org/fileformat.html>.
fn is_profile(path: &Path) -> bool {
    let mut start = [0; 72];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok()
        && start.starts_with(b"SQLite format 3\0")
        && start.get(68..72) == Some(&APPLICATION_ID.to_be_bytes())
}
