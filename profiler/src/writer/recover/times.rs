//! When a run was, and which moments its records can have, of what its ring file says of its clock.

use std::io;
use std::ops::RangeInclusive;

use spandrel_ring::file::{Reader, Source};

use super::check::moments;
use crate::recorder::clock::{Clock, RATE_SHIFT, Timeline};
use crate::recorder::ring_file::layout::{self, CLOCK_PIECES, anchors};
use crate::recorder::ring_file::pieces::{self, PieceSaid};

/// All moments that any clock can show.
const ANY: RangeInclusive<u64> = 0..=1 << 62;
/// Ticks and the system's clock agree if they differ by less than this part of the time that has passed,
const DRIFT_PART: u64 = 50;
/// or by less than this: one of them was read later than the other.
const READING_NS: u64 = 10_000_000;

/// The timeline of the run, and which moments it can have.
pub(super) fn of<S: Source>(reader: &mut Reader<S>) -> io::Result<(Timeline, RangeInclusive<u64>)> {
    let (kind, _) = reader.clock();
    let here = Clock::start();
    let (own_kind, own) = here.anchors();
    // The clocks of this machine still go on where those of the run have stopped.
    let is_same_clock = reader.owner().is_of_this_boot() && own_kind == kind;
    let now = is_same_clock.then(|| Now {
        ticks: own[anchors::ORIGIN_TICKS],
        monotonic_ns: own[anchors::ORIGIN_MONOTONIC_NS],
    });
    of_clock(reader, now, || measured(here))
}

/// What both clocks show here, if they are those of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) ticks: u64,
    pub(super) monotonic_ns: u64,
}

/// The same as of a moment; `rate` is that of the counter here.
pub(super) fn of_clock<S: Source>(
    reader: &mut Reader<S>,
    now: Option<Now>,
    rate: impl FnOnce() -> u64,
) -> io::Result<(Timeline, RangeInclusive<u64>)> {
    let (kind, anchors) = reader.clock();
    let origin = anchors[anchors::ORIGIN_TICKS].min(1 << 62);
    let has_counter = kind != layout::clock::MONOTONIC;
    let mut cells = Vec::new();
    reader.cells(CLOCK_PIECES, 0..usize::MAX, |_, cell| {
        cells.extend(cell.map(<[u64]>::to_vec));
    })?;
    let kept = pieces::read(cells.iter().map(Vec::as_slice));
    let kept = if are_pieces(&kept) { kept } else { Vec::new() };
    let has_jumped = kept.iter().any(|piece| piece.era_ended > 0);
    // Without pieces, the counter is as fast as it is now.
    let own_rate = match now {
        Some(_) if has_counter && kept.is_empty() => rate(),
        _ => 1 << RATE_SHIFT,
    };
    let timeline = Timeline::of_dead(has_counter, origin, &kept, || {
        own_rate as f64 / (1_u64 << RATE_SHIFT) as f64
    });
    let began = anchors[anchors::ORIGIN_MONOTONIC_NS];
    let last = kept
        .last()
        .map_or(PieceSaid { ticks: origin, ns: 0, rate: own_rate, era_ended: 0 }, |piece| *piece);
    let ticks = match now {
        _ if has_jumped => ANY,
        None => moments(origin, None),
        Some(now) if !has_counter => {
            moments(origin, Some(origin.saturating_add(now.monotonic_ns.saturating_sub(began))))
        }
        Some(now) if goes_on(&last, began, now) => moments(origin, Some(now.ticks)),
        // The counter has begun anew, or has jumped: as the machine has slept, or is another one. The process may have
        // lived on after that.
        Some(_) => ANY,
    };
    Ok((timeline, ticks))
}

/// Whether the counter has gone on since the run's last piece: then as much time has passed by it as by the system's clock.
fn goes_on(last: &PieceSaid, began: u64, now: Now) -> bool {
    let since = began.checked_add(last.ns.max(0).cast_unsigned());
    let passed_ns = since.and_then(|since| now.monotonic_ns.checked_sub(since));
    let (Some(ns), Some(ticks)) = (passed_ns, now.ticks.checked_sub(last.ticks)) else {
        return false;
    };
    let by_ticks = (u128::from(ticks) * u128::from(last.rate)) >> RATE_SHIFT;
    by_ticks.abs_diff(u128::from(ns)) <= u128::from(READING_NS.max(ns / DRIFT_PART))
}

/// How fast the counter is here, measured for some milliseconds.
fn measured(here: Clock) -> u64 {
    let ticks = 1_u64 << 30;
    let ns = Timeline::start(here).length_ns(ticks);
    ns.max(1).cast_unsigned() << (RATE_SHIFT - 30)
}

/// For a scan that has given its own away.
pub(in crate::writer) fn no_timeline() -> Timeline {
    Timeline::of_dead(false, 0, &[], || 1.0)
}

/// Whether pieces of a timeline are as a recorder keeps them.
fn are_pieces(kept: &[PieceSaid]) -> bool {
    let is_one = |piece: &PieceSaid| {
        piece.ticks < 1 << 62
            && (0..1 << 60).contains(&piece.ns)
            && (1..1 << 60).contains(&piece.rate)
            && piece.era_ended < 1 << 62
    };
    let follow = |pair: &[PieceSaid]| {
        pair[0].ns <= pair[1].ns && (pair[1].era_ended > 0 || pair[0].ticks <= pair[1].ticks)
    };
    kept.iter().all(is_one) && kept.windows(2).all(follow)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn now_is_believed_where_both_clocks_say_that_as_much_time_has_passed() {
        // Two ticks a nanosecond; the last piece is of the tenth second.
        let last = PieceSaid {
            ticks: 50 * S + 20 * S,
            ns: 10 * S as i64,
            rate: 1 << (RATE_SHIFT - 1),
            era_ended: 0,
        };
        let began = 1_000 * S;
        let goes_on = |seconds: u64, ticks: u64| {
            goes_on(&last, began, Now { ticks, monotonic_ns: began + seconds * S })
        };
        assert!(goes_on(110, 70 * S + 200 * S));
        assert!(goes_on(110, 70 * S + 201 * S), "half a per cent");
        assert!(!goes_on(110, 70 * S + 210 * S), "it has gone on while the machine slept");
        assert!(!goes_on(110, 70 * S + 50 * S), "it stood, or has begun anew and come so far");
        assert!(!goes_on(110, 69 * S), "it has begun anew");
        assert!(!goes_on(9, 71 * S), "the system's clock is before that of the piece");
        let damaged = PieceSaid { ticks: 1 << 62, ns: i64::MAX, rate: u64::MAX, era_ended: 0 };
        assert!(!super::goes_on(&damaged, u64::MAX, Now { ticks: 1 << 63, monotonic_ns: 0 }));
    }
}
