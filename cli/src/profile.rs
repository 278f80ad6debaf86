//! The profile that a command looks at: the file, the run, and what of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use spandrel_export::Source;
use spandrel_query::{
    By, Columns, Durations, Filter, Groups, Reader, Run, RunSelector, RunTimes, Scan, SpanRef,
    StackTree, Stacks, TimeError, TimeRange, TimeZone, Window, quote,
};
use spandrel_storage::APPLICATION_ID;

use crate::failure::Failure;
use crate::output::{Header, text, unmeasured_by};
use crate::recorder::State;

/// Spans from which on it is worth it to have indexes.
pub(crate) const LARGE: u64 = 1_000_000;

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) db: Option<PathBuf>,
    pub(crate) run: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) between: Option<String>,
    pub(crate) filter: Option<String>,
    pub(crate) utc: bool,
    /// Whether it matters that nothing is missing, so that rows are compared with what is said of them.
    pub(crate) strict: bool,
}

/// An open profile, the run in it, and what of that is asked about.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) reader: Reader,
    pub(crate) run: Run,
    pub(crate) window: Window,
    pub(crate) filter: Filter,
}

impl Wanted {
    /// A file, or the newest profile here, without more.
    pub(crate) fn of_file(db: Option<PathBuf>) -> Self {
        Self {
            db,
            run: None,
            since: None,
            until: None,
            between: None,
            filter: None,
            utc: false,
            strict: false,
        }
    }

    /// The file: the one that was named, or the newest profile in the current folder.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        match &self.db {
            // What the recorder was given, with `%p` for the process: the newest that fits.
            Some(path) if !path.exists() => Ok(newest_like(path).unwrap_or_else(|| path.clone())),
            Some(path) => Ok(path.clone()),
            None => newest(Path::new(".")).ok_or_else(|| {
                Failure::cannot_read("there is no profile in this folder")
                    .hint("--db FILE or $SPANDREL_DB name one; a program with the layer makes one")
            }),
        }
    }

    pub(crate) fn reader(&self) -> Result<Reader, Failure> {
        Ok(Reader::open(self.path()?)?)
    }

    /// Opens the file and finds the run.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let reader = self.reader()?;
        let selector = RunSelector::parse(self.run.as_deref().unwrap_or_default())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let run = self.find(&reader, &selector)?;
        self.of_run(reader, run)
    }

    /// The run that a selector names.
    pub(crate) fn find(&self, reader: &Reader, which: &RunSelector) -> Result<Run, Failure> {
        let found = which.resolve(&reader.runs()?).cloned();
        let run = found.map_err(|error| {
            Failure::cannot_read(format!("{}: {error}", reader.path().display()))
        })?;
        self.looked_at(reader, run)
    }

    /// The run, after a look at its rows if that is asked for.
    pub(crate) fn looked_at(&self, reader: &Reader, run: Run) -> Result<Run, Failure> {
        let mut run = run;
        run.is_contradicted = self.strict && !reader.contradictions(run.id)?.is_empty();
        Ok(run)
    }

    /// What is asked about of a run.
    pub(crate) fn of_run(&self, reader: Reader, run: Run) -> Result<Profile, Failure> {
        let filter = self.filter()?;
        let window = self.window(&reader, &run)?;
        Ok(Profile { reader, run, window, filter })
    }

    /// The filter; all spans without one.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        Filter::parse(self.filter.as_deref().unwrap_or_default())
            .map_err(|error| Failure::usage(format!("--where: {}", error.render())))
    }

    /// The window of time of a run; all of it without one.
    pub(crate) fn window(&self, reader: &Reader, run: &Run) -> Result<Window, Failure> {
        let [since, until, between] =
            [&self.since, &self.until, &self.between].map(|text| text.as_deref());
        let failure = |error: TimeError| Failure::usage(error.to_string());
        let range = TimeRange::parse(since, until, between).map_err(failure)?;
        let marks = if range.needs_marks() { reader.marks(run.id)? } else { Vec::new() };
        range.resolve(&RunTimes::from(run), &marks, &self.zone()).map_err(failure)
    }

    /// Whether a window of time is asked about.
    pub(crate) fn has_window(&self) -> bool {
        [&self.since, &self.until, &self.between].iter().any(|time| time.is_some())
    }

    /// The time zone that times of day are in.
    pub(crate) fn zone(&self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { TimeZone::system() }
    }
}

impl Profile {
    /// The header of every view: which run, what of it, and what is missing.
    pub(crate) fn header(&self) -> Result<Header, Failure> {
        let mut header = Header::new(self.run.clone(), self.reader.losses(self.run.id)?);
        header.selection = self.selection();
        header.unmeasured = self.unmeasured();
        header.has_ring = State::of(&self.run) == State::Killed
            && crate::rings::is_left(self.reader.path(), &self.run);
        Ok(header)
    }

    /// Whether the whole run is asked about.
    pub(crate) fn is_whole(&self) -> bool {
        self.window.is_all() && self.filter.is_empty()
    }

    /// Whether the rollups say what the spans say: of a whole run, of which nothing was deleted. They are
    /// deleted by the second, and spans one by one.
    pub(crate) fn is_in_rollups(&self) -> bool {
        self.is_whole() && self.run.pruned_spans == 0 && self.run.pruned_entries == 0
    }

    /// What of the run is asked about, in words.
    pub(crate) fn selection(&self) -> Option<String> {
        let at = |ns: i64| format!("+{}", text::duration_in_words(ns));
        let window = match (self.window.from_ns, self.window.until_ns) {
            (None, None) => None,
            (Some(from), None) => Some(format!("from {}", at(from))),
            (None, Some(until)) => Some(format!("until {}", at(until))),
            (Some(from), Some(until)) => Some(format!("{}..{}", at(from), at(until))),
        };
        let filter = (!self.filter.is_empty()).then(|| text::clean(&self.filter.to_string()));
        let parts: Vec<String> = [window, filter].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("   "))
    }

    /// Why the filter can mean no span, if it asks for what was not measured.
    pub(crate) fn unmeasured(&self) -> Option<String> {
        unmeasured_by(&self.filter, std::slice::from_ref(&self.run))
    }

    /// What to tell people when a look at a large profile had to read all of it for want of an index.
    pub(crate) fn read_everything(&self, has_index: bool) -> Option<String> {
        read_everything(std::slice::from_ref(&self.run), has_index)
    }

    /// The same after a pass over what is asked about: an index spares the rest of the run if that is a
    /// window of time; whoever asks about a whole run has to read all of it.
    pub(crate) fn passed_over_everything(&self) -> Result<Option<String>, Failure> {
        if self.window.is_all() {
            return Ok(None);
        }
        Ok(self.read_everything(self.reader.indexes()?.windows))
    }

    /// What a pass over the spans looks at; the filter comes on top of it.
    pub(crate) fn pass(&self, columns: Columns) -> Scan {
        let scan = Scan::new(self.run.id).window(self.window.from_ns, self.window.until_ns);
        scan.columns(columns.max(self.filter.columns()))
    }

    /// Calls `each` for each call of a name that is asked about.
    pub(crate) fn calls_named(
        &self,
        name: &str,
        columns: Columns,
        each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.reader.scan_calls(&self.pass(columns), &self.filter_named(name)?, each)?;
        Ok(())
    }

    /// Calls `each` for each call that is asked about: spans by their lifetime, and entries of those that live
    /// long.
    pub(crate) fn calls(
        &self,
        columns: Columns,
        each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.reader.scan_calls(&self.pass(columns), &self.filter, each)?;
        Ok(())
    }

    /// The durations of the calls of a name that are asked about.
    pub(crate) fn durations_named(&self, name: &str) -> Result<Durations, Failure> {
        let scan = self.pass(Columns::Numbers);
        Ok(self.reader.durations(&scan, &self.filter_named(name)?)?)
    }

    fn filter_named(&self, name: &str) -> Result<Filter, Failure> {
        let named = Filter::parse(&format!("name={}", quote(name)))
            .map_err(|error| Failure::usage(error.render()))?;
        Ok(named.and(self.filter.clone()))
    }

    /// The groups of the calls that are asked about, and the time that these span; from the sums of an
    /// optimized profile where they say enough.
    pub(crate) fn groups(&self, by: &By) -> Result<(Groups, i64), Failure> {
        self.groups_with(by, by.columns())
    }

    /// The same, of which these columns are wanted.
    pub(crate) fn groups_with(&self, by: &By, columns: Columns) -> Result<(Groups, i64), Failure> {
        let mut groups = Groups::new(by.clone());
        let columns = columns.max(by.columns());
        if self.filter.is_empty() {
            let extent = self.reader.add_window(&self.pass(columns), &mut groups)?;
            return Ok((groups, extent.length_ns()));
        }
        let extent = self.reader.add_calls(&self.pass(columns), &self.filter, &mut groups)?;
        Ok((groups, extent.length_ns()))
    }

    /// The groups of the calls of a name that are asked about, or of all; from the rollups where they say
    /// enough.
    pub(crate) fn groups_of(&self, name: Option<&str>, by: &By) -> Result<Groups, Failure> {
        let mut groups = Groups::new(by.clone());
        if self.is_in_rollups() && by.is_in_rollups() {
            let top = match name {
                Some(name) => self.reader.top_named(self.run.id, name)?,
                None => self.reader.top(self.run.id, usize::MAX)?,
            };
            top.iter().for_each(|top| groups.add_top(top));
            return Ok(groups);
        }
        let Some(name) = name else { return Ok(self.groups(by)?.0) };
        let filter = self.filter_named(name)?;
        self.reader.add_calls(&self.pass(by.columns()), &filter, &mut groups)?;
        Ok(groups)
    }

    /// The calls that are asked about by path; from the sums of an optimized profile without a filter.
    pub(crate) fn stacks(&self) -> Result<StackTree, Failure> {
        let mut stacks = Stacks::new(&self.reader, self.run.id)?;
        if self.filter.is_empty() {
            self.reader.add_stacks(&self.pass(Columns::Numbers), &mut stacks)?;
        } else {
            self.calls(Columns::Numbers, |span| stacks.add(span))?;
        }
        Ok(stacks.finish()?)
    }

    /// What is asked about, for an export.
    pub(crate) fn source(&self) -> Source<'_> {
        let mut source = Source::new(&self.reader, &self.run);
        if !self.window.is_all() {
            source = source.window(self.window.from_ns, self.window.until_ns);
        }
        source.filter(self.filter.clone())
    }

    /// Calls `each` for each span that is asked about, in the order of ids.
    pub(crate) fn scan(
        &self,
        columns: Columns,
        each: impl FnMut(&SpanRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        self.reader.scan_filtered(&self.pass(columns), &self.filter, each)?;
        Ok(())
    }
}

/// What to tell people when all of these runs had to be read for want of an index.
pub(crate) fn read_everything(runs: &[Run], has_index: bool) -> Option<String> {
    let spans = runs.iter().map(|run| run.spans.saturating_sub(run.pruned_spans));
    let spans = spans.fold(0, u64::saturating_add);
    let has_ended = runs.iter().all(|run| run.ended_unix_ns.is_some());
    (!has_index && has_ended && spans >= LARGE).then(|| {
        let spans = text::counted(spans, "span");
        format!("looked at {spans}; `spandrel optimize` makes indexes, and this quicker")
    })
}

/// The profile in a folder that was written last.
fn newest(folder: &Path) -> Option<PathBuf> {
    newest_named(folder, |name| Path::new(name).extension().is_some_and(|end| end == "db"))
}

/// The same of those with such a name.
fn newest_named(folder: &Path, is_named_so: impl Fn(&OsStr) -> bool) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let path = entry.path();
        let fits = is_named_so(&entry.file_name()) && is_profile(&path);
        fits.then(|| Some((written(&path)?, path)))?
    });
    let path = files.max()?.1;
    Some(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
}

/// The newest profile that a recorder may have made for this path, in whose name `%p`, `%t` and `%n` stand
/// for a process.
fn newest_like(path: &Path) -> Option<PathBuf> {
    let pattern = path.file_name()?.to_str()?;
    let parts = pattern_parts(pattern);
    if parts.len() < 2 {
        return None;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    newest_named(folder.unwrap_or(Path::new(".")), |name| {
        name.to_str().is_some_and(|name| fits(name, &parts))
    })
}

/// The literal parts of a pattern, between its placeholders.
fn pattern_parts(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('%', Some('p' | 't' | 'n')) => {
                chars.next();
                parts.push(String::new());
            }
            (c, next) => {
                if c == '%' && next == Some(&'%') {
                    chars.next();
                }
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}

/// Whether a name has these parts, with something between them.
fn fits(name: &str, parts: &[String]) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(rest) = name.strip_prefix(first.as_str()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else { return false };
    for part in middle {
        // One character at least is what stood there; the earliest place leaves most for the others.
        let Some(first) = rest.chars().next() else { return false };
        let behind = &rest[first.len_utf8()..];
        let Some(at) = behind.find(part.as_str()) else { return false };
        rest = &behind[at + part.len()..];
    }
    !rest.is_empty()
}

/// When a profile was written last: a live one writes its log only.
pub(crate) fn written(path: &Path) -> Option<SystemTime> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let times = [path.as_os_str(), &log].map(|path| fs::metadata(path).ok()?.modified().ok());
    times.into_iter().flatten().max()
}

/// Whether the start of the file says that it is a profile: <https://sqlite.org/fileformat.html>.
pub(crate) fn is_profile(path: &Path) -> bool {
    let mut start = [0; 72];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok()
        && start.starts_with(b"SQLite format 3\0")
        && start.get(68..72) == Some(&APPLICATION_ID.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_pattern_makes() {
        let is_like = |pattern: &str, name: &str| fits(name, &pattern_parts(pattern));
        assert!(is_like("%n-%p.db", "shop-42.db"));
        assert!(is_like("%n-%p.db", "my-shop-42.db"));
        assert!(is_like("run%%%t.db", "run%20261128T162233Z.db"));
        assert!(is_like("%p%t", "4220261128T162233Z"));
        assert!(!is_like("%n-%p.db", "shop.db") && !is_like("%p.db", ".db"));
        assert!(!is_like("%n-%p.db", "shop-42.sqlite"));
        assert!(!is_like("plain.db", "plain.db"), "nothing stands for anything");
    }
}
