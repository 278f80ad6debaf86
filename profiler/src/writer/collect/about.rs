//! What the names in the ring of a recording that is collected say beside callsites and threads.

use std::fs::File;
use std::path::Path;

use spandrel_ring::file::{Name, Reader};
use spandrel_storage::RunInfo;

use crate::error::Error;
use crate::json_string::push_string;
use crate::recorder::losses::PerKind;
use crate::recorder::ring_file::dead_names::{DeadNames, DeadRun};
use crate::recorder::ring_file::layout::names;
use crate::writer::recover::scan;
use crate::writer::run_json::{with_elsewhere, with_member};

/// The run, its marks, and its end.
#[derive(Debug, Default)]
pub(super) struct About {
    /// Row of the run, without what the run's own name says.
    pub(super) info: Option<RunInfo>,
    /// Those behind the ones that are known.
    pub(super) marks: Vec<Marked>,
    /// How many marks there are.
    pub(super) mark_count: u64,
    pub(super) end: Option<Ended>,
}

/// A mark, or a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) id: u64,
    /// In ticks.
    pub(super) at: u64,
    pub(super) until: Option<u64>,
    pub(super) label: String,
}

/// How a recording was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// In ticks.
    pub(super) at: u64,
    pub(super) marks_dropped: u64,
    /// Callsites kept, and those below the level.
    pub(super) callsites: [u64; 2],
}

impl About {
    /// Takes one more name. Those that make no sense say nothing.
    pub(super) fn add(&mut self, name: &Name<'_>, marks_known: u64) {
        match (name.kind, name.numbers, name.texts.as_slice()) {
            (
                names::ABOUT,
                [started, cpus, has_label, ..],
                [label, args, host, os, clock, settings, ..],
            ) => {
                self.info = Some(RunInfo {
                    label: (*has_label == 1).then(|| (*label).to_owned()),
                    started_unix_ns: i64::try_from(*started).unwrap_or(0),
                    args: (*args).to_owned(),
                    host: (*host).to_owned(),
                    os: (*os).to_owned(),
                    cpus: u32::try_from(*cpus).unwrap_or(0),
                    clock: (*clock).to_owned(),
                    settings: (*settings).to_owned(),
                    ..RunInfo::default()
                });
            }
            (names::MARK, [id, at, until, ..], [label, ..]) => {
                self.mark_count += 1;
                if self.mark_count > marks_known {
                    self.marks.push(Marked {
                        id: *id,
                        at: *at,
                        until: until.checked_sub(1),
                        label: (*label).to_owned(),
                    });
                }
            }
            (names::END, [at, marks_dropped, kept, below, ..], _) => {
                let callsites = [*kept, *below];
                self.end = Some(Ended { at: *at, marks_dropped: *marks_dropped, callsites });
            }
            _ => {}
        }
    }

    /// The row of the run, whose ring file this is; earlier profiles have so much of it.
    pub(super) fn row(&self, run: &DeadRun, ring: &Path, in_earlier: PerKind) -> RunInfo {
        let info = self.info.clone().unwrap_or_else(|| RunInfo {
            args: "[]".into(),
            settings: "{}".into(),
            ..RunInfo::default()
        });
        let pid = u32::try_from(run.pid).unwrap_or(0);
        let settings = with_elsewhere(&with_folder(&info.settings, ring), in_earlier);
        RunInfo { uuid: run.uuid.clone(), pid, program: run.program.clone(), settings, ..info }
    }
}

/// The settings, which are a JSON object, and from where they were collected: who looks at the profile finds the ring
/// files there.
fn with_folder(settings: &str, ring: &Path) -> String {
    let folder = ring.parent().and_then(|folder| folder.canonicalize().ok());
    let Some(folder) = folder else { return settings.to_owned() };
    let mut quoted = String::new();
    push_string(&mut quoted, &folder.to_string_lossy());
    with_member(settings, "collected_from", &quoted)
}

/// The names; and whether none of them was just being appended.
pub(super) fn read_names(
    reader: &mut Reader<File>,
    path: &Path,
    marks_known: u64,
) -> Result<(DeadNames, About, bool), Error> {
    let mut about_run = About::default();
    let read = scan::names_with(reader, false, |name| about_run.add(name, marks_known));
    let (names, read) = read.map_err(|refused| refused.about(path))?;
    Ok((names, about_run, read.unfinished == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_from_where_they_were_collected() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().canonicalize().unwrap();
        let ring = folder.path().join("a.ring");
        for (before, members) in [("{}", 0), (r#"{"a":{"b":1}}"#, 1), ("{ \"c\": 2 } ", 1)] {
            let all: serde_json::Value = serde_json::from_str(&with_folder(before, &ring)).unwrap();
            assert_eq!(all["collected_from"], there.to_str().unwrap());
            assert_eq!(all.as_object().unwrap().len(), members + 1);
        }
        assert_eq!(with_folder("no object", &ring), "no object");
        assert_eq!(with_folder("{}", Path::new("/is/not/there/a.ring")), "{}");
    }
}
