//! What a page says about the run, and about what was left out of the page.

use std::path::Path;

use spandrel_query::{Reader, Run, StackTree};
use spandrel_storage::Error;

use super::failures::Failures;
use super::flame::Pruned;
use super::losses::losses;
use super::text::cut;
use crate::output::text;
use crate::profile::Profile;
use crate::report::bounds;
use crate::report::data::{Diff, Document, MarkFact, RunFacts, Timeline, Trace, Window};

/// All of a document that is known without looking at the spans.
///
/// # Errors
///
/// When the profile cannot be read.
pub(crate) fn about(
    profile: &Profile,
    command: &'static str,
    notes: &mut Notes,
) -> Result<Document, Error> {
    let Profile { reader, run: of, window, .. } = profile;
    let from_ns = window.from_ns.unwrap_or(0);
    let until_ns = window.until_ns.unwrap_or(i64::MAX).min(of.last_ns.saturating_add(1));
    let (marks, more) = marks(reader, of)?;
    notes.marks(more);
    Ok(Document {
        command,
        generator: format!("spandrel {}", env!("CARGO_PKG_VERSION")),
        title: title(reader, of),
        complete: of.is_complete(),
        dropped: of.dropped(),
        selection: profile.selection().map_or_else(String::new, |words| cut(&words, 400)),
        run: run(reader, of),
        losses: losses(reader.losses(of.id)?, of.length_ns()),
        marks,
        window: Window {
            from_ns,
            until_ns: until_ns.max(from_ns.saturating_add(1)),
            columns: bounds::COLUMNS,
        },
        ..Document::default()
    })
}

fn title(reader: &Reader, run: &Run) -> String {
    match &run.info.label {
        Some(label) => cut(label, bounds::NAME_CHARS),
        None => format!("{} run {}", file_name(reader.path()), run.id),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What is known of the run without looking at its spans.
fn run(reader: &Reader, run: &Run) -> RunFacts {
    let info = &run.info;
    let short = |text: &str| cut(text, bounds::VALUE_CHARS);
    RunFacts {
        id: run.id,
        label: info.label.as_deref().map(short),
        started_unix_ns: info.started_unix_ns.to_string(),
        length_ns: run.length_ns(),
        state: if run.ended_unix_ns.is_some() { "ended" } else { "open" },
        program: short(&file_name(Path::new(&info.program))),
        args: short(&info.args),
        host: short(&info.host),
        os: short(&info.os),
        cpus: info.cpus,
        pid: info.pid,
        clock: short(&info.clock),
        file: short(&file_name(reader.path())),
        events: run.events,
        entries: run.entries,
        pruned: run.pruned(),
        ..RunFacts::default()
    }
}

/// The first marks of the run, and how many more there are.
fn marks(reader: &Reader, run: &Run) -> Result<(Vec<MarkFact>, usize), Error> {
    let mut marks = reader.marks(run.id)?;
    let more = marks.len().saturating_sub(bounds::MARKS);
    marks.truncate(bounds::MARKS);
    let fact = |mark: spandrel_query::Mark| MarkFact {
        label: cut(&mark.label, bounds::NAME_CHARS),
        at_ns: mark.at_ns,
        until_ns: mark.until_ns,
    };
    Ok((marks.into_iter().map(fact).collect(), more))
}

/// Sentences about what the page does not show.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub list: Vec<String>,
}

impl Notes {
    pub(crate) fn flame(&mut self, tree: &StackTree, pruned: &Pruned) {
        if pruned.paths > 0 {
            self.list.push(format!(
                "Flame graph: {}, each less than {} % of the whole, {} put together in \
                 boxes named (pruned); sums hold.",
                text::counted(pruned.paths, "path"),
                bounds::FLAME_SHARE * 100.0,
                text::agree(pruned.paths, "is", "are")
            ));
        }
        if tree.cut() > 0 {
            self.list.push(format!(
                "Flame graph: {} in paths too deep, or too many, to tell apart: in boxes named \
                 (others).",
                text::counted_with(tree.cut(), "span", text::IS)
            ));
        }
        if tree.orphans() > 0 {
            self.list.push(format!(
                "{} a parent that is not in the profile: under (parent not recorded) in the flame \
                 graph.",
                text::counted_with(tree.orphans(), "span", text::HAS)
            ));
        }
    }

    pub(crate) fn marks(&mut self, more: usize) {
        if more > 0 {
            self.list.push(format!(
                "Marks: the first {}; {} more {} left out.",
                bounds::MARKS,
                text::count(more as u64),
                text::agree(more as u64, "is", "are")
            ));
        }
    }

    pub(crate) fn gauges(&mut self, more: usize) {
        if more > 0 {
            self.list.push(format!(
                "Values: the first {} by name; {} more {} left out.",
                bounds::GAUGES,
                text::count(more as u64),
                text::agree(more as u64, "is", "are")
            ));
        }
    }

    pub(crate) fn top(&mut self, more: usize) {
        if more > 0 {
            self.list.push(format!(
                "Table: the {} names with the most self time; {} more {} left out.",
                bounds::TOP_ROWS,
                text::count(more as u64),
                text::agree(more as u64, "is", "are")
            ));
        }
    }

    pub(crate) fn timeline(&mut self, timeline: &Timeline) {
        let shown = timeline.id.len() as u64;
        if shown < timeline.of {
            self.list.push(format!(
                "Time order: {} of {}, the {} longest of each {}th of the run.",
                text::count(shown),
                text::counted(timeline.of, "span"),
                bounds::TIMELINE_SPANS,
                bounds::TIMELINE_PARTS
            ));
        }
    }

    pub(crate) fn traces(&mut self, traces: &[Trace], are_slowest: bool) {
        if !are_slowest {
            self.list
                .push("Slowest traces: those of the longest spans that are asked about.".into());
        }
        let folded = traces.iter().filter(|trace| trace.rows.iter().any(|row| row.more > 0));
        let folded = folded.count();
        if folded > 0 {
            self.list.push(format!(
                "Slowest traces: in {folded} of them small spans are folded into rows \"+ n more\"."
            ));
        }
        let not_whole = traces.iter().filter(|trace| !trace.whole).count();
        if not_whole > 0 {
            self.list.push(format!(
                "Slowest traces: of {not_whole} only the first {} spans were looked at, for {} size; the \
                 critical path may miss later ones.",
                text::count(bounds::TRACE_SPANS as u64),
                text::agree(not_whole as u64, "its", "their")
            ));
        }
    }

    pub(super) fn failures(&mut self, errors: u64, failures: &Failures) {
        if failures.looked_at < errors {
            self.list.push(format!(
                "Errors: the latest {} of {} were asked for their reasons.",
                text::count(failures.looked_at),
                text::counted(errors, "failed span"),
            ));
        }
        if failures.left_out > 0 {
            let left_out = text::counted(failures.left_out, "rarer reason");
            let are = text::agree(failures.left_out, "is", "are");
            self.list.push(format!("Errors: {left_out} {are} left out."));
        }
    }

    pub(crate) fn diff(&mut self, diff: &Diff) {
        if diff.left_out > 0 {
            self.list.push(format!(
                "Baseline: {} with little self time {} left out.",
                text::counted(diff.left_out, "name"),
                text::agree(diff.left_out, "is", "are")
            ));
        }
    }

    pub(crate) fn names(&mut self, others: u64) {
        if others > 0 {
            self.list.push(format!(
                "{} beyond the first {} names {} counted as (others).",
                text::counted(others, "callsite"),
                text::count(bounds::NAMES as u64),
                text::agree(others, "is", "are")
            ));
        }
    }
}
