//! A buffered file that another thread writes to, and that can be watched: for recorders that have
//! a writer thread but no flush that waits for it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::recorder::Result;

const PATIENCE: Duration = Duration::from_secs(120);

/// The writer's end.
pub struct CountingFile {
    file: BufWriter<File>,
    counts: Arc<Counts>,
}

/// What the writer has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls of `write_all` that ended a line.
    pub lines: AtomicU64,
    /// Calls of `flush`.
    pub flushes: AtomicU64,
}

impl CountingFile {
    pub fn create(path: &Path) -> io::Result<(Self, Arc<Counts>)> {
        let counts = Arc::new(Counts::default());
        let file = BufWriter::new(File::create(path)?);
        Ok((Self { file, counts: Arc::clone(&counts) }, counts))
    }

    fn count(&self, written: &[u8]) {
        if written.ends_with(b"\n") {
            // Release: pairs with the Acquire in `wait_until`.
            self.counts.lines.fetch_add(1, Ordering::Release);
        }
    }
}

impl Write for CountingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.count(&bytes[..n]);
        Ok(n)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.count(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        // Release: pairs with the Acquire in `wait_until`.
        self.counts.flushes.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// Waits until a count has come so far.
pub fn wait_until(count: &AtomicU64, least: u64) -> Result<()> {
    let began = Instant::now();
    // Acquire: pairs with the Release of the writer.
    while count.load(Ordering::Acquire) < least {
        if began.elapsed() > PATIENCE {
            return Err(format!("the writer thread has not come to {least} in time").into());
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
