//! Requests that wait to be sent, in a file that nobody else sees and that vanishes with this program.
//!
//! A receiver may be slow, or away for a minute; a profile that is read meanwhile would keep the log of its
//! recording from being emptied. So reading never waits for sending.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// A request that waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    pub(super) spans: u64,
    pub(super) first_span: u64,
    at: u64,
    bytes: usize,
}

/// The end where requests come in.
#[derive(Debug)]
pub(super) struct Entrance {
    file: Arc<Mutex<File>>,
    at: u64,
    sender: Sender<Waiting>,
}

/// The end where they go out.
#[derive(Debug)]
pub(super) struct Exit {
    file: Arc<Mutex<File>>,
    receiver: Receiver<Waiting>,
}

pub(super) fn queue() -> io::Result<(Entrance, Exit)> {
    let file = Arc::new(Mutex::new(tempfile::tempfile()?));
    let (sender, receiver) = channel();
    Ok((Entrance { file: Arc::clone(&file), at: 0, sender }, Exit { file, receiver }))
}

impl Entrance {
    /// Takes a request; `false` if nobody sends any more.
    pub(super) fn put(&mut self, body: &[u8], spans: u64, first_span: u64) -> io::Result<bool> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        file.write_all(body)?;
        drop(file);
        let waiting = Waiting { spans, first_span, at: self.at, bytes: body.len() };
        self.at += body.len() as u64;
        Ok(self.sender.send(waiting).is_ok())
    }
}

impl Exit {
    /// The next request; `None` when all have gone. Waits for one.
    pub(super) fn take(&self) -> Option<Waiting> {
        self.receiver.recv().ok()
    }

    pub(super) fn body(&self, of: &Waiting) -> io::Result<Vec<u8>> {
        let mut body = vec![0; of.bytes];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(of.at))?;
        file.read_exact(&mut body)?;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_out_as_they_went_in_while_others_come() {
        let (mut entrance, exit) = queue().unwrap();
        let body = |n: u64| vec![n as u8; (n % 7 * 1000) as usize];
        let sends = std::thread::spawn(move || {
            let mut count = 0;
            while let Some(waiting) = exit.take() {
                assert_eq!((waiting.spans, waiting.first_span), (count, count * 2));
                assert!(exit.body(&waiting).unwrap() == body(count));
                count += 1;
            }
            count
        });
        for n in 0..500 {
            assert!(entrance.put(&body(n), n, n * 2).unwrap());
        }
        drop(entrance);
        assert_eq!(sends.join().unwrap(), 500);
        let (mut entrance, exit) = queue().unwrap();
        drop(exit);
        assert!(!entrance.put(b"x", 1, 1).unwrap());
    }
}
