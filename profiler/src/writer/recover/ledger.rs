//! The ledger of a run whose process has died: `recorded = stored + dropped`, with what the crash itself has cost.
//!
//! What was published is counted by the ring, before it is published; what was dropped by the threads and by the dead
//! writer; what is stored by the profile. What is published, and nowhere, was being published when the process died.
//! A span of that kind is still in the table of open spans: it is stored as crashed, and not lost. An event or an entry is,
//! as *abandoned*.

use spandrel_storage::{LossRow, Resumed};

use super::scan::Scan;
use crate::recorder::losses::{DropReason, Dropped, Drops, KINDS, Kind, PerKind, add_drops, sane};
use crate::recorder::stats::{Ledger, Stats};
use crate::writer::run_json::with_elsewhere;

/// The ledger, by kind.
#[derive(Debug, Clone)]
pub(in crate::writer) struct Told {
    stored: PerKind,
    crashed: u64,
    drops: Drops,
    unfinished: u64,
    cut: u64,
    /// Those that were recorded; how many were below the level, nobody has told.
    callsites: u64,
    /// What other profiles have of the run.
    elsewhere: PerKind,
}

impl Told {
    /// `stored` and `refused` are those of this recovery.
    pub(super) fn of(
        resumed: &Resumed,
        scan: &Scan,
        stored: PerKind,
        refused: PerKind,
        crashed: u64,
    ) -> Self {
        let closed = resumed.spans.saturating_sub(resumed.unfinished);
        let before = [closed, resumed.events, resumed.links, resumed.entries, resumed.gauges];
        let stored: PerKind = std::array::from_fn(|kind| before[kind].saturating_add(stored[kind]));
        let mut drops = sane(&scan.account.drops());
        // Found damaged here, and by whoever began to recover it before.
        let told = |reason: DropReason, kind: usize| {
            let row = resumed.lost.iter().find(|lost| lost.reason == reason.as_str());
            row.map_or(0, |lost| [lost.spans, lost.events, 0, lost.entries, 0][kind])
        };
        let damaged: PerKind = std::array::from_fn(|kind| {
            told(DropReason::Damaged, kind).saturating_add(scan.damaged[kind])
        });
        // Refused by the profile here, before, and when the dead writer stored; of that tells its account.
        for (kind, n) in drops[DropReason::RowRefused as usize].iter_mut().enumerate() {
            *n = (*n).max(told(DropReason::RowRefused, kind)).saturating_add(refused[kind]);
        }
        let by_writer: PerKind = std::array::from_fn(|kind| {
            drops.iter().map(|kinds| kinds[kind]).fold(0, u64::saturating_add)
        });
        add_drops(&mut drops, &scan.dropped_early);
        let row = &mut drops[DropReason::Damaged as usize];
        row.iter_mut().zip(damaged).for_each(|(to, n)| *to += n);
        row[Kind::Span as usize] += scan.open_damaged;
        // Other files that were the profile have some, too. The dead writer knew of all but its last commit; and what it
        // cannot have had is no count.
        let elsewhere: PerKind = std::array::from_fn(|kind| {
            let account = scan.account.stored[kind];
            let account = if account <= scan.published[kind] { account } else { 0 };
            scan.in_earlier[kind].max(account.saturating_sub(before[kind]))
        });
        for kind in 0..KINDS {
            let known = [stored[kind], elsewhere[kind], by_writer[kind], damaged[kind]];
            let known = known.into_iter().fold(0, u64::saturating_add);
            let rest = scan.published[kind].saturating_sub(known);
            // More than the ring can have had: the count is damaged, and says nothing.
            let rest = if rest > scan.slots { 0 } else { rest };
            let explained = match kind == Kind::Span as usize {
                true => rest.min(crashed).min(scan.abandoned),
                false => 0,
            };
            drops[DropReason::Abandoned as usize][kind] += rest - explained;
        }
        Self {
            stored,
            crashed,
            drops,
            unfinished: resumed.unfinished.saturating_add(crashed),
            cut: scan.account.cut.min(stored[0].saturating_add(stored[1])),
            callsites: scan.names.callsites.len() as u64,
            elsewhere,
        }
    }

    /// Of a run whose ring file is lost, with at least so many records that are not stored, and so many in other profiles.
    #[cfg(feature = "collected")]
    pub(in crate::writer) fn of_lost(
        resumed: &Resumed,
        lost: PerKind,
        elsewhere: PerKind,
        callsites: u64,
    ) -> Self {
        let closed = resumed.spans.saturating_sub(resumed.unfinished);
        let mut drops = Drops::default();
        for (reason, drops) in DropReason::ALL.iter().zip(&mut drops) {
            if let Some(row) = resumed.lost.iter().find(|row| row.reason == reason.as_str()) {
                *drops = [row.spans, row.events, 0, row.entries, 0];
            }
        }
        let row = &mut drops[DropReason::FileRemoved as usize];
        row.iter_mut().zip(lost).for_each(|(sum, n)| *sum = sum.saturating_add(n));
        Self {
            stored: [closed, resumed.events, resumed.links, resumed.entries, resumed.gauges],
            crashed: 0,
            drops,
            unfinished: resumed.unfinished,
            cut: 0,
            callsites,
            elsewhere,
        }
    }

    /// For the row of such a run, which ends for this reason.
    #[cfg(feature = "collected")]
    pub(in crate::writer) fn lost_report(&self, why: &str) -> String {
        let stats = Stats { last_error: Some(why.to_owned()), ..self.stats() };
        let json = with_elsewhere(&stats.to_json(false), self.elsewhere);
        format!(r#"{{"ring_was_cut":true,{}"#, json.strip_prefix('{').unwrap_or(&json))
    }

    fn ledger(&self, kind: Kind) -> Ledger {
        let index = kind as usize;
        let open = if kind == Kind::Span { self.unfinished } else { 0 };
        let mut dropped = Dropped::default();
        for (reason, kinds) in DropReason::ALL.iter().zip(self.drops) {
            dropped.add(*reason, kinds[index]);
        }
        let stored = self.stored[index].saturating_add(open);
        let recorded = stored.saturating_add(dropped.total());
        Ledger { recorded, stored, dropped, in_flight: 0 }
    }

    pub(in crate::writer) fn spans(&self) -> Ledger {
        self.ledger(Kind::Span)
    }

    /// Spans that other profiles have.
    pub(super) fn spans_elsewhere(&self) -> u64 {
        self.elsewhere[Kind::Span as usize]
    }

    pub(super) fn events(&self) -> Ledger {
        self.ledger(Kind::Event)
    }

    /// All that makes no sense.
    pub(super) fn damaged(&self) -> u64 {
        self.drops[DropReason::Damaged as usize].iter().sum()
    }

    /// Rows for what was lost and is in no row yet.
    pub(super) fn losses_untold(
        &self,
        resumed: &Resumed,
        (damaged_told, refused_told): (PerKind, PerKind),
        to_ns: i64,
    ) -> Vec<LossRow> {
        let rows = DropReason::ALL.iter().zip(self.drops).filter_map(|(reason, lost)| {
            let told = resumed.lost.iter().find(|told| told.reason == reason.as_str());
            let mut told = told.map_or([0; KINDS], |it| [it.spans, it.events, 0, it.entries, 0]);
            let told_here = match reason {
                DropReason::Damaged => damaged_told,
                DropReason::RowRefused => refused_told,
                _ => PerKind::default(),
            };
            told.iter_mut().zip(told_here).for_each(|(told, n)| *told += n);
            let untold = std::array::from_fn(|kind| lost[kind].saturating_sub(told[kind]));
            super::loss(*reason, untold, to_ns)
        });
        rows.collect()
    }

    /// For the row of a run that was closed.
    pub(super) fn closed_report(&self, marks_dropped: u64, callsites: [u64; 2]) -> String {
        let [callsites, callsites_below_level] = callsites;
        let stats = Stats { marks_dropped, callsites, callsites_below_level, ..self.stats() };
        with_elsewhere(&stats.to_json(false), self.elsewhere)
    }

    /// For the row of the run. It has no end, as nobody knows when that was; but it says that this is all.
    pub(super) fn report(&self, recovered_unix_ns: u64) -> String {
        let json = with_elsewhere(&self.stats().to_json(false), self.elsewhere);
        let rest = json.strip_prefix('{').unwrap_or(&json);
        format!(
            r#"{{"crashed":true,"crashed_spans":{},"recovered_unix_ns":{recovered_unix_ns},{rest}"#,
            self.crashed
        )
    }

    fn stats(&self) -> Stats {
        let Ledger { recorded, stored, dropped, in_flight } = self.spans();
        Stats {
            recorded,
            stored,
            dropped,
            in_flight,
            events: self.events(),
            links: self.ledger(Kind::Link),
            entries: self.ledger(Kind::Entry),
            gauges: self.ledger(Kind::Gauge),
            unfinished: self.unfinished,
            cut: self.cut,
            callsites: self.callsites,
            ..Stats::default()
        }
    }
}
