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

/// What a ring file says of its clock.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) timeline: Timeline,
    /// Which moments the run can have.
    pub(super) ticks: RangeInclusive<u64>,
    /// Pieces of the timeline that make no sense.
    pub(super) damaged: u64,
}

/// The timeline of the run, and which moments it can have.
pub(super) fn of<S: Source>(reader: &mut Reader<S>) -> io::Result<Times> {
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
) -> io::Result<Times> {
    let (kind, anchors) = reader.clock();
    let origin = anchors[anchors::ORIGIN_TICKS].min(1 << 62);
    let has_counter = kind != layout::clock::MONOTONIC;
    let mut cells = Vec::new();
    reader.cells(CLOCK_PIECES, 0..usize::MAX, |_, cell| {
        cells.extend(cell.map(<[u64]>::to_vec));
    })?;
    let kept = pieces::read(cells.iter().map(Vec::as_slice));
    let found = kept.len();
    let kept = sound(origin, &kept);
    let damaged = (found - kept.len()) as u64;
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
    let end = last.ticks.saturating_add(timeline.ticks_of(NS_END - last.ns));
    let ticks = *ticks.start()..=(*ticks.end()).min(end);
    Ok(Times { timeline, ticks, damaged })
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

/// Clocks tick at least and at most so fast, in units of a [`Rate`](PieceSaid::rate).
const RATES: RangeInclusive<u64> = 1 << (RATE_SHIFT - 6)..=1 << (RATE_SHIFT + 14);
/// Pieces may be so much apart, and it is no jump.
const STEP_NS: i64 = 2_000_000;
/// No run has lasted so long: 36 years. Sums of its times do not overflow.
const NS_END: i64 = 1 << 60;

/// The pieces that can be of one clock. A piece goes on where the one before it says that it does, unless the counter has
/// jumped, or stood; what one of them says of that is believed if the pieces around it agree with each other.
fn sound(origin: u64, kept: &[PieceSaid]) -> Vec<PieceSaid> {
    let is_one = |piece: &&PieceSaid| {
        piece.ticks < 1 << 62
            && (0..NS_END).contains(&piece.ns)
            && RATES.contains(&piece.rate)
            && piece.era_ended < 1 << 62
    };
    let kept: Vec<PieceSaid> = kept.iter().filter(is_one).copied().collect();
    let mut rates: Vec<u64> = kept.iter().map(|piece| piece.rate).collect();
    rates.sort_unstable();
    let Some(usual) = rates.get(rates.len() / 2).copied() else { return kept };
    let mut sound: Vec<PieceSaid> = Vec::with_capacity(kept.len());
    for (n, piece) in kept.iter().enumerate() {
        let Some(last) = sound.last() else {
            sound.push(*piece);
            continue;
        };
        if follows(last, piece, usual) {
            sound.push(*piece);
            continue;
        }
        // One of the two is wrong.
        let goes_on = kept.get(n + 1).is_some_and(|next| follows(last, next, usual));
        let before = sound.len().checked_sub(2).and_then(|at| sound.get(at));
        let is_last_wrong = before.is_none_or(|before| follows(before, piece, usual));
        if !goes_on && is_last_wrong {
            sound.pop();
            sound.push(*piece);
        }
    }
    // No piece behind the last one agrees with it. If the counter has stood before it, or its rate is odd, then this is
    // what was measured since the beginning.
    if let [.., last] = sound[..] {
        let since = last.ticks.saturating_sub(origin);
        let is_long_term = is_about(last.ns, by(last.rate, since), READING_NS.cast_signed());
        let has_stood = match sound[..] {
            [.., before, _] => {
                let by_ticks = by(before.rate, last.ticks.saturating_sub(before.ticks));
                let passed = last.ns - before.ns;
                last.era_ended == 0 && by_ticks < passed && !is_about(passed, by_ticks, STEP_NS)
            }
            _ => false,
        };
        if (has_stood || !is_near(last.rate, usual)) && !is_long_term {
            sound.pop();
        }
    }
    sound
}

/// Whether `next` can be the piece after `piece`.
fn follows(piece: &PieceSaid, next: &PieceSaid, usual: u64) -> bool {
    if next.ns < piece.ns {
        return false;
    }
    let Some(ticks) = next.ticks.checked_sub(piece.ticks).filter(|_| next.era_ended == 0) else {
        return next.era_ended > 0;
    };
    let (passed, by_ticks) = (next.ns - piece.ns, by(piece.rate, ticks));
    if is_about(passed, by_ticks, STEP_NS) {
        return true;
    }
    // It has jumped ahead, and goes on as before; or it has stood.
    let has_jumped = by_ticks > passed && next.rate == piece.rate;
    is_near(piece.rate, usual) && (has_jumped || by_ticks < passed)
}

fn by(rate: u64, ticks: u64) -> i64 {
    let ns = (u128::from(rate) * u128::from(ticks)) >> RATE_SHIFT;
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// Whether two times differ by less than 1 %, or by less than `least`.
fn is_about(one: i64, other: i64, least: i64) -> bool {
    one.abs_diff(other) <= one.max(other).max(0).cast_unsigned() / 100
        || one.abs_diff(other) <= least.cast_unsigned()
}

/// Whether two rates differ by less than 1 %.
fn is_near(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= one.max(other) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// Pieces of a second each, of a counter with two ticks a nanosecond, that is steered a little.
    fn seconds(n: u64) -> Vec<PieceSaid> {
        let piece = |n: u64| PieceSaid {
            ticks: 7 * S + 2 * n * S,
            ns: (n * S) as i64,
            rate: (1 << (RATE_SHIFT - 1)) + n,
            era_ended: 0,
        };
        (0..n).map(piece).collect()
    }

    #[test]
    fn a_piece_that_does_not_fit_to_those_around_it_is_left_out() {
        let all = seconds(9);
        assert_eq!(sound(7 * S, &all), all);
        let wrong: [fn(&mut PieceSaid); 8] = [
            |piece| piece.ticks ^= 1 << 40,
            |piece| piece.ticks -= S / 2,
            |piece| piece.ns += S as i64 / 2,
            |piece| piece.ns ^= 1 << 50,
            |piece| piece.ns = -1,
            |piece| piece.rate *= 4,
            |piece| piece.rate /= 2,
            |piece| piece.rate = (1 << 60) - 1,
        ];
        for wrong in wrong {
            for at in 0..all.len() {
                let mut some = all.clone();
                wrong(&mut some[at]);
                let found = sound(7 * S, &some);
                let strange = some[at];
                let left = found.iter().filter(|piece| !all.contains(piece)).count();
                assert_eq!(left, 0, "{at}: {strange:?} in {found:?}");
                assert!(found.len() >= all.len() - 2, "{at}: {strange:?}: {found:?}");
            }
        }
        assert_eq!(sound(7 * S, &[]), []);
    }

    #[test]
    fn pieces_of_a_counter_that_has_jumped_or_stood_are_those_of_one_clock() {
        let jump = |by: i64, era_ended: u64, is_steered: bool| {
            let mut all = seconds(9);
            let rate = all[4].rate;
            for piece in &mut all[5..] {
                piece.ticks = piece.ticks.wrapping_add_signed(by);
            }
            all[5].era_ended = era_ended;
            all[5].rate = if is_steered { all[5].rate } else { rate };
            all
        };
        let minute = 120 * S as i64;
        let mut stood = seconds(9);
        stood[5..].iter_mut().for_each(|piece| piece.ns += 60 * S as i64);
        let back = jump(-(14 * S as i64), 15 * S, true);
        for all in [jump(minute, 0, false), back, stood] {
            assert_eq!(sound(7 * S, &all), all);
        }
        // Nobody says that an era has ended.
        assert!(sound(7 * S, &jump(-(14 * S as i64), 0, true)).len() < 9);
    }

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
