//! Where a reader reads from: a file, or bytes that are there already.

use std::fs::File;
use std::io;

/// Some bytes, of which nobody promises that they stay: others may write to them, or cut them short.
///
/// A reader copies what it looks at, so that a file which is cut short meanwhile is shorter and no signal.
pub trait Source {
    /// How long it is now.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is nothing in it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Copies bytes from there on; fewer than there is room for where it ends.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize>;

    /// Writes bytes there, which whoever records sees then.
    ///
    /// # Errors
    ///
    /// What the system says, and where nothing can be written.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
}

impl Source for [u8] {
    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let from = self.get(at..).unwrap_or_default();
        let len = from.len().min(to.len());
        to[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn write_at(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(at, to)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(at, bytes)
    }
}

impl Source for File {
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|file| file.len())
    }

    #[cfg(unix)]
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut done = 0;
        while done < to.len() {
            match FileExt::read_at(self, &mut to[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    #[cfg(unix)]
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, at)
    }

    #[cfg(not(unix))]
    fn read_at(&self, _at: u64, _to: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(unix))]
    fn write_at(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
