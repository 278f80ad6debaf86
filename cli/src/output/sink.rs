//! Where output goes: the terminal, through a pager if it does not fit; a pipe; or a file that appears
//! when it is complete.

use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::{NamedTempFile, TempDir};

use super::escaping_writer::EscapingWriter;
use crate::failure::Failure;

/// The start of every SQLite database.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Where a page goes: a file that replaces the one at `path` when it is complete, and is invisible until
/// then; a device, a pipe or the like, which are written to directly; or the standard output, for `-`.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A file that appears at this path, after symbolic links were resolved.
    Place(NamedTempFile, PathBuf),
    /// What is there already, and how many bytes went into it.
    There(File, u64),
    Standard(Stdout, u64),
    Terminal(EscapingWriter<Stdout>, u64),
}

impl Destination {
    /// Refuses to replace a database: it may be a recording of many hours.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let failure = |source: io::Error| Failure::cannot_write(path, &source);
        let to = match fs::metadata(path) {
            _ if path == Path::new("-") => return Ok(Self::standard()),
            Ok(found) if found.is_dir() => return Err(is_folder(path)),
            Ok(found) if !found.is_file() => {
                To::There(File::options().write(true).open(path).map_err(failure)?, 0)
            }
            found => {
                refuse_database(path)?;
                // A link stays one.
                let place = if found.is_ok() { path.canonicalize() } else { Ok(path.into()) };
                let place = place.map_err(failure)?;
                To::Place(NamedTempFile::new_in(folder_of(&place)).map_err(failure)?, place)
            }
        };
        Ok(Self { path: path.into(), to })
    }

    fn standard() -> Self {
        let out = io::stdout();
        let to = match out.is_terminal() {
            true => To::Terminal(EscapingWriter::new(out, false), 0),
            false => To::Standard(out, 0),
        };
        Self { path: "the standard output".into(), to }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file appear; gives its size in bytes.
    pub(crate) fn complete(mut self) -> Result<u64, Failure> {
        let flushed = ignore_broken_pipe(self.flush());
        let failure = |source: io::Error| Failure::cannot_write(&self.path, &source);
        flushed.map_err(failure)?;
        match self.to {
            To::There(_, bytes) | To::Standard(_, bytes) | To::Terminal(_, bytes) => Ok(bytes),
            To::Place(file, place) => {
                let bytes = file.as_file().metadata().map_err(failure)?.len();
                file.persist(place).map_err(|error| failure(error.error))?;
                Ok(bytes)
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, all) = match &mut self.to {
            To::Place(file, _) => return file.write(bytes),
            To::There(file, all) => (file.write(bytes)?, all),
            To::Standard(out, all) => (out.write(bytes)?, all),
            To::Terminal(out, all) => (out.write(bytes)?, all),
        };
        *all = all.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Place(file, _) => file.flush(),
            To::There(file, _) => file.flush(),
            To::Standard(out, _) => out.flush(),
            To::Terminal(out, _) => out.flush(),
        }
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
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(is_folder(path)),
            Ok(found) if !found.is_file() => {
                let message = format!("{} is a device, a pipe or a socket", path.display());
                return Err(Failure::usage(message).hint("a database needs a file: -o queries.db"));
            }
            _ => {}
        }
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

fn is_folder(path: &Path) -> Failure {
    Failure::usage(format!("{} is a folder", path.display())).hint("name a file in it")
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

/// Writes a whole page to the standard output. If the reader has gone away, that is no failure.
pub(crate) fn print(page: &[u8], pager: bool) -> io::Result<()> {
    let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| height.0.into());
    let lines = page.iter().filter(|byte| **byte == b'\n').count();
    if pager
        && io::stdout().is_terminal()
        && lines >= rows
        && let Some(mut child) = start_pager()
    {
        if let Some(input) = &mut child.stdin {
            ignore_broken_pipe(input.write_all(page))?;
        }
        drop(child.stdin.take());
        return child.wait().map(drop);
    }
    let mut out = io::stdout().lock();
    ignore_broken_pipe(out.write_all(page).and_then(|()| out.flush()))
}

/// No failure if the reader has gone away.
pub(crate) fn ignore_broken_pipe(written: io::Result<()>) -> io::Result<()> {
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
