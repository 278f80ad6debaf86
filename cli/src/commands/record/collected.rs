//! `spandrel record --collect`: a collector beside the program, for it and for those that it starts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use spandrel::collect::{CollectOptions, Collected, Collecting, collect};

use super::folder::Folder;
use super::told;
use crate::arguments::Context;
use crate::commands::collect::collecting;
use crate::failure::Failure;
use crate::output::text;

/// Whether there are ring files in it.
fn has_rings(folder: &Path) -> bool {
    let is_ring = |name: &OsStr| name.as_encoded_bytes().ends_with(b".ring");
    std::fs::read_dir(folder)
        .is_ok_and(|files| files.flatten().any(|file| is_ring(&file.file_name())))
}

/// A collector on a thread of this program.
pub(super) struct Collector {
    /// The ring files' folder, which goes with this.
    folder: Folder,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Collected, Option<Other>), spandrel::Error>>,
}

/// Somebody else has had ring files of the folder, so that what was in them is not in the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// A collector has them still: this process, if it can be seen.
    Drains(Option<u32>),
    /// Files were there, and are not there any more.
    HasTaken,
}

impl Other {
    fn of(what: &Collecting) -> Option<Self> {
        match what {
            Collecting::DrainedElsewhere { pid, .. } => Some(Self::Drains(*pid)),
            _ => None,
        }
    }
}

impl Collector {
    /// Starts one, and tells the program of its folder.
    pub(super) fn start(
        path: &Path,
        command: &mut Command,
        context: &Context,
    ) -> Result<Self, Failure> {
        let folder = Folder::make()?;
        let rings = folder.dir.path();
        command.env("SPANDREL_COLLECT", rings).env_remove("SPANDREL_DB");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (folder, path, stop) = (rings.to_owned(), path.to_owned(), Arc::clone(&stop));
            let output = context.output.clone();
            std::thread::Builder::new().name("collector".into()).spawn(move || {
                // Relaxed, here and below: nothing else is told by it.
                let is_enough = || stop.load(Ordering::Relaxed);
                let mut other = None;
                let tell = |what| {
                    other = Other::of(&what).or(other);
                    collecting::tell_refusals(&output, &what);
                };
                let done = collect(&folder, &path, &CollectOptions::default(), is_enough, tell)?;
                Ok((done, other))
            })
        };
        let thread = thread
            .map_err(|source| Failure::cannot_read(format!("cannot start a thread: {source}")))?;
        Ok(Self { folder, path: path.to_owned(), stop, thread })
    }

    /// The program has ended: stores the rest. Programs that it has started and that still record are waited for, until
    /// somebody says that it is enough. Says who else has had ring files, if anybody has.
    pub(super) fn finish(self, context: &Context) -> Result<Option<Other>, Failure> {
        let Self { folder: mut own, path, stop, thread } = self;
        // From here on it goes only when nothing is in it, also where collecting has failed.
        own.dir.disable_cleanup(true);
        let folder = own.dir.path().to_owned();
        let tell_kept = || {
            context.output.say(&format!(
                "what is recorded there from now on: spandrel collect {} -o {}",
                text::clean(&folder.display().to_string()),
                text::clean(&path.display().to_string())
            ));
        };
        stop.store(true, Ordering::Relaxed);
        let done = thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
        let done = done.inspect_err(|_| tell_kept()).map_err(collecting::failed)?;
        let (mut found, mut other) = done;
        if other.is_none() && found == Collected::default() && !has_rings(&folder) && own.was_used()
        {
            other = Some(Other::HasTaken);
        }
        loop {
            if found.going_on == 0 {
                if !has_rings(&folder) && told::are_left(&folder) {
                    context.output.say(
                        "programs that it has started go on, and none of them records; one that does later needs a \
                         collector",
                    );
                    tell_kept();
                    return Ok(other);
                }
                // Not with what is in it: a program may just have begun to record.
                match std::fs::remove_dir(&folder) {
                    Err(_) if has_rings(&folder) => {}
                    _ => return Ok(other),
                }
            } else {
                context.output.say(&format!(
                    "{} that it has started {} still recording: this goes on until they end (Ctrl-C: it does not)",
                    text::counted(found.going_on, "program"),
                    text::agree(found.going_on, "is", "are")
                ));
            }
            let mut options = CollectOptions::default();
            options.once = true;
            let done = collecting::run(&folder, &path, &options, context);
            let done = done.inspect_err(|_| tell_kept())?;
            found = done.collected;
            if found.elsewhere > 0 {
                other = Some(Other::Drains(done.other));
            }
            if found.going_on > 0 || found.ended == 0 {
                // Their ring files are in it, or some that cannot be collected, as was said.
                tell_kept();
                return Ok(other);
            }
        }
    }
}
