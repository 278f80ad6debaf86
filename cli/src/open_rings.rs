//! The open spans of programs, as they are in their ring files now: no program is asked, so it may be stopped, hang, or
//! have died.

use std::path::{Path, PathBuf};

#[cfg(feature = "crash-proof")]
use spandrel_query::OrderRows as _;
use spandrel_query::{OpenSpan, Run};

use crate::output::text;

/// What is known of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "crash-proof"), allow(dead_code, reason = "there are no ring files"))]
pub(crate) enum Owner {
    Alive,
    Dead,
    /// It is in another container, and cannot be asked.
    Unknown,
}

impl Owner {
    /// What programs read.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// The open spans of one program.
#[derive(Debug)]
pub(crate) struct Program {
    /// The run in the profile, if there is a profile.
    pub(crate) run_id: Option<i64>,
    pub(crate) ring: PathBuf,
    pub(crate) owner: Owner,
    pub(crate) pid: u64,
    /// Its path.
    pub(crate) program: String,
    /// Up to when this is known, since the run began.
    pub(crate) seen_ns: i64,
    pub(crate) open: Vec<OpenSpan>,
    /// Slots that no recorder has written so, and those that were never the same twice.
    pub(crate) damaged: u64,
    pub(crate) turned: u64,
}

impl Program {
    /// `process 4121 (shop)`.
    pub(crate) fn name(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or_default();
        format!("process {} ({})", self.pid, text::clean(&name.to_string_lossy()))
    }

    /// Until when its spans are known, in words.
    pub(crate) fn when(&self) -> String {
        let at = text::duration_in_words(self.seen_ns);
        match self.owner {
            Owner::Alive => "as its ring file has them now".to_owned(),
            Owner::Dead => format!("it has died: up to its last sign of life, +{at}"),
            Owner::Unknown => {
                "as its ring file has them; whether it lives cannot be told".to_owned()
            }
        }
    }
}

/// What was found at one look.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) programs: Vec<Program>,
    /// Why ring files could not be looked at.
    pub(crate) refused: Vec<String>,
}

/// Ring files that are looked at again and again.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    #[cfg(feature = "crash-proof")]
    rings: Vec<(PathBuf, spandrel::recover::OpenRings)>,
}

/// The folder from which a run is collected, as it says itself.
#[cfg_attr(not(feature = "crash-proof"), allow(dead_code, reason = "there are no ring files"))]
pub(crate) fn collected_from(run: &Run) -> Option<PathBuf> {
    let settings: serde_json::Value = serde_json::from_str(&run.info.settings).ok()?;
    settings.get("collected_from")?.as_str().map(PathBuf::from)
}

#[cfg(not(feature = "crash-proof"))]
impl Programs {
    pub(crate) fn of_folder(&mut self, _: &Path) -> Result<Looked, String> {
        Err("this build knows no ring files: it is without the feature crash-proof".into())
    }

    pub(crate) fn of_profile(&mut self, _: &Path, _: &[Run]) -> Looked {
        Looked::default()
    }
}

#[cfg(feature = "crash-proof")]
impl Programs {
    /// Those of all programs that record into ring files in a folder.
    pub(crate) fn of_folder(&mut self, folder: &Path) -> Result<Looked, String> {
        let look = self.rings(folder, || Ok(spandrel::recover::OpenRings::of_folder(folder)))?;
        let mut looked = Looked::default();
        looked.refused.extend(look.refused.iter().map(ToString::to_string));
        let rings = look.rings.into_iter().enumerate();
        looked.programs.extend(rings.filter(|(_, ring)| !ring.was_closed).map(|(at, ring)| {
            // Threads of all of them are side by side.
            program(ring, None, i64::try_from(at).unwrap_or(0) << 32)
        }));
        Ok(looked)
    }

    /// Those of these runs of a profile: of programs that record into it by themselves, or are collected into it.
    pub(crate) fn of_profile(&mut self, path: &Path, runs: &[Run]) -> Looked {
        use spandrel::recover::OpenRings;

        let mut looked = Looked::default();
        let going_on = || runs.iter().filter(|run| run.ended_unix_ns.is_none());
        let mut folders: Vec<PathBuf> = going_on().filter_map(collected_from).collect();
        folders.order_by(Ord::cmp);
        folders.dedup();
        let mut found = Vec::new();
        if going_on().any(|run| collected_from(run).is_none()) {
            found.push(self.rings(path, || OpenRings::of_profile(path)));
        }
        for folder in &folders {
            found.push(self.rings(folder, || Ok(OpenRings::of_folder(folder))));
        }
        for look in found {
            let look = match look {
                Ok(look) => look,
                Err(why) => {
                    looked.refused.push(why);
                    continue;
                }
            };
            looked.refused.extend(look.refused.iter().map(ToString::to_string));
            let profile = match folders.is_empty() {
                true => None,
                false => spandrel_storage::ReadOnly::open(path).ok(),
            };
            for ring in look.rings {
                let Some(run) = going_on().find(|run| run.info.uuid == ring.run) else { continue };
                if !ring.was_closed {
                    let ids = profile.as_ref().and_then(|profile| ids_in(profile, run));
                    looked.programs.push(program(ring, Some((run, ids)), 0));
                }
            }
        }
        looked
    }

    /// What one look at the rings of a profile or folder finds.
    fn rings(
        &mut self,
        key: &Path,
        begin: impl FnOnce() -> Result<spandrel::recover::OpenRings, spandrel::Error>,
    ) -> Result<spandrel::recover::OpenLook, String> {
        let at = match self.rings.iter().position(|(path, _)| path == key) {
            Some(at) => at,
            None => {
                let rings = begin().map_err(|error| error.to_string())?;
                self.rings.push((key.to_owned(), rings));
                self.rings.len() - 1
            }
        };
        let Some((_, rings)) = self.rings.get_mut(at) else { return Ok(Default::default()) };
        rings.look().map_err(|error| error.to_string())
    }
}

/// What ids of the ring of a run are in the profile; `None` if they are the same.
#[cfg(feature = "crash-proof")]
fn ids_in(
    profile: &spandrel_storage::ReadOnly,
    run: &Run,
) -> Option<spandrel::recover::IdsInProfile> {
    collected_from(run)?;
    let ring = u128::from_str_radix(&run.info.uuid, 16).unwrap_or_default().to_be_bytes();
    let drained = spandrel_storage::drained_in(profile, &ring).unwrap_or_default();
    Some(spandrel::recover::IdsInProfile::of_run(run.first_id, &drained))
}

#[cfg(feature = "crash-proof")]
fn program(
    ring: spandrel::recover::RingOpen,
    run: Option<(&Run, Option<spandrel::recover::IdsInProfile>)>,
    threads_above: i64,
) -> Program {
    use std::collections::HashMap;
    use std::sync::Arc;

    use spandrel::recover::RingOwner;
    use spandrel_query::{Callsite, Span, Thread};

    let (run, ids) = run.map_or((None, None), |(run, ids)| (Some(run), ids));
    let id = |id: u64| ids.as_ref().map_or(id, |ids| ids.of(id));
    let mut threads: HashMap<u32, Arc<Thread>> = HashMap::new();
    let seen_ns = ring.seen_ns;
    let open = ring.spans.into_iter().map(|found| {
        let thread = threads.entry(found.thread).or_insert_with(|| {
            let mut thread = Thread::default();
            thread.id = threads_above.saturating_add(i64::from(found.thread));
            (thread.os_id, thread.name) = (found.thread_os_id, found.thread_name.clone());
            Arc::new(thread)
        });
        let mut callsite = Callsite::default();
        (callsite.kind, callsite.name) = ("span".into(), found.name);
        (callsite.target, callsite.level) = (found.target.into(), found.level.into());
        let mut span = Span::default();
        span.id = id(found.id);
        span.run_id = run.map_or(0, |run| run.id);
        span.parent_id = Some(id(found.parent_id)).filter(|parent| *parent != 0);
        span.root_id = id(found.root_id);
        span.callsite = Arc::new(callsite);
        (span.thread, span.longest_thread) = (Arc::clone(thread), Arc::clone(thread));
        (span.start_ns, span.busy_ns, span.entries) =
            (found.start_ns, found.busy_ns, found.entries);
        (span.first_entry_ns, span.last_exit_ns) = (found.first_entry_ns, found.last_exit_ns);
        span.longest_entry_ns = found.longest_entry_ns;
        (span.status, span.fields) = (spandrel_storage::Status::Unfinished, found.fields);
        let mut open = OpenSpan::default();
        (open.span, open.seen_ns) = (span, seen_ns);
        open
    });
    let mut open: Vec<OpenSpan> = open.collect();
    open.order_by_key(|open| open.span.id);
    Program {
        run_id: run.map(|run| run.id),
        ring: ring.ring,
        owner: match ring.owner {
            RingOwner::Alive => Owner::Alive,
            RingOwner::Dead => Owner::Dead,
            _ => Owner::Unknown,
        },
        pid: ring.pid,
        program: ring.program,
        seen_ns,
        open,
        damaged: ring.damaged,
        turned: ring.turned,
    }
}
