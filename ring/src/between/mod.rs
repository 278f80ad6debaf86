//! A ring between processes: many writers and many readers, in a mapped file (features `mapped` and `broadcast`; Linux and
//! macOS).
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use spandrel_ring::between::{Options, ReadError, Ring, Start};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = "/dev/shm/me/frames.ring".as_ref();
//! let second = Duration::from_secs(1);
//!
//! // Each process, whichever comes first: 64 slots of 256 bytes.
//! let ring = Options::new(256, 64).open_or_create(path, second)?;
//!
//! // One of them:
//! let mut writer = ring.writer()?;
//! writer.send(&[7; 256], second)?;
//! let mut claim = writer.claim(second)?; // written where it lies
//! claim.write(0, b"hello")?;
//! claim.publish()?;
//!
//! // Another one:
//! let mut reader = ring.reader(Start::Oldest)?;
//! let mut slot = [0; 256];
//! loop {
//!     match reader.read(&mut slot, second) {
//!         Ok(sequence) => println!("{sequence}: {slot:?}"),
//!         Err(ReadError::Overtaken(missed)) => println!("{missed} are gone"),
//!         Err(ReadError::Ended) => break, // the last writer has left, or was killed
//!         Err(why) => return Err(why.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It is a module of its own, and not one more kind of [`broadcast`](crate::broadcast), as nearly nothing is the same: there, who shares
//! a ring shares a heap, ends by dropping what it has, and is believed; here, anybody may be killed between any two
//! instructions, and nobody can be believed.
//!
//! # Who is there
//!
//! * [`Writer`]s *claim* a slot, write it in place, and *publish*.
//! * [`Reader`]s see everything from where they have begun. One that [holds](Ring::holding_reader) writers back misses nothing;
//!   any other one holds nobody back, is overtaken, and is told exactly how many sequences it has missed.
//! * [`Worker`]s compete: each value is read by one of their group.
//!
//! They come and go at any time, in any process. A ring has ended when it has had a writer and the last one has left, or is
//! dead; a writer that joins later begins again. The file stays until somebody removes it.
//!
//! # The protocol
//!
//! A *sequence* is a slot and a lap. Each slot has a word that says its lap, what is in it, and who owns it. It only grows, so that no
//! word comes again, and each change is a compare-and-swap from what was seen:
//!
//! | from | to | by |
//! |---|---|---|
//! | published, dropped, dead or free, of any lap before | claimed, this lap | a writer, for itself: this *is* the claim, so no claim is without an owner |
//! | claimed | published, dropped | its owner |
//! | claimed or passed | dead, the same lap | anybody, once its owner is dead |
//! | claimed or passed, of a lap before | passed, this lap | a writer that has waited for 20 ms for an owner who lives |
//! | passed | dropped, the same lap | its owner, when it comes back |
//!
//! Sequences are claimed in turn: a writer tries one that it knows to be the next, as it has seen that the one before is
//! claimed. A word in the file says where to begin to look; it is a hint, and may be wrong.
//!
//! A *passed* slot is still its owner's to write in, but its sequence of this lap has no value, and readers go on. So a process
//! that is stopped for good with a claim in hand costs the others one wait in all, and one sequence a lap.
//! Its own `publish` fails with [`WriteError::Overrun`]; [`Writer::send`] publishes again.
//!
//! A reader copies a published slot, and looks at the word again. All that is written is stored with Release, and loaded with
//! Acquire: whoever has copied a part of a later lap also sees that this was claimed, and throws the copy away.
//!
//! Each participant has a *place* in a table: who it is, and a byte of the file that it has locked while it lives. A place is taken by
//! who has its lock; is said to be dead by whoever finds that out (see the end of [`crate::file`] for what "dead" means: never by a
//! process id alone); and is free again when all slots were looked through for claims of its owner. Nobody waits for a lock.
//!
//! A reader that holds has a *gate* in its place. A writer looks at all gates when it has used up the room that it saw last, and then
//! goes on up to a lap behind the lowest; or, if there is none, up to a lap from where it is. Whoever joins
//! sets its gate, adds one to a word that each such look adds one to, too, and then begins at the tail: of the two additions one
//! comes second, so either the writer sees the gate, or the reader begins behind all that the writer had seen.
//!
//! ## What a death means
//!
//! | killed | what is left | what becomes of it |
//! |---|---|---|
//! | while it makes the file | a file without its first word | it is no ring; [`Options::open_or_create`] makes another one |
//! | with the lock of a place, before it has taken it | a free place | nothing |
//! | with the place, before it says who it is | a place of somebody who joins, without a lock | dead, as it has no lock |
//! | as a writer, with no claim in hand | a place | found dead by whoever waits for more, or needs a place |
//! | between claim and publication, wherever | a claimed slot | readers who wait there and writers who come round find the owner dead, and skip it; it is [counted](Counts::dead_claims), and each reader [counts](Reader::without_value) it |
//! | with a claim that was passed over | a passed slot | the next writer that comes round finds the owner dead |
//! | between claim and hint | an older hint | others walk from there |
//! | behind the publication | a value | it is read |
//! | as a reader that holds | a gate | a writer that is held back asks for its owner, at most every 10 ms, and goes on |
//! | as a worker, before it has moved its group on | nothing | another one reads the value |
//! | as a worker, behind that | nothing | the value was read by somebody who is dead |
//! | while it looks through slots of a dead one | a place that is dead still | the next one that needs a place does it again |
//!
//! A process that is stopped (`SIGSTOP`) is not dead. As a writer it is passed over, as a reader that may be overtaken it is, and as one
//! that holds it holds: that is what it was asked for. All waits have a time-out. Who waits looks for a
//! moment, lets others run, and then sleeps between two looks, up to a millisecond: writers wake nobody, so that a
//! publication takes no system call.
//!
//! # What is trusted
//!
//! The header is checked when the file is opened, kept, and not looked at again: a file that is another one, is shorter, or says
//! something else is refused. All numbers that are read later are taken for what they are, somebody else's: they are
//! masked before they are positions, and no loop is as long as one of them says. Whoever may write to the file, which is the same
//! user, can spoil what is in the ring, keep a writer waiting up to its time-out, and nothing else of this process. What
//! is in a slot is bytes: whoever reads them checks what they mean. (A [borrowed](Reader::try_peek) slot, or one that is [written in
//! place](Claim::as_mut_slice), is memory that other processes must leave alone for as long, as this protocol has them do.)
//!
//! Where somebody cuts the file short, zeros are behind its end, as of a [ring file](crate::file), and
//! reads and writes say that it was [cut](ReadError::Cut). A child of `fork` has zeros in the place of the mapping: it is to open the
//! ring itself.
//!
//! # Limits
//!
//! 2^48 laps, and no more than 2^62 sequences: then the ring is [exhausted](WriteError::Exhausted). A ring of 1,024 slots lasts for
//! 90 years at 100 million a second. A slot takes what it has, and 8 bytes; large ones begin at a line, and take up to 120
//! more. A process may have 64 rings and ring files open at the same time.

mod error;
mod layout;
mod lives;
#[cfg(all(test, spandrel_loom))]
mod loom_models;
mod open;
mod participants;
mod patience;
mod payload;
mod reader;
mod ring;
mod role;
mod shared;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod values;
mod view;
mod worker;
mod writer;

pub use self::error::{JoinError, OpenError, ReadError, WriteError};
pub use self::layout::LAYOUT_VERSION;
#[cfg(not(spandrel_loom))]
pub use self::reader::Held;
pub use self::reader::Reader;
pub use self::ring::{As, Counts, Options, Participant, Ring};
pub use self::start::Start;
pub use self::values::{ValueReader, ValueWriter};
pub use self::worker::Worker;
pub use self::writer::{Claim, Writer};
