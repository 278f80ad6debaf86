//! A folder of ring files without a profile: the open spans of all programs that record into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spandrel_query::{OpenSpan, Run};

use super::page::{Ask, Health, Page, Programs, State, SubjectData};
use super::source::Missing;
use super::subject_reader;
use crate::failure::Failure;
use crate::open_rings::{self, Looked, Owner, Program};
use crate::output::{Cell, text};

/// The folder, and what is kept between two looks.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    rings: open_rings::Programs,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), rings: open_rings::Programs::default() }
    }

    /// What is open now.
    pub(crate) fn read(&mut self, ask: &Ask) -> Result<Page, Missing> {
        let shown = text::clean(&self.path.display().to_string());
        let Looked { programs, refused } = self
            .rings
            .of_folder(&self.path)
            .map_err(|why| Missing::Failed(Failure::cannot_read(why)))?;
        if programs.is_empty() {
            let why = match refused.first() {
                Some(why) => text::clean(why),
                None => format!(
                    "no program records into ring files in {shown}; it is shown when one does"
                ),
            };
            return Err(Missing::Wait(why));
        }
        let count = |owner| programs.iter().filter(|program| program.owner == owner).count();
        let counted = Programs {
            alive: count(Owner::Alive),
            dead: count(Owner::Dead),
            unknown: count(Owner::Unknown),
        };
        let mut when = match (counted.dead, counted.unknown) {
            (0, 0) => "as their ring files have them now".to_owned(),
            _ => "as their ring files have them; of what has died up to its last sign of life"
                .to_owned(),
        };
        if !refused.is_empty() {
            when.push_str(&format!("; ! {} not read", text::counted(refused.len() as u64, "file")));
        }
        let open = programs.into_iter().flat_map(named).collect();
        let mut run = Run::default();
        run.info.label = Some(shown);
        let health = Health {
            run,
            state: State::Unknown,
            left: crate::rings::of_folder(&self.path)
                .filter(|left| !left.comes)
                .map(|left| left.line()),
            lag_ns: None,
            ring_share: None,
            dropped: Vec::new(),
            bytes: 0,
            spans_by_second: Vec::new(),
            entries_rate: None,
            programs: Some(counted),
        };
        Ok(Page {
            health,
            window: ask.window,
            from_ns: 0,
            until_ns: 0,
            end_ns: 0,
            rows: Vec::new(),
            subject: SubjectData::Open(subject_reader::lines(true, open, &[])),
            open_from: Some(when),
        })
    }
}

/// Its open spans, on threads that are called by the program, too.
fn named(program: Program) -> Vec<OpenSpan> {
    let file = Path::new(&program.program).file_name().unwrap_or_default().to_string_lossy();
    let died = if program.owner == Owner::Dead { ", has died" } else { "" };
    let mut open = program.open;
    for open in &mut open {
        let mut thread = (*open.span.thread).clone();
        let name = Cell::from(&thread).text();
        thread.name = Some(format!("{file} {}{died}: {name}", program.pid));
        open.span.thread = Arc::new(thread);
    }
    open
}
