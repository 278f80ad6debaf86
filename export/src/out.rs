//! A buffer between the formats and the writer, flushed in large pieces.

use std::io::{self, Write};

/// Bytes that are written at once.
const PIECE_BYTES: usize = 256 * 1024;

/// A buffer before a writer. Formats append to [`buffer`](Self::buffer), and call
/// [`flush_if_large`](Self::flush_if_large) between records.
pub(super) struct Out<'a> {
    pub(super) buffer: Vec<u8>,
    inner: &'a mut dyn Write,
    written: u64,
}

impl<'a> Out<'a> {
    pub(super) fn new(inner: &'a mut dyn Write) -> Self {
        Self { buffer: Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4), inner, written: 0 }
    }

    /// Writes the buffer if it is large enough.
    pub(super) fn flush_if_large(&mut self) -> io::Result<()> {
        if self.buffer.len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * PIECE_BYTES);
        Ok(())
    }

    /// Writes the rest; returns the number of all bytes.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.inner.flush()?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order() {
        let mut inner = Vec::new();
        let mut out = Out::new(&mut inner);
        let mut expected = Vec::new();
        for n in 0..40_000_u32 {
            let line = format!("{n} and some more to fill it\n");
            out.buffer.extend_from_slice(line.as_bytes());
            expected.extend_from_slice(line.as_bytes());
            out.flush_if_large().unwrap();
            assert!(out.buffer.len() < PIECE_BYTES);
        }
        assert_eq!(out.finish().unwrap(), expected.len() as u64);
        assert!(inner == expected);
    }
}
