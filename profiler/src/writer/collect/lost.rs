//! The end of a run whose ring file was cut short while it was collected.
//!
//! What was drained before a look that has found the file whole is as it was recorded, and is stored, or dropped here: what
//! was drained after that look may be made of zeros. How much was recorded is known up to that look, too. So the run ends
//! in the profile with all that it has, and says that at least so much is lost, and why; and the file goes, which takes
//! memory and has nothing.

use spandrel_storage::Store;

use super::refusals::remove;
use super::ring::Ring;
use crate::error::Error;
use crate::recorder::losses::{DropReason, PerKind};
use crate::recorder::stats::Ledger;
use crate::writer::recover::{Told, about, loss};

impl Ring {
    /// Ends its run. Says what is known of its spans.
    pub(super) fn end_of_cut(&mut self, store: &mut Store) -> Result<Ledger, Error> {
        let Some(run) = &mut self.run else { return Ok(Ledger::default()) };
        if let Some(aside) = run.aside.take() {
            store.take_run_up(aside);
        }
        let uuid = self.names.run.as_ref().map(|run| run.uuid.as_str()).unwrap_or_default();
        let resumed = store.resume_run(uuid, run.threads_above)?;
        let Some(resumed) = resumed else {
            return Err(about(&self.path, &"its run is not in the profile any more"));
        };
        let gone = run.given_back();
        let lost: PerKind =
            std::array::from_fn(|kind| self.published[kind].saturating_sub(gone[kind]));
        let told = Told::of_lost(&resumed, lost, run.in_earlier, self.names.callsites.len() as u64);
        let spans = told.spans();
        let why = format!(
            "{}: the ring file was cut short while it was collected; at least {} of {} spans are lost, and what was open",
            self.path.display(),
            spans.dropped.file_removed,
            spans.recorded
        );
        let report = store.report_with(told.lost_report(&why), resumed.report.as_deref())?;
        let until_ns = run.now_ns().max(0);
        let ended = resumed.info.started_unix_ns.saturating_add(until_ns);
        let losses: Vec<_> = loss(DropReason::FileRemoved, lost, until_ns).into_iter().collect();
        store.end_run_with_losses(ended, &report, &losses)?;
        remove(store, &self.path, &self.id)?;
        Ok(spans)
    }
}
