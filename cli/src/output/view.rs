//! What a command found: a header, a table or a drawing, and notes.

use serde_json::{Map, Value, json};
use spandrel_query::OrderRows as _;
use spandrel_query::{Loss, Run};

use super::table::Table;
use super::text;
use crate::recorder::State;

/// What a command found, for whichever format is asked for.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The name of the command, for programs.
    pub(crate) command: &'static str,
    /// The run; `None` for commands about the file, or about no file.
    pub(crate) header: Option<Header>,
    /// Lines above the table, instead of a header.
    pub(crate) preamble: Vec<String>,
    /// For programs; and for people, unless there is a drawing.
    pub(crate) table: Table,
    /// For people, instead of the table; may contain styles. Its texts were cleaned.
    pub(crate) drawing: Option<String>,
    /// Whether the drawing is a chart: on a terminal that is too narrow only a part of it is shown,
    /// while texts are continued on the next line.
    pub(crate) is_chart: bool,
    /// Whether the drawing has no more rows than were asked for. A drawing that has no rows is replaced
    /// by the table if some were asked for.
    pub(crate) drawing_is_limited: bool,
    /// Whether `--verbose` shows the table with all columns: the drawing has nothing to say beyond it.
    pub(crate) verbose_is_table: bool,
    /// Whether there would be more if the times inside of spans had been measured, which they were not.
    pub(crate) needs_busy_times: bool,
    /// Further members of the JSON document.
    pub(crate) extra: Map<String, Value>,
    /// Lines beneath, for people.
    pub(crate) notes: Vec<String>,
}

impl View {
    pub(crate) fn new(command: &'static str, header: Option<Header>, table: Table) -> Self {
        Self { command, header, table, ..Self::default() }
    }
}

/// How many losses a header names; there can be one in each second.
const WINDOWS_SHOWN: usize = 3;
/// The same for programs.
const WINDOWS_IN_JSON: usize = 100;
/// Losses that are no further apart are one.
const GAP_NS: i64 = 1_000_000_000;

/// The run, and what is missing of it.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    run: Run,
    losses: Vec<Loss>,
    /// What was asked for, beside the run: the window and the filter.
    pub(crate) selection: Option<String>,
    /// Why nothing in the run can match that.
    pub(crate) unmeasured: Option<String>,
    /// Whether its process is gone, and its ring file is there.
    pub(crate) has_ring: bool,
    /// How the run goes on, where more was asked for that than the run.
    pub(crate) state: Option<State>,
    /// Whether it stands above what `doctor` says, to which others point.
    pub(crate) is_of_doctor: bool,
}

impl Header {
    pub(crate) fn new(run: Run, losses: Vec<Loss>) -> Self {
        Self {
            run,
            losses,
            selection: None,
            unmeasured: None,
            has_ring: false,
            state: None,
            is_of_doctor: false,
        }
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.run.is_complete()
    }

    /// Whether there is nothing in the run that could match.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.run.spans == 0 && self.run.events == 0
    }

    fn dropped(&self) -> u64 {
        self.run.dropped()
    }

    /// How long the run took, or takes so far.
    pub(crate) fn length_ns(&self) -> i64 {
        self.run.length_ns()
    }

    /// For people; the loss is never left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let run = &self.run;
        let mut line = format!("run {}", run.id);
        if let Some(label) = &run.info.label {
            line.push_str(&format!("  \"{}\"", text::clean(label)));
        }
        line.push_str(&format!(
            "   {}   {}   {}",
            text::duration_in_words(self.length_ns()),
            text::counted(run.spans, "span"),
            text::counted(run.events, "event")
        ));
        line.push_str(&format!("   {}", dropped(run, &self.losses)));
        let state = match (self.state.unwrap_or_else(|| State::of(run)), run.is_complete()) {
            _ if run.is_contradicted => "   ! rows are missing or impossible: `spandrel doctor`",
            (State::Ended, true) => "   complete ✓",
            (State::Ended, false) if run.elsewhere().is_some() => {
                "   ! a part of the run, which is in another profile, too: `spandrel doctor`"
            }
            (State::Ended, false) => "   ! incomplete: figures are of what was stored",
            (State::Live, _) => "   still recording",
            (State::Killed, _) if self.has_ring => {
                "   ! its process is gone, and what it recorded last is in a ring file: `spandrel doctor`"
            }
            (State::Killed, _) => "   ! killed: it has no end, and its process is gone",
            (State::Crashed, _) => {
                "   ! crashed: its process died; what was open then has the status crashed"
            }
            (State::Closed, _) => "   ended, and its end is in a ring file",
            (State::NotEnded, _) => "   not ended: still recording, or killed",
        };
        let below = state.strip_suffix(": `spandrel doctor`").filter(|_| self.is_of_doctor);
        line.push_str(below.unwrap_or(state));
        let mut lines = vec![line];
        if let Some(selection) = &self.selection {
            lines.push(format!("only {selection}"));
        }
        lines
    }

    /// What is missing in the file, if anything: for formats without a header.
    pub(crate) fn missing(&self) -> Option<String> {
        let run = &self.run;
        let elsewhere = run.elsewhere().map(|_| "a part of it is in another profile".to_owned());
        let ring = self.has_ring.then(|| "what it recorded last is in a ring file".to_owned());
        let is_less = self.dropped() > 0 || run.pruned() > 0;
        let lost = is_less.then(|| dropped(run, &self.losses));
        let missing: Vec<String> = [lost, elsewhere, ring].into_iter().flatten().collect();
        let missing = (!missing.is_empty()).then(|| missing.join("; "))?;
        Some(format!("! run {}: {missing}; figures are of what was stored", run.id))
    }

    /// For programs.
    pub(crate) fn members(&self) -> Vec<(&'static str, Value)> {
        let run = &self.run;
        let (largest, left_out) = largest(&self.losses, WINDOWS_IN_JSON);
        let losses = largest.iter().map(|loss| {
            json!({
                "reason": loss.reason, "spans": loss.spans, "events": loss.events,
                "entries": loss.entries, "from_ns": loss.from_ns, "to_ns": loss.to_ns,
            })
        });
        vec![
            (
                "run",
                json!({
                    "id": run.id, "uuid": run.info.uuid, "label": run.info.label,
                    "started_unix_ns": run.info.started_unix_ns,
                    "ended_unix_ns": run.ended_unix_ns,
                    "length_ns": self.length_ns(), "spans": run.spans, "events": run.events,
                    "unfinished": run.unfinished, "busy_times": run.has_busy_times(),
                }),
            ),
            ("selection", json!(self.selection)),
            ("complete", json!(self.is_complete())),
            ("dropped", json!(self.dropped())),
            ("pruned", json!(run.pruned())),
            ("losses", losses.collect()),
            ("losses_left_out", json!(left_out)),
        ]
    }
}

/// `dropped 12,031 (0.8%, ring_full +12.1 s..+16.0 s)`: the largest losses, and how many more there are.
fn dropped(run: &Run, losses: &[Loss]) -> String {
    let dropped = run.dropped();
    let pruned = run.pruned();
    let mut line = format!("dropped {}", text::count(dropped));
    if dropped > 0 {
        let stored = run.spans.saturating_add(run.events).saturating_add(run.entries);
        let all = stored.saturating_add(dropped);
        let mut why = vec![text::share(dropped as f64 / all as f64)];
        let losses = summed(losses);
        let (largest, left_out) = largest(&losses, WINDOWS_SHOWN);
        why.extend(largest.iter().map(|loss| {
            let at = |ns: i64| format!("+{}", text::duration_in_words(ns));
            format!("{} {}..{}", text::clean(&loss.reason), at(loss.from_ns), at(loss.to_ns))
        }));
        if left_out > 0 {
            why.push(format!("and {} more", text::count(left_out as u64)));
        }
        line.push_str(&format!(" ({})", why.join(", ")));
    }
    if pruned > 0 {
        line.push_str(&format!("   pruned {}", text::count(pruned)));
    }
    line
}

/// Losses for people: those of one reason that follow each other are one. There is a row for each second of a loss that
/// goes on.
pub(crate) fn summed(losses: &[Loss]) -> Vec<Loss> {
    let mut summed: Vec<Loss> = Vec::new();
    for loss in losses {
        let goes_on = |before: &&mut Loss| {
            before.reason == loss.reason
                && loss.from_ns <= before.to_ns.saturating_add(GAP_NS)
                && before.from_ns <= loss.to_ns.saturating_add(GAP_NS)
        };
        match summed.iter_mut().rev().find(goes_on) {
            Some(before) => {
                before.from_ns = before.from_ns.min(loss.from_ns);
                before.to_ns = before.to_ns.max(loss.to_ns);
                before.spans = before.spans.saturating_add(loss.spans);
                before.events = before.events.saturating_add(loss.events);
                before.entries = before.entries.saturating_add(loss.entries);
            }
            None => summed.push(loss.clone()),
        }
    }
    summed
}

/// So many of the losses with the most spans, events and entries, in the order in which they came, and how many more
/// there are.
pub(crate) fn largest(losses: &[Loss], most: usize) -> (Vec<&Loss>, usize) {
    let mut found: Vec<(usize, &Loss)> = losses.iter().enumerate().collect();
    found.order_by_key(|(at, loss)| (std::cmp::Reverse(loss.total()), *at));
    found.truncate(most);
    found.order_by_key(|(at, _)| *at);
    (found.iter().map(|(_, loss)| *loss).collect(), losses.len() - found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(reason: &str, from_s: i64, to_s: i64, spans: u64) -> Loss {
        const SECOND_NS: i64 = 1_000_000_000;
        let mut loss = Loss::default();
        (loss.reason, loss.spans) = (reason.into(), spans);
        (loss.from_ns, loss.to_ns) = (from_s * SECOND_NS, to_s * SECOND_NS);
        loss
    }

    #[test]
    fn a_loss_that_goes_on_is_one_line_and_one_that_comes_again_is_another() {
        let second = |n| [loss("file_removed", n, n + 1, 10), loss("ring_full", n, n + 1, 1)];
        let losses: Vec<Loss> = (0..20).chain([30, 31]).flat_map(second).collect();
        let summed = summed(&losses);
        assert_eq!(
            summed,
            [
                loss("file_removed", 0, 20, 200),
                loss("ring_full", 0, 20, 20),
                loss("file_removed", 30, 32, 20),
                loss("ring_full", 30, 32, 2),
            ]
        );
        let mut run = Run::default();
        run.dropped_spans = 242;
        let said = dropped(&run, &losses);
        assert!(said.contains("file_removed +0.00 µs..+20.00 s"), "{said}");
    }

    #[test]
    fn the_header_of_doctor_does_not_point_to_itself() {
        let mut run = Run::default();
        (run.is_contradicted, run.ended_unix_ns) = (true, Some(1));
        let mut header = Header::new(run, Vec::new());
        assert!(header.lines()[0].ends_with("missing or impossible: `spandrel doctor`"));
        header.is_of_doctor = true;
        assert!(header.lines()[0].ends_with("missing or impossible"), "{:?}", header.lines());
    }
}
