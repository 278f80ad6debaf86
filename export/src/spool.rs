//! Streams that have to be written one after the other, although their rows come mixed.
//!
//! Rows wait in a temporary database of SQLite, which is in memory while it is small, otherwise in a file that nobody
//! else sees and that vanishes with the connection (`$SQLITE_TMPDIR` says where).

use std::io;
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, params};

use super::error::ExportError;
use super::out::Out;
use spandrel_storage::internals::FastHashMap;

/// Bytes that wait in memory at most, and as many again on their way to the database.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Streams of bytes: first they grow, then they are written.
pub(super) struct Spool {
    database: Database,
    streams: FastHashMap<u32, Stream>,
    bytes: usize,
    bytes_max: usize,
}

/// Where the pieces are.
enum Database {
    /// Owned by a thread that inserts them: that takes as long as producing them.
    Writing { pieces: SyncSender<Pieces>, thread: JoinHandle<rusqlite::Result<Connection>> },
    /// All pieces are inserted.
    Complete(Connection),
    /// It could not be written.
    Failed,
}

/// Keys and bytes.
type Pieces = Vec<(i64, Vec<u8>)>;

#[derive(Default)]
struct Stream {
    waiting: Vec<u8>,
    /// Pieces of it that are in the database.
    pieces: u32,
}

/// A database that nobody else sees.
pub(super) fn temporary() -> Result<Connection, ExportError> {
    let open = || {
        let conn = Connection::open("")?;
        conn.execute_batch(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA cache_size = -16384; BEGIN;",
        )?;
        Ok(conn)
    };
    open().map_err(ExportError::Spool)
}

impl Spool {
    pub(super) fn new() -> Result<Self, ExportError> {
        let conn = temporary()?;
        conn.execute_batch("CREATE TABLE piece (key INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
            .map_err(ExportError::Spool)?;
        let (pieces, received) = sync_channel(0);
        let thread = thread::Builder::new()
            .name("spandrel-spool".into())
            .spawn(move || store_pieces(conn, received))
            .map_err(ExportError::Write)?;
        let database = Database::Writing { pieces, thread };
        Ok(Self { database, streams: FastHashMap::default(), bytes: 0, bytes_max: BYTES_MAX })
    }

    /// Appends what `write` writes to a stream; tells it whether the stream is still empty.
    pub(super) fn append(
        &mut self,
        stream: u32,
        write: impl FnOnce(&mut Vec<u8>, bool),
    ) -> Result<(), ExportError> {
        let stream = self.streams.entry(stream).or_default();
        let before = stream.waiting.len();
        write(&mut stream.waiting, before == 0 && stream.pieces == 0);
        self.bytes += stream.waiting.len() - before;
        if self.bytes > self.bytes_max { self.flush() } else { Ok(()) }
    }

    /// Sends the gathered pieces to the database. Buffers are freed: streams come and go, and unused memory would add
    /// up.
    fn flush(&mut self) -> Result<(), ExportError> {
        let mut gathered = Vec::new();
        for (number, stream) in &mut self.streams {
            if !stream.waiting.is_empty() {
                gathered.push((key(*number, stream.pieces), mem::take(&mut stream.waiting)));
                stream.pieces += 1;
            }
        }
        self.bytes = 0;
        match &self.database {
            Database::Writing { pieces, .. } if pieces.send(gathered).is_ok() => Ok(()),
            // The thread ends early only when it fails.
            _ => self.complete().map(drop),
        }
    }

    /// The database, once nothing more comes.
    fn complete(&mut self) -> Result<&Connection, ExportError> {
        let broken = |what: &str| ExportError::Write(io::Error::other(what));
        if let Database::Writing { .. } = self.database
            && let Database::Writing { pieces, thread } =
                mem::replace(&mut self.database, Database::Failed)
        {
            drop(pieces);
            let conn =
                thread.join().map_err(|_| broken("the thread that puts rows by panicked"))?;
            self.database = Database::Complete(conn.map_err(ExportError::Spool)?);
        }
        match &self.database {
            Database::Complete(conn) => Ok(conn),
            _ => Err(broken("rows could not be put by")),
        }
    }

    /// Writes a whole stream; nothing can be appended afterwards.
    pub(super) fn write(&mut self, number: u32, out: &mut Out<'_>) -> Result<(), ExportError> {
        self.complete()?;
        let (Database::Complete(conn), Some(stream)) = (&self.database, self.streams.get(&number))
        else {
            return Ok(());
        };
        let mut query =
            conn.prepare("SELECT bytes FROM piece WHERE key = ?1").map_err(ExportError::Spool)?;
        for piece in 0..stream.pieces {
            let append = |row: &rusqlite::Row<'_>| {
                out.buffer.extend_from_slice(row.get_ref(0)?.as_blob()?);
                Ok(())
            };
            query.query_row([key(number, piece)], append).map_err(ExportError::Spool)?;
            out.flush_if_large()?;
        }
        out.buffer.extend_from_slice(&stream.waiting);
        Ok(out.flush_if_large()?)
    }
}

fn store_pieces(conn: Connection, received: Receiver<Pieces>) -> rusqlite::Result<Connection> {
    let mut insert = conn.prepare("INSERT INTO piece (key, bytes) VALUES (?1, ?2)")?;
    for (key, bytes) in received.into_iter().flatten() {
        insert.execute(params![key, bytes])?;
    }
    drop(insert);
    Ok(conn)
}

fn key(stream: u32, piece: u32) -> i64 {
    (i64::from(stream) << 31) | i64::from(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_back_whole_however_small_the_memory() {
        let mut spool = Spool { bytes_max: 1000, ..Spool::new().unwrap() };
        let mut expected = vec![Vec::new(); 7];
        for n in 0..3000_u32 {
            let stream = n * n % 7;
            let text = format!("{n},");
            let model = &mut expected[stream as usize];
            spool
                .append(stream, |to, first| {
                    assert_eq!(first, model.is_empty());
                    to.extend_from_slice(text.as_bytes());
                })
                .unwrap();
            model.extend_from_slice(text.as_bytes());
        }
        for (stream, expected) in expected.into_iter().enumerate() {
            let mut bytes = Vec::new();
            let mut out = Out::new(&mut bytes);
            spool.write(stream as u32, &mut out).unwrap();
            out.finish().unwrap();
            assert!(bytes == expected, "stream {stream}");
        }
    }
}
