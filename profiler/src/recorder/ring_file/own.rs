//! The ring file of this process: how it is made, and what it says before anything is recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "collected")]
use std::sync::atomic::AtomicBool; // not that of `sync`: it is made where nothing is modelled

use spandrel_ring::file::{CellTable, CreateError, FileSettings, NamesFull, RingFile};
use spandrel_ring::{Consumer, Ring, RingOptions, TooLarge, Zeros};

use super::layout::{self, CLOCK_PIECES, CLOCK_PIECES_KEPT, TABLES, drainer, names, settings};
use super::pieces::PieceCell;
use super::place;
use crate::recorder::account::SHOWN_WORDS;
use crate::recorder::clock::Clock;
use crate::recorder::counters::PartitionCounters;
use crate::recorder::losses::PerKind;
use crate::recorder::open_spans::OpenSpans;
use crate::recorder::record::Slot;
use crate::sync::Ordering;

/// Room for the names of some twenty thousand callsites.
pub(crate) const NAMES_BYTES: usize =
    if cfg!(any(test, spandrel_fuzz)) { 256 << 10 } else { 4 << 20 };

/// How much of what there is to be, and what the header says for whoever recovers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSizes {
    pub(crate) ring: RingOptions,
    pub(crate) open_spans_max: usize,
    pub(crate) field_words_max: usize,
    pub(crate) first_id: u64,
    pub(crate) busy_time: bool,
    pub(crate) status_rules: bool,
}

/// For whom a file is.
#[derive(Debug, Clone)]
pub(crate) enum Drainer {
    /// For the writer of this profile, which is there, by its canonical path.
    Profile(PathBuf),
    /// For whoever collects what is in this folder.
    #[cfg_attr(not(feature = "collected"), allow(dead_code, reason = "that is who makes one"))]
    Folder(PathBuf),
}

/// What is to be recorded into a file.
#[derive(Debug, Clone)]
pub(crate) struct FilePlan {
    pub(crate) drainer: Drainer,
    /// The run's uuid, 32 hexadecimal digits.
    pub(crate) run: String,
    /// Names of fields with secrets, as they were set: who recovers the file must store none.
    pub(crate) redacted: Vec<String>,
    /// Whether a handler of SIGBUS is to let the process live if somebody cuts the file short.
    pub(crate) has_signal_handler: bool,
}

impl Drainer {
    /// The profile; empty where the program knows none.
    fn database(&self) -> &Path {
        match self {
            Self::Profile(database) => database,
            Self::Folder(_) => Path::new(""),
        }
    }
}

/// The ring file of a recording.
#[derive(Debug)]
pub(crate) struct OwnFile {
    pub(super) file: Arc<RingFile>,
    path: PathBuf,
    run: [u8; 16],
    /// Which file the path names, as far as the system says.
    id: Option<(u64, u64)>,
    /// Whether it was given up because nobody can have what is in it.
    #[cfg(feature = "collected")]
    is_out_of_reach: AtomicBool,
}

/// Which file a path names.
fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    let found = path.symlink_metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        _ = found;
        Ok((0, 0))
    }
}

/// The 16 bytes of a uuid.
pub(crate) fn run_bytes(uuid: &str) -> [u8; 16] {
    u128::from_str_radix(uuid, 16).unwrap_or_default().to_be_bytes()
}

impl FilePlan {
    /// Makes a file, in the first folder that takes it, and says in it whose it is. Nobody may record into it yet.
    pub(crate) fn make(&self, sizes: &FileSizes, clock: &Clock) -> Result<OwnFile, CreateError> {
        if let Drainer::Folder(folder) = &self.drainer {
            return self.make_in(folder, sizes, clock);
        }
        self.make_in_first(&place::folders(), sizes, clock)
    }

    /// The same in the first of these folders.
    pub(super) fn make_in_first(
        &self,
        folders: &[PathBuf],
        sizes: &FileSizes,
        clock: &Clock,
    ) -> Result<OwnFile, CreateError> {
        let mut first_error = None;
        for folder in folders {
            // `/run/user/1000` is the system's to make, and so is `/dev/shm`.
            if !folder.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match self.make_in(folder, sizes, clock) {
                Ok(made) => return Ok(made),
                // The best place is the one to be told of.
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or_else(|| match folders.first() {
            // It is not the system that has none.
            Some(folder) => CreateError::Io {
                path: folder.clone(),
                step: "make this folder of ring files, nor another one (in a container, mount a tmpfs on /dev/shm, or name a \
                       folder in memory by XDG_RUNTIME_DIR)",
                source: io::ErrorKind::NotFound.into(),
            },
            None => CreateError::Unsupported,
        }))
    }

    fn make_in(
        &self,
        folder: &Path,
        sizes: &FileSizes,
        clock: &Clock,
    ) -> Result<OwnFile, CreateError> {
        let pid = std::process::id();
        let name = match &self.drainer {
            Drainer::Profile(database) => place::file_name(database, pid, &self.run),
            Drainer::Folder(_) => place::file_name_of_collected(pid, &self.run),
        };
        let path = folder.join(name);
        let run = run_bytes(&self.run);
        let field_words_max = sizes.field_words_max;
        let ([open, foreign, overwrites, spills, spill_words], spill_words_each) =
            OpenSpans::cell_tables(sizes.open_spans_max, field_words_max);
        let pieces = CellTable { cell: size_of::<PieceCell>(), cells: CLOCK_PIECES_KEPT };
        let partitions = sizes.ring.partitions.max(1) + 1;
        let drops = CellTable { cell: size_of::<PartitionCounters>(), cells: partitions };
        let tables: [CellTable; TABLES] =
            [open, foreign, overwrites, spills, spill_words, pieces, drops];
        let (kind, anchors) = clock.anchors();
        let mut settings = [0; 8];
        settings[settings::HASH] = layout::HASH;
        settings[settings::FIRST_ID] = sizes.first_id;
        settings[settings::FIELD_WORDS_MAX] = field_words_max as u64;
        settings[settings::SPILL_WORDS_EACH] = spill_words_each as u64;
        settings[settings::FLAGS] = if sizes.busy_time { settings::BUSY_TIME } else { 0 }
            | if sizes.status_rules { settings::STATUS_RULES } else { 0 };
        let file = RingFile::create::<Slot>(
            &path,
            &FileSettings {
                ring: sizes.ring,
                tables: &tables,
                names_bytes: NAMES_BYTES,
                counters: SHOWN_WORDS,
                run,
                clock: kind,
                anchors,
                settings,
                has_signal_handler: self.has_signal_handler,
            },
        )?;
        let id = file_id(&path).ok();
        let own = OwnFile {
            file: Arc::new(file),
            path,
            run,
            id,
            #[cfg(feature = "collected")]
            is_out_of_reach: AtomicBool::new(false),
        };
        if own.say_whose(self, sizes).is_err() {
            // Only if megabytes of names of secrets were set.
            _ = own.remove();
            return Err(TooLarge { bytes: Some(NAMES_BYTES) }.into());
        }
        Ok(own)
    }
}

impl OwnFile {
    fn say_whose(&self, plan: &FilePlan, sizes: &FileSizes) -> Result<(), NamesFull> {
        let database = plan.drainer.database();
        let (device, number) = place::file_number(database).unwrap_or((0, 0));
        let numbers = [
            layout::HASH,
            u64::from(std::process::id()),
            sizes.first_id,
            place::hash_of(database),
            device,
            number,
        ];
        let program = std::env::current_exe().unwrap_or_default();
        let (database, program) = (database.to_string_lossy(), program.to_string_lossy());
        let mut texts = vec![&*database, &plan.run, env!("CARGO_PKG_VERSION"), &*program];
        texts.extend(plan.redacted.iter().map(String::as_str));
        self.file.names().append(names::RUN, &numbers, &texts)
    }

    /// The ring, once.
    pub(crate) fn ring(&self) -> Option<(Ring<Slot>, Consumer<Slot>)> {
        self.file.ring()
    }

    pub(crate) fn file(&self) -> &Arc<RingFile> {
        &self.file
    }

    /// Where pieces of the timeline are kept, once.
    pub(crate) fn clock_pieces(&self) -> Option<Zeros<PieceCell>> {
        self.file.cells(CLOCK_PIECES)
    }

    /// Recording begins: the profile has a row of the run, and gives this id to a thread of the number 0.
    pub(crate) fn begin(&self, threads_above: i64) {
        self.set_threads_above(threads_above);
        self.file.set_recording();
    }

    /// The profile gives other ids to threads: another file is in its place.
    pub(crate) fn set_threads_above(&self, threads_above: i64) {
        if let Some(word) = self.file.drainer().get(drainer::THREADS_ABOVE) {
            // Relaxed: read when this process is gone.
            word.store(threads_above.cast_unsigned().wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// The process lives at this moment, in ticks.
    pub(crate) fn say_alive(&self, ticks: u64) {
        let words = self.file.drainer();
        let at = [(drainer::ALIVE_AT, ticks), (drainer::ALIVE_AT_TURNED, !ticks)];
        // Relaxed: read when this process is gone.
        at.iter().for_each(|(word, n)| words[*word].store(*n, Ordering::Relaxed));
    }

    /// It was closed at that moment, in ticks, and what is in it waits for a recovery: the file stays.
    pub(crate) fn end(
        &self,
        at: u64,
        marks_dropped: u64,
        callsites: [u64; 2],
    ) -> Result<(), NamesFull> {
        let [kept, below_level] = callsites;
        let said =
            self.file.names().append(names::END, &[at, marks_dropped, kept, below_level], &[]);
        // Without that it is as if the process had been killed now.
        if said.is_ok() {
            self.file.set_closed();
        }
        said
    }

    /// Another file is in the place of the profile; those before it have so much.
    pub(crate) fn set_in_earlier(&self, stored: PerKind) {
        let words = self.file.drainer().iter().skip(drainer::IN_EARLIER);
        // Relaxed: read when this process is gone.
        words.zip(stored).for_each(|(word, n)| word.store(n, Ordering::Relaxed));
    }

    /// The identity of the run.
    pub(crate) fn run(&self) -> [u8; 16] {
        self.run
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names it: if not, nobody will find what is in it. A process that has given up its rights may not
    /// look there any more; then it does.
    pub(crate) fn is_in_place(&self) -> bool {
        match file_id(&self.path) {
            Ok(found) => Some(found) == self.id,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Whether somebody has cut it short, as far as is known.
    pub(crate) fn was_cut(&self) -> bool {
        self.file.was_cut()
    }

    /// The same, and looks: what was read of the ring before is as it was recorded, if this says `false`.
    pub(crate) fn look_whether_cut(&self) -> bool {
        self.file.look_whether_cut()
    }

    /// Looks whether the file was removed and no process has it open that drains it; then it is given up, as one that was
    /// cut, since nobody can ever have what is in it. Unless all of that was stored before.
    #[cfg(feature = "collected")]
    pub(crate) fn look_whether_out_of_reach(&self, is_all_stored: impl FnOnce() -> bool) -> bool {
        // In this order: whoever takes the right to drain it looks after that whether it is still there; and what nobody drains
        // any more is stored or not once and for all.
        if self.file.is_unlinked() && !self.file.is_being_drained() && !is_all_stored() {
            self.is_out_of_reach.store(true, Ordering::Relaxed);
            self.file.give_up();
        }
        self.is_out_of_reach()
    }

    /// Whether that was found.
    #[cfg(feature = "collected")]
    pub(crate) fn is_out_of_reach(&self) -> bool {
        // Relaxed: a fact that stays.
        self.is_out_of_reach.load(Ordering::Relaxed)
    }

    /// Everything in it is elsewhere: nothing more comes, and the file goes. What is mapped stays as long as this.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.file.set_closed();
        match std::fs::remove_file(&self.path) {
            // Somebody has tidied up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}
