//! Output that is written while it comes into being, for what may be larger than the memory.
//!
//! Rows of a query come out of a read transaction, which a live recording has to wait for with its log.
//! A reader of a pipe can be as slow as it likes, so while a recording may be going on the rows go into a
//! temporary file first, and to the pipe when the transaction has ended.

use std::io::{self, BufWriter, Seek, StdoutLock, Write};

use super::escaping_writer::EscapingWriter;
use super::sink::Destination;
use super::{Output, text};
use crate::failure::Failure;

/// Bytes that are kept in memory at most.
const SPOOL_BYTES: usize = 4 << 20;

/// Where rows go.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    to: To<'a>,
    output: &'a Output,
}

#[derive(Debug)]
enum To<'a> {
    Pipe(BufWriter<StdoutLock<'a>>),
    Terminal(BufWriter<EscapingWriter<StdoutLock<'a>>>),
    Spool(tempfile::SpooledTempFile),
    File(BufWriter<Destination>),
}

impl Output {
    /// A stream to where the output was asked for. With `spooled` nobody's slowness is felt before
    /// [`Stream::finish`].
    pub(crate) fn stream(&self, spooled: bool) -> Result<Stream<'_>, Failure> {
        let to = match &self.path {
            Some(path) => To::File(BufWriter::new(Destination::new(path)?)),
            None if spooled => To::Spool(tempfile::spooled_tempfile(SPOOL_BYTES)),
            None if self.is_to_be_cleaned() => To::Terminal(BufWriter::new(self.cleaned())),
            None => To::Pipe(BufWriter::new(io::stdout().lock())),
        };
        Ok(Stream { to, output: self })
    }

    fn cleaned(&self) -> EscapingWriter<StdoutLock<'static>> {
        EscapingWriter::new(io::stdout().lock(), self.format().is_json())
    }
}

impl Stream<'_> {
    /// Everything was written.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let failure =
            |source: io::Error| Failure::cannot_read(format!("cannot write the output: {source}"));
        match self.to {
            To::Pipe(mut pipe) => super::sink::ignore_broken_pipe(pipe.flush()).map_err(failure),
            To::Terminal(mut out) => super::sink::ignore_broken_pipe(out.flush()).map_err(failure),
            To::Spool(mut spool) => {
                spool.rewind().map_err(failure)?;
                let mut out: Box<dyn Write> = match self.output.is_to_be_cleaned() {
                    true => Box::new(self.output.cleaned()),
                    false => Box::new(io::stdout().lock()),
                };
                let copied = io::copy(&mut spool, &mut out).and_then(|_| out.flush());
                super::sink::ignore_broken_pipe(copied).map_err(failure)
            }
            To::File(file) => {
                let file = file.into_inner().map_err(|error| failure(error.into_error()))?;
                let path = file.path().display().to_string();
                let bytes = file.complete()?;
                self.output.say(&format!("wrote {path} ({})", text::bytes(bytes)));
                Ok(())
            }
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Pipe(pipe) => pipe.write(bytes),
            To::Terminal(out) => out.write(bytes),
            To::Spool(spool) => spool.write(bytes),
            To::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Pipe(pipe) => pipe.flush(),
            To::Terminal(out) => out.flush(),
            To::Spool(spool) => spool.flush(),
            To::File(file) => file.flush(),
        }
    }
}
