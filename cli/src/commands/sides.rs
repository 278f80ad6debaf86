//! The sides of a comparison: runs of this file, or of another one.

use std::path::Path;

use serde_json::{Value, json};
use spandrel_query::compare::SampleSet;
use spandrel_query::{By, Columns, Reader, Run, RunSelector, Scan};

use crate::failure::Failure;
use crate::output::{text, unmeasured_by};
use crate::profile::{Wanted, read_everything};

/// One side: a run or several of one file.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) reader: Reader,
    pub(super) runs: Vec<Run>,
}

impl Side {
    /// `RUNS`, `FILE` or `FILE:RUNS`, where `RUNS` is `*` for all, or selectors separated by commas.
    pub(super) fn parse(text: &str, wanted: &Wanted) -> Result<Self, Failure> {
        let (file, runs) = split(text);
        let reader = match file {
            Some(file) => Reader::open(file)?,
            None => wanted.reader()?,
        };
        let all = reader.runs()?;
        let empty = || {
            let message = format!("{} holds no run", reader.path().display());
            Failure::cannot_read(message).hint("record something into it first")
        };
        let runs = match runs {
            "*" if all.is_empty() => return Err(empty()),
            "*" => {
                let all = all.into_iter().map(|run| wanted.looked_at(&reader, run));
                all.collect::<Result<_, _>>()?
            }
            runs => runs
                .split(',')
                .map(|run| {
                    let run = RunSelector::parse(run.trim())
                        .map_err(|error| Failure::usage(error.to_string()))?;
                    wanted.find(&reader, &run)
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { reader, runs })
    }

    /// One of its runs, in the window of the command line.
    pub(super) fn scan(
        &self,
        wanted: &Wanted,
        run: &Run,
        columns: Columns,
    ) -> Result<Scan, Failure> {
        let window = wanted.window(&self.reader, run)?;
        Ok(Scan::new(run.id).window(window.from_ns, window.until_ns).columns(columns))
    }

    /// The durations of its spans. Window and filter of the command line apply to each run.
    pub(super) fn samples(&self, wanted: &Wanted, by: &By) -> Result<SampleSet, Failure> {
        let filter = wanted.filter()?;
        let columns = filter.columns().max(by.columns());
        let mut samples = SampleSet::by(by.clone());
        for run in &self.runs {
            let scan = self.scan(wanted, run, columns)?;
            samples.add_run(&self.reader, run, &scan, &filter)?;
        }
        if samples.has_too_many() {
            let by = text::clean(&super::by::written(by));
            let message = format!("{by} has more than 1,000 values, which are too many to compare");
            return Err(Failure::usage(message).hint("-w leaves fewer: -w 'name=db.query'"));
        }
        Ok(samples)
    }

    /// `run 7 "checkout" of old.db, 2 runs`.
    pub(super) fn title(&self) -> String {
        let run = match self.runs.as_slice() {
            [run] => match &run.info.label {
                Some(label) => format!("run {} \"{}\"", run.id, text::clean(label)),
                None => format!("run {}", run.id),
            },
            runs => text::counted(runs.len() as u64, "run"),
        };
        format!("{run} of {}", text::clean(&self.reader.path().display().to_string()))
    }

    /// A note for people, if its runs had to be read as a whole because of a window.
    pub(super) fn passed_over_everything(
        &self,
        wanted: &Wanted,
    ) -> Result<Option<String>, Failure> {
        if !wanted.has_window() {
            return Ok(None);
        }
        Ok(read_everything(&self.runs, self.reader.indexes()?.windows))
    }

    /// Why a filter can match no span of one of its runs, if it needs what was not measured.
    pub(super) fn unmeasured(&self, wanted: &Wanted) -> Result<Option<String>, Failure> {
        Ok(unmeasured_by(&wanted.filter()?, &self.runs))
    }

    /// For programs.
    pub(super) fn members(&self, samples: &SampleSet) -> Value {
        let runs = self.runs.iter().map(|run| json!({"id": run.id, "label": run.info.label}));
        json!({
            "profile": self.reader.path().to_string_lossy(), "runs": runs.collect::<Value>(),
            "traces": samples.traces(), "complete": self.is_complete(), "dropped": self.dropped(),
        })
    }

    /// A note on runs that are on both sides: they cannot differ from themselves.
    pub(super) fn compared_with_itself(&self, other: &Self) -> Option<String> {
        let is_there = |run: &&Run| other.runs.iter().any(|one| one.info.uuid == run.info.uuid);
        let same = self.runs.iter().filter(is_there).count();
        if same == 0 {
            return None;
        }
        let are_all = same == self.runs.len() && same == other.runs.len();
        Some(if are_all {
            "! A = B: what is compared is the same recording, which cannot differ from itself"
                .into()
        } else {
            let (runs, are) =
                (text::counted(same as u64, "run"), text::agree(same as u64, "is", "are"));
            format!("! {runs} {are} on both sides, and cannot differ from themselves")
        })
    }

    /// Spans and events that its runs lost.
    pub(super) fn dropped(&self) -> u64 {
        let lost = self.runs.iter().map(|run| run.dropped());
        lost.fold(0, u64::saturating_add)
    }

    pub(super) fn unfinished(&self) -> u64 {
        self.runs.iter().map(|run| run.unfinished).fold(0, u64::saturating_add)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.runs.iter().all(Run::is_complete)
    }
}

/// The file, if one is named, and its runs. A name with a colon is a file if such a file exists.
fn split(text: &str) -> (Option<&Path>, &str) {
    let is_file = |path: &str| Path::new(path).is_file();
    if is_file(text) {
        return (Some(Path::new(text)), "latest");
    }
    match text.rsplit_once(':').filter(|(file, _)| is_file(file)) {
        Some((file, runs)) => (Some(Path::new(file)), runs),
        // What looks like a path is taken for one, so that the message is about a missing file.
        None if text.ends_with(".db") || text.contains('/') => (Some(Path::new(text)), "latest"),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_runs_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a:b.db");
        std::fs::write(&file, "").unwrap();
        let name = file.to_str().unwrap();
        let with_runs = format!("{name}:1,2");
        assert_eq!(split(name), (Some(file.as_path()), "latest"));
        assert_eq!(split(&with_runs), (Some(file.as_path()), "1,2"));
        assert_eq!(split("label:7"), (None, "label:7"));
        assert_eq!(split("latest~1"), (None, "latest~1"));
        assert_eq!(split("gone.db"), (Some(Path::new("gone.db")), "latest"));
    }
}
