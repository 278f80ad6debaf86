//! Reads a ring file, of a process that lives or is dead, and trusts nothing in it.
//!
//! All is read by copies (`pread`), never through a mapping: a file that is cut short meanwhile is shorter, and no
//! signal. No buffer is larger than what the file has.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{Ordering, fence};

use super::layout::{self, Layout, partition_words};
use super::names::{Name, NamesRead, read_names};
use super::owner::OwnerId;
use super::{DRAINER_WORDS, OWN_WORDS, OpenError, Source};
use crate::counts::CLASSES;

/// A ring file, as somebody else's process sees it.
#[derive(Debug)]
pub struct Reader<S = File> {
    pub(super) source: S,
    pub(super) layout: Layout,
    header: Box<[u64; layout::HEADER_WORDS]>,
    /// How many partitions begin before the end of the file.
    present: usize,
    /// Whether something was not there that should be.
    is_cut: bool,
    /// Words as they were read; kept, so that nothing is allocated for each look.
    pub(super) buffer: Vec<u64>,
}

/// How far its owner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is being made, or was when its owner died: there is nothing in it.
    Building,
    /// It is recorded into, or was when its owner died.
    Recording,
    /// Its owner has closed it: nothing more comes.
    Closed,
    /// It says something that no version does. What is in it is read as if it was recorded into.
    Damaged,
}

/// What a partition says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSeen {
    /// Where the next claim begins.
    pub tail: u64,
    /// What was given back; none if the two words that say so do not agree, as they may for a moment.
    pub given_back: Option<u64>,
    /// How many claims of each class were published.
    pub published: [u64; CLASSES],
    /// How many slots it has.
    pub slots: usize,
    /// Whether somebody of its process [calls](crate::Consumer::call_drainer) for whoever drains, or it has passed half full.
    pub is_called: bool,
}

/// Words as bytes, to be read into.
#[allow(unsafe_code)] // the same memory, as bytes
fn as_bytes(words: &mut [u64]) -> &mut [u8] {
    let len = size_of_val(words);
    // SAFETY: the bytes are those of the words, which are borrowed as long and by nobody else; bytes may be anywhere, and any
    // of them make a word.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) }
}

/// Reads so many words into `to`, in the place of what is there, by one call. Says whether they were all there; those that
/// are not are left out.
pub(super) fn read_words<S: Source>(
    source: &S,
    at: u64,
    words: usize,
    to: &mut Vec<u64>,
) -> io::Result<bool> {
    // Not before it is known that there are so many. A file that grows meanwhile has no more than that.
    let there = usize::try_from(source.len()?.saturating_sub(at) / 8).unwrap_or(usize::MAX);
    let end = words.min(there);
    // What is in it is overwritten, and nothing cleared for that.
    if let Some(more) = end.checked_sub(to.len()) {
        to.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
        to.resize(end, 0);
    }
    to.truncate(end);
    let read = source.read_at(at, as_bytes(to))? / 8;
    to.truncate(read);
    Ok(read == words)
}

/// Opens a file of this user, and waits for nobody: in the place of it may be a pipe, or a link.
fn open(path: &Path, options: &mut OpenOptions) -> Result<File, OpenError> {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
        let opened = options.custom_flags(flags).open(path);
        let file = opened.map_err(|error| super::guard::or_link(path, error))?;
        super::guard::check_owner(&file)?;
        Ok(file)
    }
    #[cfg(not(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri)))))]
    {
        let file = options.open(path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(OpenError::NoRing) }
    }
}

impl Reader<File> {
    /// Opens a ring file; its owner may live. It has to be this user's.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::of_file(open(path, File::options().read(true))?)
    }

    /// The same for whoever drains it, and gives slots back.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn open_to_drain(path: &Path) -> Result<Self, OpenError> {
        Self::of_file(open(path, File::options().read(true).write(true))?)
    }

    fn of_file(file: File) -> Result<Self, OpenError> {
        let reader = Self::new(file)?;
        #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
        super::guard::check_size(&reader.source, reader.layout.bytes as u64)?;
        Ok(reader)
    }
}

impl<S: Source> Reader<S> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn new(source: S) -> Result<Self, OpenError> {
        let mut words = Vec::new();
        let is_whole = read_words(&source, 0, layout::HEADER_WORDS, &mut words)?;
        if words.first() != Some(&layout::MAGIC) {
            return Err(OpenError::NoRing);
        }
        let version = words.get(layout::VERSION).copied().unwrap_or_default();
        if version != layout::LAYOUT_VERSION && version != 0 {
            return Err(OpenError::OtherVersion { version });
        }
        let header: [u64; layout::HEADER_WORDS] = match words.try_into() {
            Ok(header) if is_whole => header,
            _ => return Err(OpenError::Damaged("its header is cut short")),
        };
        if header[layout::HASH] != layout::LAYOUT_HASH {
            return Err(OpenError::OtherLayout);
        }
        if header[layout::CHECK] != layout::header_check(&header) {
            return Err(OpenError::Damaged("its header does not have the sum that it says"));
        }
        let layout = Layout::read(&header)
            .ok_or(OpenError::Damaged("its sections are not where they should be"))?;
        let len = source.len()?;
        let is_cut = len < layout.bytes as u64;
        let present = layout.partitions_before(usize::try_from(len).unwrap_or(usize::MAX));
        let header = Box::new(header);
        Ok(Self { source, layout, header, present, is_cut, buffer: Vec::new() })
    }

    /// What it is read from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Whether it is shorter than it says, or was when something was read: what is missing is not there.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How far its owner has come.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn state(&mut self) -> io::Result<State> {
        Ok(match self.word((layout::STATE * 8) as u64)? {
            layout::BUILDING => State::Building,
            layout::RECORDING => State::Recording,
            layout::CLOSED => State::Closed,
            _ => State::Damaged,
        })
    }

    /// Whether its end is as it was made: a file that was cut has none, also once it is as long as before. What was read
    /// before this was asked was not cut then.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn has_end(&mut self) -> io::Result<bool> {
        Ok(self.word(self.layout.end_word() as u64)? == layout::END)
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> OwnerId {
        OwnerId::read(&self.header)
    }

    /// The identity of the run.
    #[must_use]
    pub fn run(&self) -> [u8; 16] {
        let mut run = [0; 16];
        for (to, word) in run.chunks_exact_mut(8).zip(&self.header[layout::RUN..]) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        run
    }

    /// The kind of its clock, and its anchors, as the owner has said them.
    #[must_use]
    pub fn clock(&self) -> (u64, [u64; OWN_WORDS]) {
        let anchors = std::array::from_fn(|at| self.header[layout::ANCHORS + at]);
        (self.header[layout::CLOCK], anchors)
    }

    /// The owner's own settings.
    #[must_use]
    pub fn settings(&self) -> [u64; OWN_WORDS] {
        std::array::from_fn(|at| self.header[layout::SETTINGS + at])
    }

    /// How many partitions there are; the last one is shared. Those that a file which was cut short has lost do not
    /// count.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.present
    }

    /// Words of a slot beside its stamp.
    #[must_use]
    pub fn value_words(&self) -> usize {
        self.layout.sizes.value_words
    }

    /// What a partition says of itself. All zero if there is no such partition.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn partition(&mut self, index: usize) -> io::Result<PartitionSeen> {
        let (first, slots) = self.layout.partition(index);
        // In one copy. Where slots are given back meanwhile, a word of before and one of after tell nothing together.
        let mut words = [0; partition_words::SLOTS];
        self.is_cut |= self.source.read_at(first as u64, &mut words)? < words.len();
        let word = |at: usize| {
            let word = words.get(at..).and_then(|rest| rest.first_chunk());
            word.map_or(0, |word| u64::from_ne_bytes(*word))
        };
        let gating = word(partition_words::GATING);
        Ok(PartitionSeen {
            tail: word(partition_words::TAIL),
            given_back: (gating == !word(partition_words::COMPLEMENT)).then_some(gating),
            published: std::array::from_fn(|class| word(partition_words::PUBLISHED + class * 8)),
            slots,
            is_called: word(partition_words::NUDGED) != 0,
        })
    }

    /// Says that whoever [was called](PartitionSeen::is_called) has come, before he drains. Only for the one who drains.
    ///
    /// # Errors
    ///
    /// What the system says; the file has to be [open](Reader::open_to_drain) for it.
    pub fn answer_call(&mut self, partition: usize) -> io::Result<()> {
        let (first, _) = self.layout.partition(partition);
        let at = (first + partition_words::NUDGED) as u64;
        self.source.write_at(at, &0_u64.to_ne_bytes())?;
        // Release: what is drained after this, the system reads for us after it. A call that comes between is answered by
        // that, or once more.
        fence(Ordering::AcqRel);
        Ok(())
    }

    /// Gives the slots of a partition back, up to a position that the caller has drained it to. What was given back
    /// before stays so. Only for the one who drains it.
    ///
    /// # Errors
    ///
    /// What the system says; the file has to be [open](Reader::open_to_drain) for it.
    pub fn give_back(&mut self, partition: usize, to: u64) -> io::Result<()> {
        let seen = self.partition(partition)?;
        // Both words were one before the last one who drained was killed between them, and are again.
        if seen.given_back.is_some_and(|before| before >= to) {
            return Ok(());
        }
        let (first, _) = self.layout.partition(partition);
        // All that was read of the slots, also by the system for us, comes before they are given away; the complement
        // before the sequence: see `Gate`.
        fence(Ordering::Release);
        let at = |word: usize| (first + word) as u64;
        self.source.write_at(at(partition_words::COMPLEMENT), &(!to).to_ne_bytes())?;
        fence(Ordering::Release);
        self.source.write_at(at(partition_words::GATING), &to.to_ne_bytes())
    }

    /// The names, in the order in which they were appended. Of an owner that lives those that were appended before this
    /// call; perhaps some more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn names(
        &mut self,
        owner_is_dead: bool,
        each: impl FnMut(Name<'_>),
    ) -> io::Result<NamesRead> {
        let (at, words) = (self.layout.names as u64, self.layout.sizes.names_words);
        let mut buffer = std::mem::take(&mut self.buffer);
        let is_whole = read_words(&self.source, at, words, &mut buffer)?;
        let mut read = read_names(&buffer, owner_is_dead, each);
        if !is_whole {
            self.is_cut = true;
            read.damaged += 1;
        }
        self.buffer = buffer;
        Ok(read)
    }

    /// A word that is another one once a name has been appended since the last call, or soon after.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn names_hint(&mut self) -> io::Result<u64> {
        self.word(self.layout.names as u64)
    }

    /// The counters.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn counters(&mut self) -> io::Result<Vec<u64>> {
        self.section(self.layout.counters, self.layout.sizes.counters)
    }

    /// The words of whoever drains.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn drainer(&mut self) -> io::Result<Vec<u64>> {
        self.section(self.layout.drainer, DRAINER_WORDS)
    }

    /// Writes one of the words of whoever drains, if there is one of this number.
    ///
    /// # Errors
    ///
    /// What the system says; the file has to be [open](Reader::open_to_drain) for it.
    pub fn set_drainer(&mut self, number: usize, word: u64) -> io::Result<()> {
        self.set_drainer_words(number, [word])
    }

    /// The same with some that lie side by side, at once.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn set_drainer_words<const N: usize>(
        &mut self,
        first: usize,
        words: [u64; N],
    ) -> io::Result<()> {
        if first.checked_add(N).is_none_or(|end| end > DRAINER_WORDS) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = words.map(u64::to_ne_bytes);
        self.source.write_at((self.layout.drainer + first * 8) as u64, bytes.as_flattened())
    }

    /// The tables that it has.
    #[must_use]
    pub fn tables(&self) -> &[layout::CellTable] {
        &self.layout.sizes.tables
    }

    /// Looks at cells of a table, by index, as they were at one moment each; none of one that somebody changed while
    /// it was looked at, or that is not there any more. None at all if there is no such table, and of a file that was
    /// cut short no more than it has.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn cells(
        &mut self,
        table: usize,
        cells: Range<usize>,
        mut each: impl FnMut(usize, Option<&[u64]>),
    ) -> io::Result<()> {
        const AT_A_TIME: usize = 1 << 13;
        let (Some(sizes), Some(first)) =
            (self.layout.sizes.tables.get(table), self.layout.tables.get(table))
        else {
            return Ok(());
        };
        let words = sizes.cell / 8;
        let there = (self.source.len()?.saturating_sub(*first as u64)) / sizes.cell as u64;
        let there = usize::try_from(there).unwrap_or(usize::MAX);
        self.is_cut |= there < sizes.cells;
        let end = cells.end.min(sizes.cells).min(there);
        let mut at = cells.start;
        let mut before = Vec::new();
        while at < end {
            let some = (AT_A_TIME / words).clamp(1, end - at);
            let from = (first + at * sizes.cell) as u64;
            let was_whole = read_words(&self.source, from, some * words, &mut before)?;
            // Acquire: what is loaded for the second copy is loaded after what is in the first.
            fence(Ordering::Acquire);
            let is_whole = read_words(&self.source, from, some * words, &mut self.buffer)?;
            self.is_cut |= !(was_whole && is_whole);
            for (index, cell) in (at..).zip(before.chunks_exact(words)) {
                let again = self.buffer.get((index - at) * words..(index - at + 1) * words);
                each(index, again.filter(|again| *again == cell));
            }
            for index in at + before.len() / words..at + some {
                each(index, None);
            }
            at += some;
        }
        Ok(())
    }

    fn section(&mut self, at: usize, words: usize) -> io::Result<Vec<u64>> {
        let mut read = Vec::new();
        self.is_cut |= !read_words(&self.source, at as u64, words, &mut read)?;
        Ok(read)
    }

    pub(super) fn word(&mut self, at: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.is_cut |= self.source.read_at(at, &mut bytes)? < bytes.len();
        Ok(u64::from_ne_bytes(bytes))
    }

    pub(super) fn set_cut(&mut self) {
        self.is_cut = true;
    }
}
