//! The end of a run whose ring file was cut short while it was collected.
//!
//! What was drained before a look that has found the file whole is as it was recorded, and is stored, or dropped here: what
//! was drained after that look may be made of zeros. How much was recorded is known up to that look, too. So the run ends
//! in the profile with all that it has, and says that at least so much is lost, and why; and the file goes, which takes
//! memory and has nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use spandrel_storage::Store;

use super::refusals::remove;
use super::ring::Ring;
use super::run::Run;
use crate::error::Error;
use crate::recorder::losses::{DropReason, PerKind};
use crate::recorder::stats::Ledger;
use crate::writer::recover::{Told, loss};

impl Ring {
    /// Ends its run. Says which one that is, and what is known of its spans; `None` if the profile has no such run.
    pub(super) fn end_of_cut(&mut self, store: &mut Store) -> Result<Option<(i64, Ledger)>, Error> {
        if let Some(aside) = self.run.as_mut().and_then(|run| run.aside.take()) {
            store.take_run_up(aside);
        }
        let uuid = self.names.run.as_ref().map(|run| run.uuid.as_str()).unwrap_or_default();
        let threads_above = self.run.as_ref().map(|run| run.threads_above);
        let threads_above = threads_above.unwrap_or_else(|| store.thread_id(0));
        let Some(resumed) = store.resume_run(uuid, threads_above)? else { return Ok(None) };
        let run = self.run.as_ref();
        // Nothing was drained of one that was cut as its run began.
        let gone = run.map_or(self.published, Run::given_back);
        let in_earlier = run.map_or(PerKind::default(), |run| run.in_earlier);
        let lost: PerKind =
            std::array::from_fn(|kind| self.published[kind].saturating_sub(gone[kind]));
        let told = Told::of_lost(&resumed, lost, in_earlier, self.names.callsites.len() as u64);
        let spans = told.spans();
        let how_much = match spans.dropped.file_removed {
            0 => {
                format!("none of its {} spans is known to be lost; what came later", spans.recorded)
            }
            lost => format!("at least {lost} of {} spans", spans.recorded),
        };
        let why = format!(
            "{}: the ring file was cut short while it was collected; {how_much} and what was open are lost",
            self.path.display()
        );
        let report = store.report_with(told.lost_report(&why), resumed.report.as_deref())?;
        let started = resumed.info.started_unix_ns;
        let until_ns = run.map_or_else(|| unix_ns().saturating_sub(started), Run::now_ns).max(0);
        let ended = started.saturating_add(until_ns);
        let losses: Vec<_> = loss(DropReason::FileRemoved, lost, until_ns).into_iter().collect();
        store.end_run_with_losses(ended, &report, &losses)?;
        remove(store, &self.path, &self.id)?;
        Ok(Some((resumed.run_id, spans)))
    }
}

fn unix_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
