//! How far an export is.

use std::time::Instant;

use crate::arguments::Context;
use crate::output::{Progress, text};
use crate::profile::Profile;

/// The line of progress.
pub(super) struct Watch {
    line: Progress,
    began: Instant,
    rows: u64,
}

impl Watch {
    pub(super) fn new(profile: &Profile, context: &Context) -> Self {
        let run = &profile.run;
        let spans = run.spans.saturating_sub(run.pruned_spans);
        let events = run.events.saturating_sub(run.pruned_events);
        let rows = spans.saturating_add(events).saturating_add(run.links);
        Self { line: context.output.progress(), began: Instant::now(), rows }
    }

    /// `exporting ████████▎            41%  412,000 rows/s  3 s left`
    pub(super) fn show(&mut self, rows: u64) {
        let (began, all) = (self.began, self.rows);
        self.line.show(|| {
            // Some formats look at some rows twice; and a live run grows.
            let share = (rows as f64 / all.max(1) as f64).min(1.0);
            let seconds = began.elapsed().as_secs_f64().max(1e-3);
            let rate = text::count((rows as f64 / seconds) as u64);
            let bar = text::bar(share, 20);
            let left = seconds / share.max(1e-9) * (1.0 - share);
            let percent = (share * 100.0) as u64;
            format!("exporting {bar:<20} {percent:>3}%  {rate} rows/s  {left:.0} s left")
        });
    }
}
