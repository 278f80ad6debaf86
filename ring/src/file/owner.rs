//! A ring file as its owner has it.

use std::path::Path;
use std::sync::Arc; // not that of `sync`: it keeps memory
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::{self, HEADER_WORDS, Layout, Sizes};
use super::names::Names;
use super::{CellTable, CreateError, DRAINER_WORDS, OWN_WORDS};
use crate::consumer::Consumer;
use crate::partition::{OwnedPartition, Partition};
use crate::region::Region;
use crate::ring::{Ring, RingOptions};
use crate::size::TooLarge;
use crate::slot::OWN;
use crate::sync::AtomicU64;
use crate::zeros::{InFile, Zeros};

/// What a ring file has room for, and what its header says for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSettings<'a> {
    /// The ring.
    pub ring: RingOptions,
    /// Tables of words, at most [`TABLES_MAX`](super::TABLES_MAX).
    pub tables: &'a [CellTable],
    /// Room for [names](Names).
    pub names_bytes: usize,
    /// How many counters there are.
    pub counters: usize,
    /// The identity of the run.
    pub run: [u8; 16],
    /// The kind of the clock, as the caller counts them.
    pub clock: u64,
    /// What the caller needs to turn its ticks into times.
    pub anchors: [u64; OWN_WORDS],
    /// Whatever else the caller wants to find again.
    pub settings: [u64; OWN_WORDS],
    /// Whether a handler of SIGBUS, which is installed with the first file (Linux), lets this process live when somebody
    /// cuts the file short. See [the module](super).
    pub has_signal_handler: bool,
}

impl Default for FileSettings<'_> {
    /// The smallest ring, and nothing beside it.
    fn default() -> Self {
        Self {
            ring: RingOptions { capacity: 0, partitions: 1 },
            tables: &[],
            names_bytes: 0,
            counters: 0,
            run: [0; 16],
            clock: 0,
            anchors: [0; OWN_WORDS],
            settings: [0; OWN_WORDS],
            has_signal_handler: true,
        }
    }
}

/// Whose a ring file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerId {
    /// Since when the machine runs, as a number that no other boot has; 0 if that is not known.
    pub boot: [u64; 2],
    /// The process.
    pub pid: u64,
    /// When it began, in the system's own unit since the machine runs; 0 if that is not known.
    pub started: u64,
    /// Of which namespace its number is; 0 if that is not known.
    pub pid_namespace: u64,
    /// Whether it holds a lock of its open file description on the first byte while it lives.
    pub is_locked: bool,
}

impl OwnerId {
    /// Whether the machine runs since then without a pause, so that its clocks go on.
    #[must_use]
    pub fn is_of_this_boot(&self) -> bool {
        self.boot != [0; 2] && self.boot == super::process::boot()
    }

    pub(super) fn read(header: &[u64; HEADER_WORDS]) -> Self {
        Self {
            boot: [header[layout::BOOT], header[layout::BOOT + 1]],
            pid: header[layout::PID],
            started: header[layout::STARTED],
            pid_namespace: header[layout::PID_NAMESPACE],
            is_locked: header[layout::LOCKED] == 1,
        }
    }

    fn write(&self, header: &mut [u64; HEADER_WORDS]) {
        header[layout::BOOT] = self.boot[0];
        header[layout::BOOT + 1] = self.boot[1];
        header[layout::PID] = self.pid;
        header[layout::STARTED] = self.started;
        header[layout::PID_NAMESPACE] = self.pid_namespace;
        header[layout::LOCKED] = u64::from(self.is_locked);
    }
}

/// A ring file that this process has made and mapped. Its memory stays mapped as long as anything that was taken from
/// it; its file stays until somebody removes it.
#[derive(Debug)]
pub struct RingFile {
    whole: Arc<Region>,
    layout: Layout,
    header: Zeros<AtomicU64>,
    names: Names,
    counters: Zeros<AtomicU64>,
    drainer: Zeros<AtomicU64>,
    /// The last page.
    last: Zeros<AtomicU64>,
    /// It was found to have no end any more.
    has_lost_end: AtomicBool,
    is_taken: AtomicBool,
    are_tables_taken: Vec<AtomicBool>,
}

impl RingFile {
    /// Makes a ring file for values `T`, reserves all its memory and touches it.
    ///
    /// The file is the caller's alone (0600). Its folder is made if it is not there (0700), and has to be his alone.
    /// It must be on a file system that keeps what it has promised.
    ///
    /// # Errors
    ///
    /// Any [`CreateError`]; nothing of the file is left then.
    ///
    /// # Blocking
    ///
    /// While the system reserves the memory.
    pub fn create<T: InFileValue>(
        path: &Path,
        settings: &FileSettings<'_>,
    ) -> Result<Self, CreateError> {
        let layout = Self::layout::<T>(settings)?;
        #[cfg(all(any(target_os = "linux", target_os = "macos"), not(any(spandrel_loom, miri))))]
        {
            let (bytes, page) = (layout.bytes, layout.sizes.page);
            let is_guarded = settings.has_signal_handler;
            let made = super::place::make(path, bytes, layout.own_pages(), page, is_guarded)?;
            let owner = OwnerId { is_locked: made.is_locked, ..super::process::this() };
            Ok(Self::over(Region::of_file(made.mapping), layout, settings, &owner))
        }
        #[cfg(not(all(
            any(target_os = "linux", target_os = "macos"),
            not(any(spandrel_loom, miri))
        )))]
        {
            _ = (path, layout);
            Err(CreateError::Unsupported)
        }
    }

    fn layout<T: InFileValue>(settings: &FileSettings<'_>) -> Result<Layout, TooLarge> {
        const { layout::assert_partition::<T>() };
        let FileSettings { ring, tables, names_bytes, counters, .. } = *settings;
        Sizes::new(ring, size_of::<T>(), names_bytes, counters, tables)
            .and_then(Layout::new)
            .ok_or(TooLarge { bytes: None })
    }

    /// Over memory that is zero from end to end.
    fn over(whole: Region, layout: Layout, settings: &FileSettings<'_>, owner: &OwnerId) -> Self {
        let whole = Arc::new(whole);
        let words = |at: usize, words: usize| {
            Zeros::<AtomicU64>::in_region(Region::part_of(&whole, at, words * 8), words)
        };
        let header = words(0, HEADER_WORDS);
        let names = Names::new(words(layout.names, layout.sizes.names_words));
        let counters = words(layout.counters, layout.sizes.counters);
        let drainer = words(layout.drainer, DRAINER_WORDS);
        let mut says = [0; HEADER_WORDS];
        layout.write(&mut says);
        owner.write(&mut says);
        for (to, bytes) in says[layout::RUN..].iter_mut().zip(settings.run.chunks_exact(8)) {
            *to = bytes.try_into().map_or(0, u64::from_ne_bytes);
        }
        says[layout::CLOCK] = settings.clock;
        says[layout::ANCHORS..][..OWN_WORDS].copy_from_slice(&settings.anchors);
        says[layout::SETTINGS..][..OWN_WORDS].copy_from_slice(&settings.settings);
        says[layout::STATE] = layout::BUILDING;
        says[layout::CHECK] = layout::header_check(&says);
        // Alone in its page. Relaxed: whoever reads the file does so because of its first word.
        let last = words(layout.bytes - layout.sizes.page, layout.sizes.page / 8);
        last[last.len() - 1].store(layout::END, Ordering::Relaxed);
        // The first word last: without it there is no ring file.
        for (to, word) in header.iter().zip(says).rev() {
            to.store(word, Ordering::Release);
        }
        Self {
            are_tables_taken: layout.tables.iter().map(|_| AtomicBool::new(false)).collect(),
            is_taken: AtomicBool::new(false),
            whole,
            layout,
            header,
            names,
            counters,
            drainer,
            last,
            has_lost_end: AtomicBool::new(false),
        }
    }

    /// The ring in it with its only consumer; none the second time, and for values of another size than it was made
    /// for.
    #[must_use]
    pub fn ring<T: InFileValue>(&self) -> Option<(Ring<T>, Consumer<T>)> {
        // Relaxed: only one may have it.
        let is_mine = size_of::<T>() == self.layout.sizes.value_words * 8
            && !self.is_taken.swap(true, Ordering::Relaxed);
        is_mine.then_some(())?;
        let partition = |index| {
            let (at, slots) = self.layout.partition(index);
            let bytes = Partition::<T>::bytes(slots)?;
            // Its own line comes before its words.
            let region = Region::part_of(&self.whole, at - OWN, bytes);
            Some(OwnedPartition::new_in(region, slots))
        };
        let partitions = (0..self.layout.partitions()).map(partition).collect::<Option<_>>()?;
        Ring::of(partitions).ok()
    }

    /// The cells of a table, all of them zero; none the second time, if there is no such table, and for cells of
    /// another size.
    #[must_use]
    pub fn cells<T: InFile>(&self, table: usize) -> Option<Zeros<T>> {
        let (sizes, at) = (self.layout.sizes.tables.get(table)?, self.layout.tables.get(table)?);
        // Relaxed: as above.
        let is_mine = size_of::<T>() == sizes.cell
            && !self.are_tables_taken.get(table)?.swap(true, Ordering::Relaxed);
        is_mine.then(|| {
            let bytes = sizes.cell * sizes.cells;
            Zeros::in_region(Region::part_of(&self.whole, *at, bytes), sizes.cells)
        })
    }

    /// Its names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Its counters, which are the caller's.
    #[must_use]
    pub fn counters(&self) -> &[AtomicU64] {
        &self.counters
    }

    /// What whoever drains it has to say; the caller's, if nobody else does.
    #[must_use]
    pub fn drainer(&self) -> &[AtomicU64] {
        &self.drainer
    }

    /// Whether somebody else has cut the file short, and a thread has found out, or [a look](Self::look_whether_cut): what
    /// was behind its end is gone, and what is recorded there nobody can read.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        // Relaxed: a fact that stays.
        self.whole.was_cut() || self.has_lost_end.load(Ordering::Relaxed)
    }

    /// The same, and asks the system. What was read of the ring before is as it was recorded, if this says `false`.
    #[must_use]
    pub fn look_whether_cut(&self) -> bool {
        // Relaxed: whoever cuts it has no other word to tell us. Then as above.
        if self.last.last().is_none_or(|end| end.load(Ordering::Relaxed) != layout::END) {
            self.has_lost_end.store(true, Ordering::Relaxed);
        }
        self.whole.look_whether_cut() || self.was_cut()
    }

    /// Whether somebody has removed the file: nobody finds it any more. Whoever has it open still reads it.
    #[must_use]
    pub fn is_unlinked(&self) -> bool {
        self.whole.is_unlinked()
    }

    /// Whether some process has the [right to drain](super::Reader::lock_to_drain) it now; `true` where that cannot be told.
    #[must_use]
    pub fn is_being_drained(&self) -> bool {
        self.whole.is_being_drained()
    }

    /// Gives it up, as if somebody had [cut it short](Self::was_cut).
    pub fn give_up(&self) {
        // Relaxed: a fact that stays.
        self.has_lost_end.store(true, Ordering::Relaxed);
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layout.bytes
    }

    /// Recording begins: what whoever reads has to know beforehand is in it.
    pub fn set_recording(&self) {
        self.set_state(layout::RECORDING);
    }

    /// Nothing more comes.
    pub fn set_closed(&self) {
        self.set_state(layout::CLOSED);
    }

    fn set_state(&self, state: u64) {
        // Release: what was done before comes before, for whoever reads it.
        self.header[layout::STATE].store(state, Ordering::Release);
    }

    /// The file as a reader has it, byte by byte.
    #[cfg(test)]
    pub(super) fn copied(&self) -> Vec<u8> {
        let words = Region::part_of(&self.whole, 0, self.layout.bytes);
        let words = Zeros::<AtomicU64>::in_region(words, self.layout.bytes / 8);
        let mut bytes = Vec::with_capacity(self.layout.bytes);
        for word in words.iter() {
            bytes.extend_from_slice(&word.load(Ordering::Acquire).to_ne_bytes());
        }
        bytes
    }

    /// The same in memory of the heap, for tests and for Miri.
    #[cfg(test)]
    pub(super) fn on_the_heap<T: InFileValue>(
        settings: &FileSettings<'_>,
    ) -> Result<Self, TooLarge> {
        let layout = Self::layout::<T>(settings)?;
        let whole = Region::zeroed(layout.bytes)?;
        Ok(Self::over(whole, layout, settings, &super::process::this()))
    }
}

/// A value of a ring that lies in a file.
///
/// # Safety
///
/// It is whole words, of which any bits are a value.
#[allow(unsafe_code)] // what is said of a type
pub unsafe trait InFileValue: Copy + Default + Send + Sync {}

// SAFETY: words.
#[allow(unsafe_code)]
unsafe impl<const N: usize> InFileValue for [u64; N] where Self: Default {}
