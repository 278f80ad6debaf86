//! Where output goes: the terminal, by a pager where it does not fit, a pipe, or a file that appears
//! when it is complete.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::{NamedTempFile, TempDir};

use crate::failure::Failure;

/// The start of every SQLite database.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// A file that replaces the one at `path` when it is complete; until then nobody sees it.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    file: NamedTempFile,
}

impl Destination {
    /// Refuses to replace a database, which somebody may have recorded for hours.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        refuse_database(path)?;
        let file = NamedTempFile::new_in(folder_of(path))
            .map_err(|source| Failure::cannot_write(path, &source))?;
        Ok(Self { path: path.into(), file })
    }

    /// The file that will appear.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file appear; gives its size in bytes.
    pub(crate) fn complete(self) -> Result<u64, Failure> {
        let failure = |source: io::Error| Failure::cannot_write(&self.path, &source);
        let bytes = self.file.as_file().metadata().map_err(failure)?.len();
        self.file.persist(&self.path).map_err(|error| failure(error.error))?;
        Ok(bytes)
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A database that appears at `path` when it is complete. Until then it is in a folder beside it, with
/// whatever files SQLite makes.
#[derive(Debug)]
pub(crate) struct NewDatabase {
    path: PathBuf,
    folder: TempDir,
}

impl NewDatabase {
    /// Refuses to replace a database, as [`Destination`] does.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        refuse_database(path)?;
        let folder = tempfile::Builder::new().prefix(".spandrel-").tempdir_in(folder_of(path));
        let folder = folder.map_err(|source| Failure::cannot_write(path, &source))?;
        Ok(Self { path: path.into(), folder })
    }

    /// Where it is until it is complete.
    pub(crate) fn until_complete(&self) -> PathBuf {
        self.folder.path().join("profile.db")
    }

    /// Makes the file appear.
    pub(crate) fn complete(self) -> Result<(), Failure> {
        fs::rename(self.until_complete(), &self.path)
            .map_err(|source| Failure::cannot_write(&self.path, &source))
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn refuse_database(path: &Path) -> Result<(), Failure> {
    let mut start = [0; DATABASE.len()];
    let known = File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    if known.is_ok() && start == DATABASE {
        let message = format!("{} is a database and is not replaced", path.display());
        return Err(Failure::cannot_read(message).hint("choose another name for --output"));
    }
    Ok(())
}

/// Writes a whole page to the standard output; a reader that went away is no failure.
pub(crate) fn print(page: &[u8], pager: bool) -> io::Result<()> {
    let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| height.0.into());
    let lines = page.iter().filter(|byte| **byte == b'\n').count();
    if pager
        && io::stdout().is_terminal()
        && lines >= rows
        && let Some(mut child) = start_pager()
    {
        if let Some(input) = &mut child.stdin {
            quietly(input.write_all(page))?;
        }
        drop(child.stdin.take());
        return child.wait().map(drop);
    }
    let mut out = io::stdout().lock();
    quietly(out.write_all(page).and_then(|()| out.flush()))
}

/// No failure if it is that the reader went away.
pub(crate) fn quietly(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// `$SPANDREL_PAGER`, `$PAGER`, or `less`, which then leaves what it showed on the screen.
fn start_pager() -> Option<Child> {
    let chosen = ["SPANDREL_PAGER", "PAGER"].iter().find_map(|key| env::var(key).ok());
    let chosen = chosen.unwrap_or_else(|| "less".into());
    let mut words = chosen.split_whitespace();
    let program = words.next()?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    command.spawn().ok()
}
