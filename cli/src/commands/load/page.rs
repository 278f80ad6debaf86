//! What came out of a load, for people and for programs, and whether it passed.

use std::path::Path;

use serde_json::{Map, Value, json};
use spandrel_load::{Latencies, Outcome, Rate};

use crate::output::{Cell, Column, Header, View, table_of, text};

pub(super) struct Page<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) bytes: u64,
    /// Where the profile stays; none for a temporary one.
    pub(super) kept: Option<&'a Path>,
}

/// One condition: what is shown of it, and whether it holds.
struct Check {
    what: String,
    passed: bool,
}

impl Page<'_> {
    pub(super) fn passed(&self) -> bool {
        self.checks().iter().all(|check| check.passed)
    }

    pub(super) fn view(&self, header: Header) -> View {
        let table = table_of! {
            for check in self.checks(), {}
            Column::left("check", "check") => Cell::Text(check.what),
            Column::left("passed", "passed") => Cell::Bool(check.passed),
        };
        let mut view = View::new("load", Some(header), table);
        view.drawing = Some(self.drawing());
        view.extra = self.figures();
        if let Some(path) = self.kept {
            let path = text::clean(&path.display().to_string());
            view.notes.push(format!("look at it: spandrel top --db {path}"));
        }
        view
    }

    fn checks(&self) -> Vec<Check> {
        let Outcome { load, made, report, .. } = self.outcome;
        let mut checks = Vec::new();
        if let Rate::PerSecond(wanted) = load.rate {
            let [made_rate, rate] = [made.rate(), wanted].map(text::count);
            // A thread that wakes up late at the very end costs a little of the rate.
            let passed = made.rate().saturating_mul(100) >= wanted.saturating_mul(99);
            let passed = passed && self.outcome.fell_behind().is_none();
            checks.push(Check { what: format!("rate {made_rate}/s of {rate}/s"), passed });
            let dropped = report.dropped.total() + report.events.dropped.total();
            let what = format!("dropped {}", text::count(dropped));
            checks.push(Check { what, passed: dropped == 0 });
        }
        let passed = self.outcome.verified();
        let what = if passed { "every stored span verified" } else { "verification failed" };
        checks.push(Check { what: what.into(), passed });
        let in_flight = report.in_flight + report.events.in_flight + report.unfinished;
        let passed = in_flight == 0 && !report.timed_out;
        let what = if passed { "all flushed on close" } else { "not all flushed on close" };
        checks.push(Check { what: what.into(), passed });
        checks
    }

    /// Spans that were sent and are neither stored nor known to be dropped.
    fn lost(&self) -> u64 {
        let report = &self.outcome.report;
        self.outcome.made.spans().saturating_sub(report.stored + report.dropped.total())
    }

    fn ring_share(&self) -> f64 {
        let report = &self.outcome.report;
        report.ring_high_water as f64 / report.ring_capacity.max(1) as f64
    }

    fn bytes_per_span(&self) -> u64 {
        self.outcome.bytes_per_span().round() as u64
    }

    fn drawing(&self) -> String {
        let Outcome { made, report, lag, .. } = self.outcome;
        let of = |latencies: &Latencies, q| shown(latencies.quantile_ns(q));
        let mut page = format!(
            " {:.1} s   {} sent   {}/s   ring max {:.0}%   lag p99 {}\n",
            made.took().as_secs_f64(),
            text::count(made.spans()),
            text::count(made.rate()),
            self.ring_share() * 100.0,
            of(lag, 0.99)
        );
        let cost = made.service();
        page.push_str(&format!(
            " a span costs its thread   p50 {}   p99 {}   p99.9 {}   max {}   ({} ns of it for the \
             clock)\n",
            of(cost, 0.5),
            of(cost, 0.99),
            of(cost, 0.999),
            shown(cost.max_ns()),
            self.outcome.clock.as_nanos()
        ));
        page.push_str(&format!(
            " written {}   dropped {}   lost {}   db {} ({} B/span)\n\n",
            text::count(report.stored),
            text::count(report.dropped.total()),
            text::count(self.lost()),
            text::bytes(self.bytes),
            self.bytes_per_span()
        ));
        for check in &self.outcome.verification.checks {
            page.push_str(&match check {
                Ok(found) => format!(" ✓ {}\n", text::clean(found)),
                Err(fault) => format!(" ✗ {}\n", text::clean(fault)),
            });
        }
        page.push('\n');
        page.push_str(&self.verdict());
        page
    }

    /// The last line, and what is wrong if anything is.
    fn verdict(&self) -> String {
        let checks = self.checks();
        let listed = |passed: bool| {
            let some = checks.iter().filter(|check| check.passed == passed);
            some.map(|check| check.what.as_str()).collect::<Vec<_>>().join(" · ")
        };
        if self.passed() {
            return format!("PASS  {}\n", listed(true));
        }
        let mut lines = format!("FAIL  {}\n", listed(false));
        for fault in self.outcome.faults() {
            lines.push_str(&format!("      {}\n", text::clean(&fault)));
        }
        if let Some(due) = self.outcome.fell_behind() {
            let made = text::count(self.outcome.made.spans());
            let due = text::counted(due, "span");
            lines.push_str(&format!("      fell behind: {made} of {due} made\n"));
        }
        lines
    }

    fn figures(&self) -> Map<String, Value> {
        let Outcome { load, made, report, lag, .. } = self.outcome;
        let quantiles = |latencies: &Latencies| {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| latencies.quantile_ns(q));
            json!({ "p50_ns": p50, "p99_ns": p99, "p999_ns": p999, "max_ns": latencies.max_ns() })
        };
        let rate = match load.rate {
            Rate::PerSecond(rate) => json!(rate),
            Rate::Max => Value::Null,
        };
        let figures = json!({
            "passed": self.passed(),
            "verified": self.outcome.verified(),
            "faults": self.outcome.faults(),
            "load": load.to_string(),
            "database": self.kept,
            "wanted_rate": rate,
            "rate": made.rate(),
            "length_ns": u64::try_from(made.took().as_nanos()).unwrap_or(u64::MAX),
            "sent": made.spans(),
            "stored": report.stored,
            "dropped_spans": report.dropped.total(),
            "lost": self.lost(),
            "in_flight": report.in_flight,
            "cost": quantiles(made.service()),
            "clock_ns": u64::try_from(self.outcome.clock.as_nanos()).unwrap_or(u64::MAX),
            "lag": quantiles(lag),
            "ring_high_water": report.ring_high_water,
            "ring_capacity": report.ring_capacity,
            "bytes": self.bytes,
            "bytes_per_span": self.outcome.bytes_per_span(),
            "writer_cost_ns": self.outcome.writer_ns(),
        });
        match figures {
            Value::Object(figures) => figures,
            _ => Map::new(),
        }
    }
}

fn shown(ns: u64) -> String {
    text::duration_in_words(i64::try_from(ns).unwrap_or(i64::MAX))
}
