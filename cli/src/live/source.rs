//! The profile that is read again and again: which file, which run, and what is kept between reads.
//!
//! A file that does not exist yet is waited for, and so is one that was removed; one that was replaced
//! is opened again. Each read uses the file for a moment only.

use std::fs;
use std::path::{Path, PathBuf};

use spandrel_query::{CountedBy, Reader, Run, RunSelector};
use spandrel_storage::ErrorKind;

use super::folder::Folder;
use super::health::{self, Dropped};
use super::page::{Ask, Health, Page, State, Subject, SubjectData};
use super::rows::{Callsites, rows};
use super::subject_reader::{self, Part};
use super::sums::{Blocks, Trends};
use super::window::{SECOND_NS, Window};
use crate::commands::tree::TraceAnalysis;
use crate::failure::Failure;
use crate::open_rings::Programs;
use crate::profile::Wanted;
use crate::rings::Known;

/// How many spans of a trace are read, each second while it is shown.
const TREE_SPANS_MAX: usize = 10_000;

/// Why there is nothing new to show.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The file, or a run in it, may still come.
    Wait(String),
    Failed(Failure),
}

impl From<spandrel_storage::Error> for Missing {
    fn from(error: spandrel_storage::Error) -> Self {
        match error.kind() {
            // A recording is just beginning, or somebody has locked the file.
            ErrorKind::Busy | ErrorKind::NotFound => Self::Wait(error.to_string()),
            _ => Self::Failed(error.into()),
        }
    }
}

/// The file and the run that are shown.
#[derive(Debug)]
pub(crate) struct Source {
    wanted: Wanted,
    selector: RunSelector,
    open: Option<Open>,
    /// Whether there ever was a file.
    was_open: bool,
    /// Ring files without a profile, if those are what is shown.
    folder: Option<Folder>,
}

/// An open file, and what is kept of it.
#[derive(Debug)]
struct Open {
    reader: Reader,
    path: PathBuf,
    identity: Option<Identity>,
    run_id: i64,
    has_ended: bool,
    callsites: Callsites,
    blocks: Blocks,
    trends: Trends,
    dropped: Dropped,
    rings: Programs,
    left: Known,
}

impl Source {
    /// Checks what was asked for, not yet whether it is there.
    pub(crate) fn new(wanted: Wanted) -> Result<Self, Failure> {
        let selector = RunSelector::parse(wanted.run.as_deref().unwrap_or_default())
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { wanted, selector, open: None, was_open: false, folder: None })
    }

    /// The ring files in a folder.
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let folder = Some(Folder::new(folder));
        let selector = RunSelector::Latest { back: 0 };
        Self { wanted: Wanted::of_file(None), selector, open: None, was_open: false, folder }
    }

    /// The file that was read last.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|open| open.path.as_path())
    }

    /// Reads what is asked for. After a failure the file is opened again.
    pub(crate) fn read(&mut self, ask: &Ask) -> Result<Page, Missing> {
        if let Some(folder) = &mut self.folder {
            return folder.read(ask);
        }
        let read = self.try_read(ask);
        if read.is_err() {
            self.open = None;
        }
        read
    }

    fn try_read(&mut self, ask: &Ask) -> Result<Page, Missing> {
        if self.open.as_ref().is_some_and(|open| open.identity != identity(&open.path)) {
            self.open = None;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.find()?,
        };
        let run = self.run(&open.reader)?;
        open.turn_to(&run);
        let page = open.page(run, ask);
        self.open = Some(open);
        page
    }

    fn find(&mut self) -> Result<Open, Missing> {
        let path = self.wanted.path().map_err(|failure| {
            Missing::Wait(format!("{}; it is shown when there is one", failure.message))
        })?;
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if bytes == 0 {
            let path = path.display();
            return Err(Missing::Wait(if self.was_open {
                format!("{path} is gone; it is shown again when a recording makes it")
            } else {
                format!("{path} is not there yet; it is shown when a recording makes it")
            }));
        }
        let identity = identity(&path);
        let reader = Reader::open(&path)?;
        self.was_open = true;
        Ok(Open {
            reader,
            path,
            identity,
            run_id: 0,
            has_ended: false,
            callsites: Callsites::default(),
            blocks: Blocks::default(),
            trends: Trends::default(),
            dropped: Dropped::default(),
            rings: Programs::default(),
            left: Known::default(),
        })
    }

    fn run(&self, reader: &Reader) -> Result<Run, Missing> {
        let runs = reader.runs()?;
        if runs.is_empty() {
            let path = reader.path().display();
            return Err(Missing::Wait(format!("{path} holds no run yet")));
        }
        let found = self.selector.resolve(&runs).cloned();
        found.map_err(|error| Missing::Failed(Failure::cannot_read(error.to_string())))
    }
}

impl Open {
    /// Forgets what belongs to another run, and what may have changed at the end of this one.
    fn turn_to(&mut self, run: &Run) {
        let has_ended = run.ended_unix_ns.is_some() || run.has_crashed();
        if (self.run_id, self.has_ended) != (run.id, has_ended) {
            (self.run_id, self.has_ended) = (run.id, has_ended);
            self.blocks = Blocks::default();
            self.trends = Trends::default();
        }
    }

    fn page(&mut self, run: Run, ask: &Ask) -> Result<Page, Missing> {
        let reader = &self.reader;
        let recent = run.last_ns.saturating_sub(10 * SECOND_NS);
        let stats = reader.writer_stats_since(run.id, recent)?;
        let stat = stats.last();
        let end_ns = stat.map_or(run.last_ns, |stat| stat.at_ns.max(run.last_ns)).max(0);
        let end_ns = end_ns.saturating_add(1);
        let until_ns = ask.until_ns.map_or(end_ns, |until| until.clamp(1, end_ns));
        let from_ns = ask.window.start_ns(until_ns);
        let mut sums = self.blocks.read(reader, run.id, ask.window, until_ns, end_ns)?;
        if run.entries > 0 {
            // Of the whole run, also those from before it began: what was open then.
            let from_ns = if ask.window == Window::Whole { i64::MIN } else { from_ns };
            let until_ns = if until_ns == end_ns { i64::MAX } else { until_ns };
            for (id, longest_ns) in reader.longest_open_entries(run.id, from_ns, until_ns)? {
                if let Some(sums) = sums.get_mut(&(id, CountedBy::Entries)) {
                    sums.max_ns = sums.max_ns.max(longest_ns);
                }
            }
        }
        self.trends.read(reader, run.id, until_ns, end_ns)?;
        let length_ns = until_ns.saturating_sub(from_ns);
        let rows = rows(reader, &mut self.callsites, sums, &self.trends, length_ns)?;
        let needs_open =
            matches!(ask.subject, Subject::Open | Subject::Detail(_) | Subject::Stalls);
        let now = if needs_open {
            self.rings.of_profile(&self.path, std::slice::from_ref(&run)).programs.pop()
        } else {
            None
        };
        let open_now = now.as_ref().map(|program| program.open.as_slice());
        let is_end = until_ns == end_ns;
        let part = Part { run: &run, from_ns, until_ns, is_end, open_now };
        let subject = match &ask.subject {
            Subject::Table => SubjectData::Table,
            Subject::Detail(key) => {
                let row = rows.iter().find(|row| row.key == *key);
                SubjectData::Detail(Box::new(subject_reader::detail(reader, &part, key, row)?))
            }
            Subject::Open => SubjectData::Open(subject_reader::lines(
                run.entries > 0,
                part.open_spans(reader)?,
                &rows,
            )),
            Subject::Gauges => SubjectData::Gauges(subject_reader::gauges(reader, &part)?),
            Subject::Stalls => {
                SubjectData::Stalls(Box::new(subject_reader::stalls(reader, &part)?))
            }
            Subject::Tree(key) => {
                let found =
                    TraceAnalysis::around(reader, key.root_id, key.span_id, TREE_SPANS_MAX)?;
                SubjectData::Tree(*key, found.map(Box::new))
            }
            Subject::Flame => SubjectData::Flame(Box::new(subject_reader::flame(reader, &part)?)),
        };
        let age_ns = crate::recorder::now_unix_ns()
            .saturating_sub(run.info.started_unix_ns)
            .saturating_sub(end_ns);
        let state = health::state(&run, age_ns, crate::recorder::is_alive);
        let is_live = matches!(state, State::Recording | State::Silent(_));
        // As long as rows come, somebody stores them.
        let left = match state {
            State::Recording | State::Ended | State::Crashed => None,
            _ => self.left.of_run(&self.path, &run),
        };
        let was_closed = left.as_ref().is_some_and(|left| left.was_closed);
        let state = if was_closed { State::Closed } else { state };
        let health = Health {
            state,
            left: left.filter(|left| !left.comes).map(|left| left.line()),
            lag_ns: is_live.then_some(age_ns.max(0)),
            ring_share: health::ring_share(&run, stat),
            dropped: self.dropped.read(reader, &run)?,
            bytes: health::bytes(&self.path),
            spans_by_second: self.trends.of_all(),
            entries_rate: health::entries_rate(&stats),
            programs: None,
            run,
        };
        let open_from = now.map(|program| program.when());
        let window = ask.window;
        Ok(Page { health, window, from_ns, until_ns, end_ns, rows, subject, open_from })
    }
}

/// Distinguishes a file from another one at the same path.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// On other systems an open file cannot be replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|_| (0, 0))
}

#[cfg(test)]
mod tests {
    use super::super::page::RowKey;
    use super::super::test_pages;
    use super::*;

    fn page(path: &Path, subject: Subject) -> Page {
        page_of(path, Ask { window: Window::Whole, until_ns: None, subject })
    }

    fn page_of(path: &Path, ask: Ask) -> Page {
        let wanted = Wanted::of_file(Some(path.to_owned()));
        match Source::new(wanted).map(|mut source| source.read(&ask)) {
            Ok(Ok(page)) => page,
            _ => panic!("{} is not read", path.display()),
        }
    }

    #[test]
    fn spans_that_are_open_for_long_are_in_the_table_by_their_entries() {
        let (_folder, path) = test_pages::long_lived();
        let page = page(&path, Subject::Table);
        let rows: Vec<_> = page.rows.iter().map(|row| (row.key.text(), row.sums.calls)).collect();
        assert_eq!(rows, [("frame".into(), 400), ("system".into(), 1), ("system ⟳".into(), 500)]);
        let row = &page.rows[2];
        assert!(row.p99_ns.abs_diff(20_000) < 200, "{row:?}");
        // One that is not among those that were recorded one by one.
        assert_eq!((row.sums.max_ns, row.sums.self_ns), (700_000, 400 * 15_000));
        assert_eq!(row.trend.iter().sum::<u64>(), 500);
        let by_second = &page.health.spans_by_second;
        assert_eq!(by_second.iter().sum::<u64>(), 401, "entries are no spans");
    }

    /// The first entries of a span are not recorded one by one, and the longest may be one of them.
    #[test]
    fn the_longest_entry_of_what_is_open_counts_in_windows_that_have_all_of_its_entries() {
        let (_folder, path) = test_pages::long_lived_since(50 * SECOND_NS);
        let max_ns = |window, until_ns| {
            let page = page_of(&path, Ask { window, until_ns, subject: Subject::Table });
            let row = page.rows.iter().find(|row| row.key.text() == "system ⟳").unwrap();
            row.sums.max_ns
        };
        let (of_span, recorded) = (700_000, 20_000);
        for window in [Window::Whole, Window::FiveMinutes, Window::Minute] {
            assert_eq!(max_ns(window, None), of_span, "{window:?}");
            // Its last exit is after 64 s.
            assert_eq!(max_ns(window, Some(65 * SECOND_NS)), of_span, "{window:?}");
            assert_eq!(max_ns(window, Some(63 * SECOND_NS)), recorded, "{window:?}");
        }
        assert_eq!(max_ns(Window::TenSeconds, Some(66 * SECOND_NS)), recorded);
        let (_folder, path) = test_pages::long_lived();
        let ask = Ask { window: Window::Minute, until_ns: None, subject: Subject::Table };
        let page = page_of(&path, ask);
        let row = page.rows.iter().find(|row| row.key.text() == "system ⟳").unwrap();
        assert_eq!(row.sums.max_ns, recorded, "it is not known when its longest entry was");
    }

    #[test]
    fn the_detail_of_what_lives_long_has_its_slowest_entries_and_leads_to_what_was_around() {
        let (_folder, path) = test_pages::long_lived();
        for counted in [CountedBy::Lifetime, CountedBy::Entries] {
            let key = RowKey { name: "system".into(), target: "game".into(), counted };
            let page = page(&path, Subject::Detail(key));
            let SubjectData::Detail(detail) = &page.subject else { panic!("{page:?}") };
            let is_long = counted == CountedBy::Entries;
            assert!(detail.slowest.iter().all(|slow| slow.entry.is_some() == is_long));
            assert_eq!(detail.open.len(), usize::from(is_long));
            let calls: u64 = detail.points.iter().map(|point| point.calls).sum();
            assert_eq!(calls, if is_long { 500 } else { 1 });
            if let Some(slow) = detail.slowest.first().filter(|_| is_long) {
                assert_eq!((slow.fields.as_deref(), slow.duration_ns), (Some("{}"), Some(20_000)));
                let key = super::super::page::TraceKey::from(slow);
                assert_eq!(
                    (key.span_id, key.root_id),
                    (slow.entry.unwrap().around_id.unwrap(), key.span_id)
                );
            }
        }
    }

    #[test]
    fn what_has_no_call_in_the_window_has_no_row() {
        let (_folder, path) = test_pages::long_lived();
        let reader = Reader::open(&path).unwrap();
        let named = |calls| {
            let sums = super::super::sums::Sums { calls, ..Default::default() };
            let sums = [((1, CountedBy::Entries), sums)].into();
            rows(&reader, &mut Callsites::default(), sums, &Trends::default(), 1).unwrap().len()
        };
        assert_eq!((named(0), named(1)), (0, 1));
    }

    #[test]
    fn an_open_span_that_lives_long_is_never_stalled() {
        let (_folder, path) = test_pages::long_lived();
        let page = page(&path, Subject::Open);
        let SubjectData::Open(lines) = &page.subject else { panic!("{page:?}") };
        let found: Vec<_> = lines.iter().map(|line| (line.lives_long, line.is_stalled)).collect();
        assert_eq!(found, [(true, false), (false, true)], "the other one hangs");
    }

    /// Its program lives, and nothing has come for long.
    #[cfg(all(target_os = "linux", feature = "collected"))]
    #[test]
    fn that_nothing_comes_as_no_collector_runs_is_said_with_the_command() {
        use std::os::unix::fs::PermissionsExt;

        let mut rings = tempfile::Builder::new();
        let rings = rings.permissions(fs::Permissions::from_mode(0o700)).tempdir_in("/dev/shm");
        let (rings, folder) = (rings.unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("p.db");
        let builder = spandrel::Profiler::builder().collected(rings.path()).partitions(1);
        let profiler = builder.ring_capacity(1 << 12).max_open_spans(64).build().unwrap();
        let ring = spandrel::recover::in_folder(rings.path()).unwrap().remove(0);
        let settings = serde_json::json!({ "collected_from": rings.path() }).to_string();
        let info = spandrel_storage::RunInfo {
            uuid: ring.run,
            args: "[]".into(),
            settings,
            pid: std::process::id(),
            program: std::env::current_exe().unwrap().to_string_lossy().into_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started_unix_ns: crate::recorder::now_unix_ns() - 60 * SECOND_NS,
            ..spandrel_storage::RunInfo::default()
        };
        let options = spandrel_storage::StoreOptions::default();
        let mut store = spandrel_storage::Store::open(&path, &options).unwrap();
        store.begin_run(&info).unwrap();
        store.leave_run().unwrap();
        store.close().unwrap();
        let health = |path| page(path, Subject::Table).health;
        let said = health(&path);
        assert!(matches!(said.state, State::Silent(_)), "{said:?}");
        let left = said.left.unwrap();
        let command = format!("spandrel collect {} -o {}", rings.path().display(), path.display());
        assert!(left.contains("no collector runs") && left.contains(&command), "{left}");
        profiler.close().unwrap();
        assert_eq!(health(&path).state, State::Closed);
    }

    #[test]
    fn a_flame_of_the_present_has_entries() {
        let (_folder, path) = test_pages::long_lived();
        let page = page(&path, Subject::Flame);
        let SubjectData::Flame(flame) = &page.subject else { panic!("{page:?}") };
        assert_eq!((flame.coverage.spans, flame.coverage.entries), (400 + 1, 400));
    }
}
