//! Time: raw ticks on the application's threads, nanoseconds in the writer.
//!
//! The processor's time-stamp counter is read where the kernel itself trusts it (it is invariant,
//! and the current clock source is `tsc`); a system's monotonic clock serves elsewhere. A recorded
//! span carries raw ticks. The writer turns them into nanoseconds on a [`Timeline`]: straight
//! pieces between anchors, each a pair of readings of both clocks, renewed about once a second.
//! The pieces join without a step and are never changed afterwards, so that a parent that began an
//! hour ago still encloses its child to the nanosecond.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spandrel_ring::timestamp;

/// Where ticks come from.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    tsc: bool,
    /// Zero of the run in the monotonic clock.
    origin: Instant,
    /// Zero of the run in ticks.
    origin_ticks: u64,
}

impl Clock {
    /// Chooses the clock of this machine and sets its zero to now.
    pub(crate) fn start() -> Self {
        Self::with_source(timestamp::AVAILABLE && kernel_trusts_tsc())
    }

    fn with_source(tsc: bool) -> Self {
        let mut clock = Self { tsc, origin: Instant::now(), origin_ticks: 0 };
        if tsc {
            let (ticks, ns) = clock.read_both();
            clock.origin += Duration::from_nanos(ns as u64);
            clock.origin_ticks = ticks;
        }
        clock
    }

    /// Now, in ticks of an unknown rate.
    #[inline(always)]
    pub(crate) fn ticks(&self) -> u64 {
        if self.tsc { timestamp::read() } else { self.monotonic_ns() as u64 }
    }

    /// Whether ticks are the time-stamp counter, so that [`timestamp::read`] is as good.
    pub(crate) fn is_tsc(&self) -> bool {
        self.tsc
    }

    /// The name in column `run.clock`.
    pub(crate) fn name(&self) -> &'static str {
        if self.tsc { "tsc" } else { "monotonic" }
    }

    /// Zero of the run on the wall clock. The best of several tries: an interruption between the two
    /// readings makes it late, nothing makes it early.
    pub(crate) fn origin_unix(&self) -> Duration {
        let read = || {
            let since_origin = self.origin.elapsed();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.saturating_sub(since_origin)
        };
        (0..8).map(|_| read()).min().unwrap_or_default()
    }

    fn monotonic_ns(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// Both clocks at the same moment: ticks, and nanoseconds since the start of the run. The best
    /// of several tries, so that an interruption between the readings does no harm.
    fn read_both(&self) -> (u64, i64) {
        if !self.tsc {
            let ns = self.monotonic_ns();
            return (ns as u64, ns);
        }
        let mut best = (u64::MAX, 0, 0);
        for _ in 0..8 {
            let before = timestamp::read();
            let ns = self.monotonic_ns();
            let width = timestamp::read().wrapping_sub(before);
            if width < best.0 {
                best = (width, before.wrapping_add(width / 2), ns);
            }
        }
        (best.1, best.2)
    }
}

/// Whether Linux uses the time-stamp counter as its own clock and the processor calls it
/// invariant. The kernel watches it against other clocks, and gives it up when it drifts.
fn kernel_trusts_tsc() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let is_source = std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc");
    is_source
        && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
            text.lines().find(|line| line.starts_with("flags")).is_some_and(|flags| {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                has("constant_tsc") && has("nonstop_tsc")
            })
        })
}

/// A straight piece of the timeline; it reaches to the next one's `ticks`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    ticks: u64,
    ns: i64,
    rate: Rate,
}

impl Piece {
    #[inline(always)]
    fn at(&self, ticks: u64) -> i64 {
        self.ns + self.rate.ns(ticks.saturating_sub(self.ticks))
    }
}

/// Nanoseconds a tick, in units of 2^-40: a multiplication and a shift, exact for a clock that ticks
/// in nanoseconds, and off by a nanosecond after a quarter of an hour elsewhere, where pieces are
/// shorter in the first weeks and their ends are renewed anyway.
#[derive(Debug, Clone, Copy)]
struct Rate(u64);

const RATE_SHIFT: u32 = 40;

impl Rate {
    /// From any positive rate; none that a clock has overflows.
    fn new(ns_per_tick: f64) -> Self {
        Self((ns_per_tick * (1_u64 << RATE_SHIFT) as f64).round() as u64)
    }

    #[inline(always)]
    fn ns(self, ticks: u64) -> i64 {
        // Truncated only after 292 years.
        ((u128::from(ticks) * u128::from(self.0)) >> RATE_SHIFT) as i64
    }
}

/// Turns ticks into nanoseconds since the start of the run.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    /// Never empty; ordered by ticks. A piece a second in the first half hour, then ever longer
    /// ones, so that a year needs some 20,000.
    pieces: Vec<Piece>,
    /// The piece that was used last, and where it ends: neighbours in time come one after the other.
    recent: Cell<(Piece, u64)>,
}

/// The first rate is measured over at least this long.
const FIRST_PIECE: Duration = Duration::from_millis(10);
const PIECE_NS_MIN: i64 = 1_000_000_000;
const PIECES_PER_UPTIME: i64 = 2048;
/// A difference between the clocks that no drift explains: a suspended machine, or a migration.
const STEP_NS: i64 = 1_000_000;
/// How much faster or slower than measured a piece may run in order to meet the clock again.
const STEERING_MAX: f64 = 0.0005;

impl Timeline {
    /// Measures the rate of the ticks.
    ///
    /// # Blocking
    ///
    /// Until the clock has run for 10 ms.
    pub(crate) fn start(clock: Clock) -> Self {
        if clock.tsc {
            while let Some(rest) = FIRST_PIECE.checked_sub(clock.origin.elapsed())
                && !rest.is_zero()
            {
                std::thread::sleep(rest);
            }
        }
        let (ticks, ns) = clock.read_both();
        let ns_per_tick = rate(ticks.saturating_sub(clock.origin_ticks), ns);
        let first = Piece { ticks: clock.origin_ticks, ns: 0, rate: Rate::new(ns_per_tick) };
        Self { clock, pieces: vec![first], recent: Cell::new((first, u64::MAX)) }
    }

    fn last(&self) -> Piece {
        self.pieces[self.pieces.len() - 1]
    }

    /// Looks at both clocks, and begins a new piece if the last one has become long enough. All
    /// ticks that were converted so far lie before the new piece.
    pub(crate) fn renew(&mut self) {
        if self.clock.tsc {
            let (ticks, ns) = self.clock.read_both();
            self.renew_at(ticks, ns);
        }
    }

    fn renew_at(&mut self, ticks: u64, ns: i64) {
        let last = self.last();
        let length = PIECE_NS_MIN.max(ns / PIECES_PER_UPTIME);
        if ns - last.ns < length || ticks <= last.ticks {
            return;
        }
        let predicted = last.at(ticks);
        let error = ns - predicted;
        let measured = rate(ticks - self.clock.origin_ticks, ns);
        let piece = if error > STEP_NS {
            Piece { ticks, ns, rate: Rate::new(measured) }
        } else {
            let steering = (error as f64 / length as f64).clamp(-STEERING_MAX, STEERING_MAX);
            Piece { ticks, ns: predicted, rate: Rate::new(measured * (1.0 + steering)) }
        };
        self.pieces.push(piece);
        self.recent.set((piece, u64::MAX));
    }

    /// Nanoseconds since the start of the run.
    #[inline]
    pub(crate) fn ns(&self, ticks: u64) -> i64 {
        let (piece, end) = self.recent.get();
        if piece.ticks <= ticks && ticks < end { piece.at(ticks) } else { self.find(ticks) }
    }

    #[cold]
    fn find(&self, ticks: u64) -> i64 {
        let after = self.pieces.partition_point(|piece| piece.ticks <= ticks);
        // Ticks before the first piece (a reading on another processor, some ns early) are its
        // beginning.
        let piece = self.pieces[after.saturating_sub(1)];
        self.recent.set((piece, self.pieces.get(after).map_or(u64::MAX, |next| next.ticks)));
        piece.at(ticks)
    }

    /// The length of so many ticks, at today's rate.
    #[inline]
    pub(crate) fn length_ns(&self, ticks: u64) -> i64 {
        self.last().rate.ns(ticks)
    }

    pub(crate) fn now_ns(&self) -> i64 {
        self.ns(self.clock.ticks())
    }
}

fn rate(ticks: u64, ns: i64) -> f64 {
    if ticks == 0 || ns <= 0 { 1.0 } else { ns as f64 / ticks as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(ns_per_tick: f64) -> Timeline {
        let clock = Clock { tsc: true, origin: Instant::now(), origin_ticks: 1_000 };
        let first = Piece { ticks: 1_000, ns: 0, rate: Rate::new(ns_per_tick) };
        Timeline { clock, pieces: vec![first], recent: Cell::new((first, u64::MAX)) }
    }

    #[test]
    fn ticks_agree_with_the_monotonic_clock() {
        for tsc in [false, timestamp::AVAILABLE && kernel_trusts_tsc()] {
            let timeline = Timeline::start(Clock::with_source(tsc));
            let before = timeline.clock.monotonic_ns();
            let now = timeline.now_ns();
            let after = timeline.clock.monotonic_ns();
            let slack = 50_000; // a millisecond's worth of 5 % would be far outside
            assert!(before - slack <= now && now <= after + slack, "{before} {now} {after}");
        }
    }

    #[test]
    fn a_drifting_counter_is_steered_back_and_never_runs_backwards() {
        // The counter is 0.4 per mille slower than the first measurement said.
        let mut timeline = timeline(0.4);
        let true_ns = |ticks: u64| ((ticks - 1_000) as f64 * 0.4 * 1.0004) as i64;
        let mut last = (0, 0);
        for second in 1..600_u64 {
            let ticks = 1_000 + second * 2_500_000_000;
            let early = timeline.ns(ticks - 700);
            timeline.renew_at(ticks, true_ns(ticks));
            assert_eq!(timeline.ns(ticks - 700), early, "converted ticks never change");
            let now = (ticks, timeline.ns(ticks));
            assert!(now.1 > last.1);
            last = now;
        }
        assert!((last.1 - true_ns(last.0)).abs() < 2_000, "{last:?} {}", true_ns(last.0));
    }

    #[test]
    fn a_step_of_the_clock_is_taken_forwards_only() {
        let mut timeline = timeline(1.0);
        timeline.renew_at(2_000_001_000, 2_000_000_000);
        timeline.renew_at(4_000_001_000, 64_000_000_000);
        assert_eq!(timeline.ns(4_000_001_000), 64_000_000_000);
        assert_eq!(timeline.ns(3_000_001_000), 3_000_000_000);
        timeline.renew_at(70_000_001_000, 65_500_000_000);
        let before = timeline.ns(70_000_000_900);
        assert!(timeline.ns(70_000_001_100) >= before);
    }

    #[test]
    fn ticks_before_the_run_are_its_start() {
        assert_eq!(timeline(0.4).ns(17), 0);
    }
}
