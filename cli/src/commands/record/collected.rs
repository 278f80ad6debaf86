//! `spandrel record --collect`: a collector beside the program, for it and for those that it starts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use spandrel::collect::{CollectOptions, Collected, FOLDER_OF_COMMAND, collect};
use tempfile::TempDir;

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
    folder: TempDir,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Collected, spandrel::Error>>,
}

impl Collector {
    /// Starts one, and tells the program of its folder.
    pub(super) fn start(
        path: &Path,
        command: &mut Command,
        context: &Context,
    ) -> Result<Self, Failure> {
        let folder = folder()?;
        command.env("SPANDREL_COLLECT", folder.path()).env_remove("SPANDREL_DB");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (folder, path, stop) =
                (folder.path().to_owned(), path.to_owned(), Arc::clone(&stop));
            let output = context.output.clone();
            std::thread::Builder::new().name("collector".into()).spawn(move || {
                // Relaxed, here and below: nothing else is told by it.
                let is_enough = || stop.load(Ordering::Relaxed);
                let tell = |what| collecting::tell_refusals(&output, &what);
                collect(&folder, &path, &CollectOptions::default(), is_enough, tell)
            })
        };
        let thread = thread
            .map_err(|source| Failure::cannot_read(format!("cannot start a thread: {source}")))?;
        Ok(Self { folder, path: path.to_owned(), stop, thread })
    }

    /// The program has ended: stores the rest. Programs that it has started and that still record are waited for, until
    /// somebody says that it is enough.
    pub(super) fn finish(self, context: &Context) -> Result<(), Failure> {
        let Self { folder, path, stop, thread } = self;
        // From here on it goes only when nothing is in it, also where collecting has failed.
        let folder = folder.keep();
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
        let mut found = done;
        loop {
            if found.going_on == 0 {
                if !has_rings(&folder) && told::are_left(&folder) {
                    context.output.say(
                        "programs that it has started go on, and none of them records; one that does later needs a \
                         collector",
                    );
                    tell_kept();
                    return Ok(());
                }
                // Not with what is in it: a program may just have begun to record.
                match std::fs::remove_dir(&folder) {
                    Err(_) if has_rings(&folder) => {}
                    _ => return Ok(()),
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
            found = done.inspect_err(|_| tell_kept())?.collected;
            if found.going_on > 0 || found.ended == 0 {
                // Their ring files are in it, or some that cannot be collected, as was said.
                tell_kept();
                return Ok(());
            }
        }
    }
}

/// A folder of its own, in memory if there is one.
fn folder() -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(FOLDER_OF_COMMAND);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let of_user = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let places = of_user.as_deref().into_iter().chain([OsStr::new("/dev/shm")]);
    let made = places.map(Path::new).find_map(|place| builder.tempdir_in(place).ok());
    made.map_or_else(|| builder.tempdir(), Ok).map_err(|source| {
        Failure::cannot_write(&std::env::temp_dir(), &source)
            .hint("ring files need a folder in memory: set XDG_RUNTIME_DIR, or TMPDIR")
    })
}
