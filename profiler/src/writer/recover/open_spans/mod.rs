//! The open spans of programs that record into ring files, read from the files: nobody is asked, and nobody waits, so it
//! works where a program is stopped, hangs, or has died.
//!
//! ```text
//!   lives:    table of open spans --copied twice, slot by slot--> spans, up to this moment
//!   has died: all of the file, as a recovery reads it ----------> spans, up to its last sign of life
//! ```
//!
//! Nothing is changed and nothing trusted, see [`scan`](super::scan).

#[cfg(all(test, target_os = "linux", not(miri)))]
mod forged;
mod shown;
mod slots;
#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests;
mod view;

use std::path::{Path, PathBuf};

pub use self::shown::{IdsInProfile, OpenInRing, RingOpen};
use self::view::View;
use super::waiting::{is_done_with, is_of};
use super::{Refused, RingOwner, about, is_still};
use crate::error::Error;
use crate::panics;
use crate::recorder::ring_file::place;

/// Whose open spans are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    /// Those of a profile, by its path without links.
    Profile(PathBuf),
    /// Those of all programs that record into ring files in a folder.
    Folder(PathBuf),
}

/// Ring files whose open spans are looked at, again and again: what does not change is read once.
#[derive(Debug)]
pub struct OpenRings {
    of: Of,
    views: Vec<View<std::fs::File>>,
}

/// What one look at some rings has found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct OpenLook {
    /// Each of them, in the order in which they have begun.
    pub rings: Vec<RingOpen>,
    /// Why others could not be looked at, each with its path.
    pub refused: Vec<Error>,
}

impl OpenRings {
    /// Those of a profile: of programs that record into it with
    /// [`crash_proof`](crate::ProfilerBuilder::crash_proof), and of those that have died so and were not recovered yet.
    ///
    /// # Errors
    ///
    /// If the profile is not there.
    pub fn of_profile(database: &Path) -> Result<Self, Error> {
        let canonical = place::canonical(database).map_err(|error| about(database, &error))?;
        Ok(Self { of: Of::Profile(canonical), views: Vec::new() })
    }

    /// Those in a folder, of programs that are [`collected`](crate::ProfilerBuilder::collected).
    #[must_use]
    pub fn of_folder(folder: &Path) -> Self {
        Self { of: Of::Folder(folder.to_owned()), views: Vec::new() }
    }

    /// Looks at all that there are now. One that cannot be looked at holds up no other.
    ///
    /// # Errors
    ///
    /// If the folder is there and cannot be read, or is not its user's alone, as programs demand it.
    ///
    /// # Blocking
    ///
    /// For as long as it takes to copy the tables: some 20 ms at default settings, and 0.5 s at first for a full ring of a
    /// program that has died. No program is waited for.
    pub fn look(&mut self) -> Result<OpenLook, Error> {
        let mut look = OpenLook::default();
        let paths = match &self.of {
            Of::Profile(database) => {
                let files = place::files_of(database);
                look.refused.extend(files.refused.iter().map(|(path, why)| about(path, why)));
                files.found
            }
            Of::Folder(folder) => place::files_in_folder(folder)?,
        };
        self.views.retain(|view| {
            paths.contains(&view.path) && is_still(&view.path, view.reader.source())
        });
        let mut profile = None;
        for path in paths {
            if self.views.iter().any(|view| view.path == path) {
                continue;
            }
            // A fault of ours must not hide the other rings.
            match panics::catch(|| View::open(&path)) {
                Ok(Ok(Some(view))) => {
                    let is_wanted = match &self.of {
                        Of::Profile(database) => {
                            view.run().is_some_and(|run| is_of(&mut profile, database, run))
                        }
                        Of::Folder(_) => true,
                    };
                    self.views.extend(Some(view).filter(|_| is_wanted));
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => look.refused.push(error),
                Err(_) => look.refused.push(about(&path, &"a look at it has panicked")),
            }
        }
        for view in &mut self.views {
            match panics::catch(|| view.look()) {
                Ok(Ok(Some(open))) => {
                    let is_over = match &self.of {
                        Of::Profile(database) if open.owner == RingOwner::Dead => {
                            let (state, id) = (view.state, view.reader.run());
                            is_done_with(&mut profile, database, state, &id, &open.run)
                        }
                        _ => false,
                    };
                    if !is_over {
                        look.rings.push(open);
                    }
                }
                Ok(Ok(None)) => {}
                // It was removed meanwhile, or is so soon.
                Ok(Err(Refused::Io(error))) if error.kind() == std::io::ErrorKind::NotFound => {}
                Ok(Err(refused)) => look.refused.push(refused.about(&view.path)),
                Err(_) => look.refused.push(about(&view.path, &"a look at it has panicked")),
            }
        }
        look.rings.sort_by(|one, other| {
            (one.started_unix_ns, &one.ring).cmp(&(other.started_unix_ns, &other.ring))
        });
        Ok(look)
    }
}
