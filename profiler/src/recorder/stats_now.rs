//! A snapshot of the ledger: all counts, put together.

use crate::recorder::account::Account;
use crate::recorder::counters::Snapshot;
use crate::recorder::losses::{DropReason, Dropped, Drops, Kind, add_drops};
use crate::recorder::recording::Recorder;
use crate::recorder::stats::{Ledger, Stats};

/// What the recorder knows of the state of a recording now; and whether nobody drains it any more. The account is the
/// writer's, if there is no other.
pub(crate) fn of(recorder: &Recorder, account: Option<Account>) -> (Stats, bool) {
    let mut guard = recorder.post_close.lock();
    let drain = guard.as_deref_mut().and_then(Option::as_mut);
    let closed = drain.is_some();
    let duplicates = drain.map_or(0, |drain| {
        drain.look();
        drain.duplicates
    });
    // After the drain: everything that it has found was counted before it was published.
    let mut snapshot = recorder.counters.snapshot(&recorder.ring, recorder.is_cut());
    drop(guard);
    snapshot.account = account.unwrap_or(snapshot.account);
    let ledger = |kind| ledger(&snapshot, kind, duplicates, closed);
    let account = &snapshot.account;
    let Ledger { recorded, stored, dropped, in_flight } = ledger(Kind::Span);
    let (callsites, callsites_below_level) = recorder.tally.get();
    let stats = Stats {
        callsites,
        callsites_below_level,
        recorded,
        stored,
        dropped,
        in_flight,
        events: ledger(Kind::Event),
        links: ledger(Kind::Link),
        entries: ledger(Kind::Entry),
        gauges: ledger(Kind::Gauge),
        gauges_refused: recorder.gauges_refused(),
        open: recorder.open.count(),
        unfinished: account.unfinished,
        cut: account.cut,
        log_unplaced: account.unplaced,
        ring_capacity: recorder.ring.capacities().iter().sum::<usize>() as u64,
        batches: account.batches,
        is_crash_proof: recorder.is_in_file(),
        ..Stats::default()
    };
    (stats, closed)
}

/// Puts the counts of one kind together. `duplicates` were found in the ring after the close, and are
/// counted already.
fn ledger(snapshot: &Snapshot, kind: Kind, duplicates: u64, closed: bool) -> Ledger {
    let Snapshot { account, published, dropped_early, is_cut } = snapshot;
    let (mut open, mut unfinished, mut twice, mut late_twice) = (0, 0, 0, 0);
    let mut drops: Drops = *dropped_early;
    if kind == Kind::Span {
        unfinished = account.unfinished;
        open = unfinished + account.unfinished_dropped.iter().sum::<u64>();
        late_twice = duplicates;
        twice = account.duplicates + duplicates;
    }
    let index = kind as usize;
    let early: u64 = drops.iter().map(|kinds| kinds[index]).sum();
    add_drops(&mut drops, &account.drops());
    let mut dropped = Dropped::default();
    for (reason, kinds) in DropReason::ALL.iter().zip(drops) {
        dropped.add(*reason, kinds[index]);
    }
    // Wrapping: a wrong count has to show in the sum, and must not end the program that asks.
    let recorded = published[index].wrapping_sub(twice).wrapping_add(early).wrapping_add(open);
    let waiting = published[index].wrapping_sub(account.taken[index]).wrapping_sub(late_twice);
    let mut in_flight = waiting.wrapping_add(account.held[index]);
    if closed || *is_cut {
        // Published during the close, and not seen by the writer any more; or gone with the ring file.
        let reason = if *is_cut { DropReason::FileRemoved } else { DropReason::AlreadyShutdown };
        dropped.add(reason, waiting);
        in_flight = account.held[index];
    }
    Ledger { recorded, stored: account.stored[index] + unfinished, dropped, in_flight }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::account::Account;

    /// Counts that agree.
    fn sound() -> Snapshot {
        let mut dropped_early = Drops::default();
        dropped_early[DropReason::RingFull as usize] = [5, 6, 7, 8, 9];
        let mut account = Account {
            taken: [80, 70, 60, 50, 40],
            held: [10, 20, 30, 5, 4],
            stored: [60, 45, 25, 40, 31],
            duplicates: 3,
            unfinished: 4,
            ..Account::default()
        };
        account.drop_many([7, 5, 5, 5, 5], DropReason::StoreError);
        account.drop_unfinished(2, DropReason::StoreError);
        Snapshot { account, published: [100, 90, 80, 60, 45], dropped_early, is_cut: false }
    }

    fn ledgers(snapshot: &Snapshot, closed: bool) -> [Ledger; 5] {
        [Kind::Span, Kind::Event, Kind::Link, Kind::Entry, Kind::Gauge]
            .map(|kind| ledger(snapshot, kind, 1, closed))
    }

    #[test]
    fn a_ledger_whose_counts_agree_balances() {
        let [spans, events, links, entries, gauges] = ledgers(&sound(), false);
        assert!(spans.balances() && events.balances() && links.balances(), "{spans:?} {events:?}");
        assert_eq!((entries.recorded, entries.stored, entries.in_flight), (68, 40, 15));
        assert_eq!((gauges.recorded, gauges.stored, gauges.in_flight), (54, 31, 9));
        assert_eq!((spans.recorded, spans.stored, spans.in_flight), (107, 64, 29));
        assert_eq!((spans.dropped.ring_full, spans.dropped.store_error), (5, 9));
        assert_eq!((events.recorded, events.stored, events.in_flight), (96, 45, 40));
        let closed = ledgers(&sound(), true);
        assert!(closed.iter().all(Ledger::balances), "{closed:?}");
        assert_eq!((closed[0].in_flight, closed[0].dropped.already_shutdown), (10, 19));
        let cut = ledgers(&Snapshot { is_cut: true, ..sound() }, false);
        assert!(cut.iter().all(Ledger::balances), "{cut:?}");
        assert_eq!((cut[0].in_flight, cut[0].dropped.file_removed), (10, 19));
    }

    #[test]
    fn a_ledger_with_a_cooked_count_does_not_balance() {
        type Cook = fn(&mut Account);
        let cooks: [(&str, Cook); 8] = [
            ("drained and nowhere", |account| account.taken[0] += 1),
            ("held and not drained", |account| account.held[0] += 1),
            ("gone out of the hand", |account| account.held[0] -= 10),
            ("stored twice", |account| account.stored[0] += 60),
            ("not counted as stored", |account| account.stored[0] = 0),
            ("dropped and not counted", |account| account.dropped = Drops::default()),
            ("dropped twice", |account| account.drop_many([7, 0, 0, 0, 0], DropReason::StoreError)),
            ("in the ledger already", |account| account.duplicates += 1),
        ];
        for (what, cook) in cooks {
            for closed in [false, true] {
                let mut snapshot = sound();
                cook(&mut snapshot.account);
                let [spans, ..] = ledgers(&snapshot, closed);
                assert!(!spans.balances(), "{what}: {spans:?}");
            }
        }
        let mut snapshot = sound();
        snapshot.published[1] = 0;
        assert!(!ledgers(&snapshot, false)[1].balances(), "drained and never published");
    }
}
