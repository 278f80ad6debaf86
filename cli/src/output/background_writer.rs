//! A thread that writes while the next piece is being made: a file of gigabytes takes the system as long
//! as it takes us to put it together.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Pieces on their way; memory is bounded by them.
const PIECES_MAX: usize = 4;

/// Hands what is written to a thread that writes it.
#[derive(Debug)]
pub(crate) struct BackgroundWriter<W> {
    pieces: SyncSender<Vec<u8>>,
    /// Pieces that are written, to be filled again.
    empty: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W> BackgroundWriter<W> {
    fn end(&mut self) -> io::Result<W> {
        // The thread ends with the channel.
        drop(mem::replace(&mut self.pieces, sync_channel(0).0));
        let Some(thread) = self.thread.take() else {
            return Err(io::Error::other("the output has failed before"));
        };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes panicked")))
    }
}

/// Waits for the thread, so that no file is left half written when writing is given up, as after Ctrl-C.
impl<W> Drop for BackgroundWriter<W> {
    fn drop(&mut self) {
        let _given_up = self.end();
    }
}

impl<W: Write + Send + 'static> BackgroundWriter<W> {
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        let (pieces, received) = sync_channel::<Vec<u8>>(PIECES_MAX);
        let (give_back, empty) = sync_channel(PIECES_MAX);
        let write = move || {
            for piece in received {
                out.write_all(&piece)?;
                // Nobody waits for it.
                let _full = give_back.try_send(piece);
            }
            out.flush()?;
            Ok(out)
        };
        let thread = thread::Builder::new().name("spandrel-output".into()).spawn(write)?;
        Ok(Self { pieces, empty, thread: Some(thread) })
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end()
    }
}

impl<W: Write + Send + 'static> Write for BackgroundWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut piece = self.empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        match self.pieces.send(piece) {
            Ok(()) => Ok(bytes.len()),
            // It ends early only when it cannot write.
            Err(_) => Err(self.end().err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Nothing: what is written on its way stays on its way; [`finish`](Self::finish) waits for it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails once it has taken this many bytes.
    struct Full(usize, Vec<u8>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1.len() + bytes.len() > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order() {
        let mut behind = BackgroundWriter::new(Full(usize::MAX, Vec::new())).unwrap();
        let pieces: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n; usize::from(n) * 37]).collect();
        for piece in &pieces {
            behind.write_all(piece).unwrap();
        }
        assert_eq!(behind.finish().unwrap().1, pieces.concat());
    }

    #[test]
    fn whoever_gives_up_leaves_nothing_behind() {
        /// Slow to write, and says when it is gone.
        struct Slow(std::sync::Arc<std::sync::atomic::AtomicBool>);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                thread::yield_now();
                Ok(bytes.len().min(1))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Drop for Slow {
            fn drop(&mut self) {
                // Relaxed: joining the thread orders it.
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let gone = std::sync::Arc::default();
        let mut behind = BackgroundWriter::new(Slow(std::sync::Arc::clone(&gone))).unwrap();
        behind.write_all(&[0; 10_000]).unwrap();
        drop(behind);
        assert!(gone.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn what_went_wrong_is_said_at_the_latest_in_the_end() {
        let mut behind = BackgroundWriter::new(Full(100, Vec::new())).unwrap();
        let mut failed = None;
        for _ in 0..1_000 {
            if let Err(error) = behind.write_all(&[0; 10]) {
                failed = Some(error.kind());
                break;
            }
        }
        assert_eq!(failed, Some(io::ErrorKind::StorageFull));
        assert!(behind.finish().is_err());

        let mut behind = BackgroundWriter::new(Full(100, Vec::new())).unwrap();
        behind.write_all(&[0; 101]).unwrap();
        assert_eq!(behind.finish().err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
